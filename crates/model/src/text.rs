//! Words shown to people, in both languages.

use serde::{Deserialize, Serialize};

/// One text in Vietnamese and English.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// Vietnamese, with diacritics: what the operations centre reads.
    pub vi: String,
    /// English, beside it.
    pub en: String,
}

impl Text {
    /// A text from its two languages.
    pub fn new(vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self { vi: vi.into(), en: en.into() }
    }
}
