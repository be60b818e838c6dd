//! A file that appears complete or not at all: written beside its place, flushed to the disk, then
//! renamed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Counts and hashes what passes through.
pub struct Measured<W> {
    inner: W,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> Measured<W> {
    /// Nothing yet.
    pub fn new(inner: W) -> Self {
        Self { inner, bytes: 0, hash: Sha256::new() }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was written to, the bytes, and their SHA-256 in hexadecimal.
    pub fn finish(self) -> (W, u64, String) {
        let hash = self.hash.finalize();
        let hex = hash.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        (self.inner, self.bytes, hex)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file on its way; dropped before its end it leaves nothing.
pub struct Beside {
    out: Option<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl Beside {
    /// Begins a file that will stand at `path`. One that was left unfinished is begun anew.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let out = Some(BufWriter::new(File::create(&part)?));
        Ok(Self { out, part, path: path.to_owned() })
    }

    /// The file is complete: puts it on the disk and in its place, over what may be there.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let placed = place(out, &self.part, &self.path);
        if placed.is_err() {
            let _ = std::fs::remove_file(&self.part);
        }
        placed
    }
}

fn place(out: BufWriter<File>, part: &Path, path: &Path) -> io::Result<()> {
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(part, path)?;
    // The name is on the disk only when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), BufWriter::flush)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            // What cannot be removed is begun anew the next time.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}
