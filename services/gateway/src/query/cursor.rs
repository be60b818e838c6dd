//! Pure: where a page begins. For whoever asks a cursor is a text that says nothing; here it is the
//! last row of the page before: its time, what its values lean on, and its line where there are
//! several.

use std::fmt;

use sen_model::Timestamp;

/// Between the parts; no time, number or name of a line before it holds one.
const BETWEEN: char = '~';

/// The last row of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Event time of a reading, start of a window.
    pub(crate) at: Timestamp,
    /// Of a reading: what tells it from others of its millisecond.
    pub(crate) sequence: u32,
    /// Of a window: the start of the last one that had values of its own, if later ones take
    /// theirs from it.
    pub(crate) leans_on: Option<Timestamp>,
    /// The line it belongs to; none where there is only one.
    pub(crate) line: Option<String>,
}

impl Cursor {
    /// What a page gave; none if none did.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, BETWEEN);
        let first = parts.next()?;
        let (at, sequence) = first.split_once('.').unwrap_or((first, "0"));
        let leans_on = match parts.next() {
            None | Some("") => None,
            Some(ms) => Some(Timestamp::from_millis(ms.parse().ok()?)),
        };
        let line = parts.next().map(str::to_owned);
        let (at, sequence) = (Timestamp::from_millis(at.parse().ok()?), sequence.parse().ok()?);
        Some(Self { at, sequence, leans_on, line })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at.as_millis())?;
        if self.sequence > 0 {
            write!(f, ".{}", self.sequence)?;
        }
        if self.leans_on.is_some() || self.line.is_some() {
            write!(f, "{BETWEEN}")?;
        }
        if let Some(leans_on) = self.leans_on {
            write!(f, "{}", leans_on.as_millis())?;
        }
        match &self.line {
            Some(line) => write!(f, "{BETWEEN}{line}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cursors_come_back(
            at in any::<i64>(),
            sequence in prop_oneof![Just(0), any::<u32>()],
            leans_on in any::<Option<i64>>(),
            line in proptest::option::of("[a-z0-9~_-]{0,9}/[a-z]{1,9}"),
        ) {
            let (at, leans_on) = (Timestamp::from_millis(at), leans_on.map(Timestamp::from_millis));
            let cursor = Cursor { at, sequence, leans_on, line };
            prop_assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,40}") {
            let _ = Cursor::parse(&text);
        }
    }

    #[test]
    fn what_no_page_gave_is_none() {
        for wrong in ["", "x", "1.x", "1~x", "~", "1.2.3", "99999999999999999999"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
        assert!(Cursor::parse("1795417325120").is_some(), "a plain time");
    }
}
