//! Pure: the frames of the live protocol, exactly as `docs/live-protocol.md` describes them.

use std::fmt;
use std::sync::Arc;

use sen_model::{AlertRecord, DeviceId, Metric, Quality, Timestamp};
use serde::{Deserialize, Serialize};

use crate::notice::Notice;

/// The version of the protocol this program speaks.
pub const VERSION: u32 = 1;
/// Largest frame a screen may send, in bytes.
pub const MAX_FRAME_IN_BYTES: usize = 4 << 10;
/// Largest frame the server sends, in bytes.
pub const MAX_FRAME_OUT_BYTES: usize = 64 << 10;
/// A screen further behind than this gets a snapshot, in records.
pub const MAX_REPLAY: u64 = 10_000;

/// What a screen says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromScreen {
    /// The first frame of a connection.
    Hello(Hello),
    /// Everything up to `seq` is on the glass.
    Seen {
        /// The last sequence number shown.
        seq: u64,
    },
    /// A frame of a later edition of the protocol: ignored.
    #[serde(other)]
    Unknown,
}

/// Who a screen is, what it wants to see, and where it stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version the screen speaks.
    pub v: u32,
    /// Its name: see [`is_screen_name`].
    pub screen: String,
    /// `all` or one of the five fields.
    pub view: String,
    /// Where it stopped; none at the first start.
    #[serde(default)]
    pub resume: Option<Resume>,
}

/// The last thing a screen knows of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The epoch it was told.
    pub epoch: String,
    /// The last sequence number it was told of.
    pub seq: u64,
}

/// Whether this can be the name of a screen: 1 to 64 of `a-z`, `0-9`, `-` and `_`.
pub fn is_screen_name(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(ok)
}

/// What the server says. (`Deserialize` is for tests and for programs that act as screens.)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// A part of the state as of one offset.
    Snapshot {
        /// The log's epoch.
        epoch: String,
        /// Everything up to this sequence number is in it.
        as_of: u64,
        /// 1 to `n`.
        part: usize,
        /// How many parts there are; at least one.
        n: usize,
        /// The alerts of this part.
        items: Vec<Arc<AlertRecord>>,
    },
    /// One record of the alert log.
    Alert {
        /// Its position in the log.
        seq: u64,
        /// The last position this connection was told of.
        prev: u64,
        /// The record, flattened.
        #[serde(flatten)]
        record: Arc<AlertRecord>,
    },
    /// Nothing for this screen between `prev` and `to`.
    Skip {
        /// The last position this connection was told of.
        prev: u64,
        /// The position it now knows of.
        to: u64,
    },
    /// The replay is finished.
    Live {},
    /// The server lives.
    Heartbeat {
        /// The head of the alert log.
        head: u64,
        /// The server's clock.
        now: Timestamp,
    },
    /// How the whole centre stands: after `welcome`, and whenever that changes.
    Centre(Notice),
    /// Latest values that changed.
    Tick {
        /// One row for each series.
        upserts: Vec<Upsert>,
    },
}

/// The answer to `hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version the server speaks.
    pub v: u32,
    /// The log's epoch.
    pub epoch: String,
    /// The last offset of the alert log.
    pub head: u64,
    /// The first offset it still holds.
    pub floor: u64,
    /// What follows.
    pub mode: Mode,
    /// How often a heartbeat comes, in milliseconds.
    pub heartbeat_ms: u64,
    /// The server's clock.
    pub now: Timestamp,
    /// The server's version.
    pub build: String,
    /// Whether anyone on the network may see and command this centre.
    pub insecure_dev: bool,
}

/// What follows `welcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The missed records.
    Resume,
    /// The state, then the records after it.
    Snapshot,
}

/// A row of a tick: device, metric, value, event time in ms UTC, quality (see [`quality_code`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Upsert(pub DeviceId, pub Metric, pub f64, pub i64, pub u8);

/// The number a quality has in ticks: 0 good, 1 suspect, 2 bad.
pub fn quality_code(quality: Quality) -> u8 {
    match quality {
        Quality::Good => 0,
        Quality::Suspect => 1,
        Quality::Bad => 2,
    }
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum CloseCode {
    /// The server restarts: resume soon.
    Restart = 1012,
    /// A frame that is not of this protocol.
    BadFrame = 4400,
    /// Not allowed: the view does not exist.
    Forbidden = 4403,
    /// Too slow, or no `hello` in time.
    Slow = 4408,
    /// The same screen name connected again.
    Superseded = 4409,
    /// Frame too large.
    TooLarge = 4413,
    /// Too many frames or connections.
    TooMany = 4429,
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u16)
    }
}

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The records after this position.
    Resume(u64),
    /// The state.
    Snapshot,
    /// The state; the screen has seen more of this epoch than we hold, so *we* have lost records.
    SnapshotAfterLoss,
}

