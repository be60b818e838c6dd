//! A process that is measured: started, read in `/proc`, and killed by its id.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};

use super::usage::{self, Usage};

/// A running process; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    id: u32,
    name: String,
}

impl Process {
    /// Starts a program; `package` is the Debian package that has it, if it is not ours.
    pub(super) fn start(command: &mut Command, package: Option<&str>) -> anyhow::Result<Self> {
        let path = command.as_std().get_program().to_owned();
        let path = Path::new(&path);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let child = match command.stdin(Stdio::null()).kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) => match package {
                Some(package) if error.kind() == std::io::ErrorKind::NotFound => {
                    bail!("{} is not installed: sudo apt-get install -y {package}", path.display())
                }
                _ => {
                    return Err(error).with_context(|| format!("cannot start {}", path.display()));
                }
            },
        };
        let id = child.id().context("it ended at once")?;
        Ok(Self { child, id, name })
    }

    /// Its standard output, once, if that was piped.
    pub(super) fn stdout(&mut self) -> anyhow::Result<tokio::process::ChildStdout> {
        self.child.stdout.take().context("its standard output is piped")
    }

    /// Fails if it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "{} ended: {ended:?}", self.name);
        Ok(())
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        usage::of(self.id).with_context(|| self.name.clone())
    }

    /// Bytes it has caused to be written to disks so far.
    pub(super) fn written(&self) -> anyhow::Result<u64> {
        usage::written(self.id).with_context(|| self.name.clone())
    }

    /// `kill -9`, and waits until it is gone.
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_installed_is_told_with_its_package() {
        let mut command = Command::new("no-such-server");
        let error = Process::start(&mut command, Some("such-server")).unwrap_err().to_string();
        assert!(error.contains("apt-get install -y such-server"), "{error}");
    }

    #[tokio::test]
    async fn a_process_is_read_and_killed_by_its_id() {
        let mut sleeping = Process::start(Command::new("sleep").arg("60"), None).unwrap();
        sleeping.check().unwrap();
        assert!(sleeping.usage().unwrap().rss_mb > 0.0);
        let id = sleeping.id;
        sleeping.kill().await.unwrap();
        assert!(!Path::new(&format!("/proc/{id}/stat")).exists());
    }
}
