//! Where the figures were measured: without it they mean nothing.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use sen_chassis::clock::Stopwatch;
use serde_json::Value;

use super::report::{Headline, Outcome, Sample, histogram};

/// Blocks written one by one to learn what the disk takes for an `fdatasync`.
const SYNCS: usize = 200;
const BLOCK: [u8; 4_096] = [0x5e; 4_096];
/// Files a process needs beside its connections.
const OTHER_FILES: u64 = 64;

/// Cores, processor, file system, and what one `fdatasync` of 4 KiB takes there.
pub(super) fn describe(folder: &Path) -> anyhow::Result<Outcome> {
    let cores = std::thread::available_parallelism()?.get();
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let file_system = file_system(&mounts, folder).unwrap_or("unknown").to_owned();
    if file_system == "tmpfs" {
        eprintln!(
            "{} is in memory: fdatasync costs nothing there; use --scratch",
            folder.display()
        );
    }
    let settings: Vec<(&'static str, Value)> = vec![
        ("bench", "machine".into()),
        ("cores", cores.into()),
        ("processor", model(&processor).unwrap_or("unknown").into()),
        ("file_system", file_system.into()),
    ];
    let headline = Headline { figure: "sync_p50_ms", target: None };
    Ok(Outcome::new(settings, &[sync_times(folder)?], headline))
}

/// Refuses to begin what the limit of open files would break in the middle.
pub(super) fn check_open_files(connections: u64) -> anyhow::Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let needed = connections + OTHER_FILES;
    let enough = open_files(&limits).is_none_or(|most| most >= needed);
    ensure!(enough, "{connections} connections need {needed} open files: try `ulimit -n 4096`");
    Ok(())
}

fn sync_times(folder: &Path) -> anyhow::Result<Sample> {
    let path = folder.join("sync");
    let mut file =
        File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut sync_us = histogram();
    for _ in 0..SYNCS {
        let begun = Stopwatch::start();
        file.write_all(&BLOCK)?;
        file.sync_data()?;
        sync_us.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
    }
    std::fs::remove_file(path)?;
    Ok(Sample::default().latency(["sync_p50_ms", "sync_p99_ms", "sync_max_ms"], &sync_us))
}

fn model(processor: &str) -> Option<&str> {
    let line = processor.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

/// The type of the mount with the longest path above the folder.
fn file_system<'t>(mounts: &'t str, folder: &Path) -> Option<&'t str> {
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    above.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

fn open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_file_system_of_a_folder() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /home xfs rw 0 0\n";
        for (folder, kind) in
            [("/var/x", "ext4"), ("/tmp/x", "tmpfs"), ("/home", "xfs"), ("/tmpx", "ext4")]
        {
            assert_eq!(file_system(mounts, Path::new(folder)), Some(kind), "{folder}");
        }
    }

    #[test]
    fn reads_the_limit_of_open_files() {
        let limits = "Limit   Soft Limit  Hard Limit Units\nMax open files  1024  4096  files\n";
        assert_eq!(open_files(limits), Some(1_024));
        assert_eq!(open_files("Max open files  unlimited  unlimited files"), None);
    }

    #[test]
    fn reads_the_processor() {
        assert_eq!(
            model("processor : 0\nmodel name\t: Fast One @ 3 GHz\n"),
            Some("Fast One @ 3 GHz")
        );
        assert_eq!(model(""), None);
    }

    #[test]
    fn a_disk_takes_some_time() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = describe(folder.path()).unwrap();
        let json = serde_json::to_value(&outcome).unwrap();
        assert_eq!(json["bench"], "machine");
        assert!(json["sync_p50_ms"].is_number());
    }
}
