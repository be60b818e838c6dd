//! How far an export is, on standard error: a line that changes on a terminal, a line now and then
//! elsewhere.

use std::io::Write;
use std::time::Duration;

use sen_chassis::clock::Stopwatch;
use sen_export::Done;

/// How often something is told.
const ON_A_TERMINAL: Duration = Duration::from_millis(200);
const ELSEWHERE: Duration = Duration::from_secs(10);

/// Tells people how far it is.
pub(super) struct Progress {
    series: usize,
    terminal: bool,
    watch: Stopwatch,
    told: Duration,
}

impl Progress {
    /// Of so many series.
    pub(super) fn new(series: usize, terminal: bool) -> Self {
        Self { series, terminal, watch: Stopwatch::start(), told: Duration::ZERO }
    }

    /// Tells it if something was not told just now.
    pub(super) fn tell(&mut self, done: Done, bytes: u64) {
        let elapsed = self.watch.elapsed();
        let pause = if self.terminal { ON_A_TERMINAL } else { ELSEWHERE };
        if elapsed - self.told < pause {
            return;
        }
        self.told = elapsed;
        let line = line(done, self.series, bytes, elapsed);
        let mut out = std::io::stderr();
        // Whoever closed standard error does not want to know.
        let _ = if self.terminal { write!(out, "\r\x1b[K{line}") } else { writeln!(out, "{line}") };
    }

    /// The last word.
    pub(super) fn complete(self, done: Done, bytes: u64) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        let seconds = self.watch.elapsed().as_secs_f64();
        let (series, rows) = (done.series, done.rows);
        let mut out = std::io::stderr();
        let _ = writeln!(
            out,
            "{clear}complete: {rows} rows of {series} series, {bytes} bytes, {seconds:.1} s"
        );
    }
}

fn line(done: Done, series: usize, bytes: u64, elapsed: Duration) -> String {
    let megabytes = bytes as f64 / 1e6;
    let told = format!("{} of {series} series, {} rows, {megabytes:.1} MB", done.series, done.rows);
    if done.series == 0 || done.series >= series {
        return told;
    }
    let left = elapsed.as_secs_f64() / done.series as f64 * (series - done.series) as f64;
    format!("{told}, about {left:.0} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_begins_with_the_first_complete_series() {
        let told =
            |series, rows| line(Done { series, rows }, 10, 2_500_000, Duration::from_secs(4));
        assert_eq!(told(0, 7), "0 of 10 series, 7 rows, 2.5 MB");
        assert_eq!(told(2, 9), "2 of 10 series, 9 rows, 2.5 MB, about 16 s left");
        assert_eq!(told(10, 9), "10 of 10 series, 9 rows, 2.5 MB");
    }
}
