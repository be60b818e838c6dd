//! Names that identify things, checked where they enter.

use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize};

/// A name that breaks its rule; says which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    rule: &'static str,
    text: String,
}

/// How much of a bad name an error repeats, in characters.
const SHOWN_CHARS: usize = 64;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(CompactString);

        impl $name {
            #[doc = concat!("Checks and takes a ", $what, ".")]
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                let text = text.as_ref();
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    return Ok(Self(CompactString::new(text)));
                }
                let shown = text.chars().take(SHOWN_CHARS).collect();
                Err(InvalidName { what: $what, rule: $rule, text: shown })
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = CompactString::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_slug(text: &str, min: usize) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    let bytes = text.as_bytes();
    (min..=64).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().copied().all(ok)
}

name!(
    /// What reports: a sensor, a gateway, a system.
    ///
    /// Narrow on purpose: it stands in MQTT topics, URLs and line protocol, where `+`, `#`, `/`,
    /// quotes or spaces have been a way in for attackers of other brokers.
    DeviceId,
    "device id",
    "3 to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit",
    |text| is_slug(text, 3)
);

name!(
    /// What a device measures, with its unit last where it has one: `water_level_m`.
    Metric,
    "metric",
    "1 to 64 of letters, digits, '.', '_' and '-', beginning with a letter",
    |text| {
        let bytes = text.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes[0].is_ascii_alphabetic()
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    }
);

name!(
    /// The official code of an area: two digits for a province, five for a commune.
    AreaCode,
    "area code",
    "the official code: 2 digits for a province, 5 for a commune",
    |text| matches!(text.len(), 2 | 5) && text.bytes().all(|b| b.is_ascii_digit())
);

name!(
    /// The id of a rule in `rules.toml`.
    RuleId,
    "rule id",
    "1 to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit",
    |text| is_slug(text, 1)
);

/// A device and one of its metrics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// What reports.
    pub device: DeviceId,
    /// What it measures.
    pub metric: Metric,
}

impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_ids_keep_wildcards_and_separators_out() {
        for good in ["stn-my-tho", "a1b", "000", "cam_01"] {
            assert!(DeviceId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", "#", "a/b/c", "Tram-1", "trạm", "-abc", "a b c", &"x".repeat(65)] {
            assert!(DeviceId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn errors_say_the_rule_and_stay_short() {
        let error = AreaCode::new("x".repeat(9_999)).unwrap_err().to_string();
        assert!(error.contains("5 for a commune") && error.len() < 200, "{error}");
    }
}