/// Decides how a connection begins, from where the screen stopped and what the log holds.
pub fn start(resume: Option<&Resume>, epoch: &str, floor: u64, head: u64) -> Start {
    let Some(resume) = resume.filter(|resume| resume.epoch == epoch) else {
        return Start::Snapshot;
    };
    if resume.seq > head {
        return Start::SnapshotAfterLoss;
    }
    let held = resume.seq.saturating_add(1) >= floor;
    let near = head - resume.seq <= MAX_REPLAY;
    if held && near { Start::Resume(resume.seq) } else { Start::Snapshot }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Parses and prints again; the result must say the same as the fixture.
    fn round_trip<T: serde::de::DeserializeOwned + Serialize>(name: &str, text: &str) {
        let parsed: T = serde_json::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let printed = serde_json::to_value(&parsed).unwrap();
        assert_eq!(printed, serde_json::from_str::<Value>(text).unwrap(), "{name}");
    }

    #[test]
    fn every_fixture_survives_a_round_trip() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/live");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            if name.starts_with("hello") || name.starts_with("seen") {
                round_trip::<FromScreen>(&name, &text);
            } else {
                round_trip::<FromServer>(&name, &text);
            }
            seen += 1;
        }
        assert!(seen >= 12, "only {seen} fixtures");
    }

    /// The parts of JSON Schema that say which keys a frame has, held against the fixtures. Whole
    /// validation is left to the tools that read the schema.
    #[test]
    fn the_schema_describes_every_fixture() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let read = |path: &std::path::Path| -> Value {
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        let schema = read(&std::path::Path::new(root).join("docs/live-protocol.schema.json"));
        let mut described: std::collections::BTreeSet<String> = schema["oneOf"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| frame["$ref"].as_str().unwrap().replace("#/$defs/", ""))
            .collect();
        let every = described.clone();
        for entry in std::fs::read_dir(format!("{root}/tests/fixtures/live")).unwrap() {
            let frame = read(&entry.unwrap().path());
            let kind = frame["type"].as_str().unwrap();
            assert!(every.contains(kind), "`{kind}` is not in the schema");
            described.remove(kind);
            keys_fit(&frame, &schema["$defs"][kind]);
            for item in frame["items"].as_array().into_iter().flatten() {
                keys_fit(item, &schema["$defs"]["record"]);
            }
        }
        assert!(described.is_empty(), "no fixture of {described:?}");
    }

    fn keys_fit(frame: &Value, described: &Value) {
        for key in frame.as_object().unwrap().keys() {
            assert!(described["properties"].get(key).is_some(), "`{key}` is not described");
        }
        for key in described["required"].as_array().unwrap().iter().filter_map(Value::as_str) {
            assert!(frame.get(key).is_some(), "`{key}` is missing in {frame}");
        }
    }

    #[test]
    fn unknown_frames_and_unknown_fields_are_no_mistake() {
        let frame = serde_json::from_str::<FromScreen>(r#"{"type":"wave","height":2}"#).unwrap();
        assert_eq!(frame, FromScreen::Unknown);
        let frame =
            serde_json::from_str::<FromScreen>(r#"{"type":"seen","seq":1,"x":[]}"#).unwrap();
        assert_eq!(frame, FromScreen::Seen { seq: 1 });
        assert!(serde_json::from_str::<FromScreen>(r#"{"seq":1}"#).is_err());
    }

    #[test]
    fn screen_names_are_narrow() {
        for good in ["w", "wall-1", "desk_2", &"x".repeat(64)] {
            assert!(is_screen_name(good), "{good}");
        }
        for bad in ["", "Wall", "a b", "tường", "../x", &"x".repeat(65)] {
            assert!(!is_screen_name(bad), "{bad}");
        }
    }

    #[test]
    fn resumes_only_what_the_log_still_holds() {
        let at = |seq| Resume { epoch: "e".into(), seq };
        let cases = [
            (None, 1, 5, Start::Snapshot),
            (Some(Resume { epoch: "other".into(), seq: 3 }), 1, 5, Start::Snapshot),
            (Some(at(3)), 1, 5, Start::Resume(3)),
            (Some(at(5)), 1, 5, Start::Resume(5)),
            (Some(at(6)), 1, 5, Start::SnapshotAfterLoss),
            (Some(at(3)), 4, 5, Start::Resume(3)),
            (Some(at(2)), 4, 5, Start::Snapshot),
            (Some(at(0)), 1, 0, Start::Resume(0)),
            (Some(at(1)), 1, MAX_REPLAY + 1, Start::Resume(1)),
            (Some(at(1)), 1, MAX_REPLAY + 2, Start::Snapshot),
            (Some(at(u64::MAX)), 1, 5, Start::SnapshotAfterLoss),
        ];
        for (resume, floor, head, wanted) in cases {
            assert_eq!(
                start(resume.as_ref(), "e", floor, head),
                wanted,
                "{resume:?} {floor} {head}"
            );
        }
    }
}
