//! Secrets: they stand in files, and are printed nowhere.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest file that is taken for a secret, in bytes.
const SECRET_BYTES: usize = 16 << 10;

/// Something that is written nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    /// Where it came from: what stands there later counts then.
    file: Option<PathBuf>,
}

impl Secret {
    /// A secret that never changes.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), file: None }
    }

    /// What a file holds, without the line breaks at its end.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let text = text.trim_end();
        if text.is_empty() || text.len() > SECRET_BYTES {
            return Err(format!("a secret has 1 to {SECRET_BYTES} bytes"));
        }
        Ok(Self { text: text.to_owned(), file: Some(file.to_owned()) })
    }

    /// The secret as it was when it was read.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// The secret as it stands in its file now: tokens of some services live for a day only, and
    /// something else renews them. If the file cannot be read, as it was.
    pub(crate) fn now(&self) -> String {
        let again = self.file.as_deref().and_then(|file| Self::read(file).ok());
        again.map_or_else(|| self.text.clone(), |again| again.text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_holds_later_counts_then() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(Secret::read(&file).is_err());
        fs::write(&file, "one\n").unwrap();
        let secret = Secret::read(&file).unwrap();
        assert_eq!((secret.reveal(), secret.now().as_str()), ("one", "one"));
        fs::write(&file, "two\n").unwrap();
        assert_eq!((secret.reveal(), secret.now().as_str()), ("one", "two"));
        fs::write(&file, "\n").unwrap();
        assert_eq!(secret.now(), "one", "an empty file is a mistake");
        fs::remove_file(&file).unwrap();
        assert_eq!(secret.now(), "one");
        assert_eq!(format!("{secret:?}"), "…");
    }
}
