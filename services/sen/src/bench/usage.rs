//! What a process has used, as Linux tells it in `/proc`.

use anyhow::Context;

/// `USER_HZ`: the unit of times in `/proc/<pid>/stat`. It is 100 on every architecture Rust's
/// Linux targets run on, whatever the kernel's own tick.
const TICKS_PER_S: f64 = 100.0;

/// CPU and memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time of all its threads, in seconds, to the hundredth.
    pub cpu_s: f64,
    /// Resident memory, in MB.
    pub rss_mb: f64,
    /// The most it ever was, in MB.
    pub peak_rss_mb: f64,
}

/// Of the process with this id.
pub(super) fn of(id: u32) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{id}/{name}");
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    parse(&read("stat")?, &read("status")?).context("an unknown form of /proc")
}

/// Bytes that the process with this id has caused to be written to disks.
pub(super) fn written(id: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{id}/io");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_written(&text).context("an unknown form of /proc")
}

fn parse_written(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("write_bytes:"))?.trim().parse().ok()
}

fn parse(stat: &str, status: &str) -> Option<Usage> {
    // The second field is the program's name in parentheses and may itself hold any of them.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(Usage {
        cpu_s: (user + system) / TICKS_PER_S,
        rss_mb: size_mb(status, "VmRSS:")?,
        peak_rss_mb: size_mb(status, "VmHWM:")?,
    })
}

fn size_mb(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsen\nVmPeak:\t  900 kB\nVmHWM:\t  4000 kB\nVmRSS:\t  1953125 kB\n";

    #[test]
    fn reads_time_and_memory() {
        let stat = "7 (sen) S 1 7 7 0 -1 4194304 98 0 0 0 250 50 9 9 20 0 4 0 215965 3133440 390";
        let expected = Usage { cpu_s: 3.0, rss_mb: 2_000.0, peak_rss_mb: 4.096 };
        assert_eq!(parse(stat, STATUS), Some(expected));
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse_it() {
        let stat = "7 (a ) 1 (b) S 1 7 7 0 -1 4194304 98 0 0 0 100 0 9 9 20 0 4 0 1 1 1";
        assert_eq!(parse(stat, STATUS).map(|usage| usage.cpu_s), Some(1.0));
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        assert_eq!(parse("7 (sen) S 1", STATUS), None);
        assert_eq!(parse("", ""), None);
    }

    #[test]
    fn reads_what_was_written() {
        let text = "rchar: 9\nwchar: 8\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n";
        assert_eq!((parse_written(text), parse_written("rchar: 9\n")), (Some(4_096), None));
    }

    #[test]
    fn this_very_process_uses_memory() {
        assert!(of(std::process::id()).unwrap().rss_mb > 0.5);
    }
}
