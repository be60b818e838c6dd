//! The keys of this centre: made once, kept in the data folder, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use p256::SecretKey;
use p256::elliptic_curve::rand_core::{OsRng, RngCore};

use crate::link::Seal;

/// Bytes of each key.
const KEY_BYTES: usize = 32;

/// The files of the keys, in their folder.
pub const KEY_FILES: [&str; 2] = ["link.key", "vapid.key"];

/// Makes the keys that are missing in a folder.
pub fn make_keys(folder: &Path) -> Result<(), KeyError> {
    Keys::open(folder).map(drop)
}

/// What signs links and what signs push messages.
pub(crate) struct Keys {
    pub(crate) seal: Seal,
    pub(crate) vapid: SecretKey,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk said no.
    #[error("cannot read or make the key {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was damaged, or is another file. A new one would make every link and subscription void.
    #[error("{0} is not a key of Sen: restore it, or remove it to have a new one made")]
    Damaged(PathBuf),
    /// Others can read it.
    #[error("others can read {0}: make it private with chmod 600")]
    Open(PathBuf),
}

impl Keys {
    /// Reads the keys in a folder; makes those that are missing.
    pub(crate) fn open(folder: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let seal = Seal::new(key(&folder.join(KEY_FILES[0]), random)?);
        let path = folder.join(KEY_FILES[1]);
        let made = key(&path, || SecretKey::random(&mut OsRng).to_bytes().into())?;
        let vapid = SecretKey::from_slice(&made).map_err(|_| KeyError::Damaged(path))?;
        Ok(Self { seal, vapid })
    }
}

fn random() -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    OsRng.fill_bytes(&mut key);
    key
}

fn key(path: &Path, make: impl FnOnce() -> [u8; KEY_BYTES]) -> Result<[u8; KEY_BYTES], KeyError> {
    let failed = |source| KeyError::Io { path: path.to_owned(), source };
    match fs::read(path) {
        Ok(bytes) => {
            let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(KeyError::Open(path.to_owned()));
            }
            bytes.try_into().map_err(|_| KeyError::Damaged(path.to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = make();
            write(path, &key).map_err(failed)?;
            Ok(key)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whole or not at all, also over a crash.
fn write(path: &Path, key: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(key)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_belong_to_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("keys");
        let first = Keys::open(&folder).unwrap();
        let again = Keys::open(&folder).unwrap();
        assert_eq!(first.vapid, again.vapid);
        let claim = crate::link::Claim {
            delivery: "d".into(),
            alert: sen_model::AlertId::from_text("a"),
            person: "p".into(),
            until: sen_model::Timestamp::from_millis(1),
        };
        assert_eq!(first.seal.token(&claim), again.seal.token(&claim));
        for name in ["link.key", "vapid.key"] {
            let path = folder.join(name);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(matches!(Keys::open(&folder), Err(KeyError::Open(_))));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, b"short").unwrap();
            assert!(matches!(Keys::open(&folder), Err(KeyError::Damaged(_))));
            fs::write(&path, whole).unwrap();
        }
    }
}
