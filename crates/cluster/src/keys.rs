//! Key files that every process needs the same: links sealed by one are opened by another.

use std::io;
use std::path::Path;

use async_nats::jetstream::kv::CreateErrorKind;
use tokio::fs;
use tracing::{info, warn};

use crate::files::{FOR_OWNER, write};
use crate::{Cluster, Error, name};

impl Cluster {
    /// Makes the key files `names` in `folder` the same for all: the first process to come gives
    /// its own, every other one gets those bytes, readable by its owner only. Tells the names of
    /// which nobody has a file yet: make them, then call this once more *before* they are used, as
    /// another process may have been first.
    ///
    /// # Errors
    /// A name that cannot be a key, a file that cannot be read or written, or servers that do not
    /// answer.
    pub async fn keys(&self, folder: &Path, names: &[&str]) -> Result<Vec<String>, Error> {
        let mut missing = Vec::new();
        for file in names {
            if !name::is_key(file) {
                return Err(Error::Name((*file).to_owned()));
            }
            let path = folder.join(file);
            let own = match fs::read(&path).await {
                Ok(own) => Some(own),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(Error::file(&path)(error)),
            };
            match (self.agree(file, own.as_deref()).await?, own) {
                (None, _) => missing.push((*file).to_owned()),
                (Some(all), Some(own)) if all == own => {}
                (Some(all), own) => {
                    if own.is_some() {
                        warn!(file, "this machine's own key gives way to the cluster's");
                    }
                    write(&path, &all, FOR_OWNER).await.map_err(Error::file(&path))?;
                }
            }
        }
        Ok(missing)
    }

    /// The bytes all have; `own` where nobody had any.
    async fn agree(&self, file: &str, own: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        if let Some(own) = own {
            match self.0.keys.create(file, own.to_vec().into()).await {
                Ok(_) => {
                    info!(file, "this machine's key is the cluster's");
                    return Ok(Some(own.to_vec()));
                }
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::nats("take a key")(error)),
            }
        }
        let all = self.0.keys.get(file).await.map_err(Error::nats("show a key"))?;
        Ok(all.map(|all| all.to_vec()))
    }
}
