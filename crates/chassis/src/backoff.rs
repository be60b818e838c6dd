//! One retry policy: doubling with jitter, within bounds.

use std::time::Duration;

/// Doubling delays from `first` to `most`, each shortened by up to half so that many clients do
/// not return at once.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
    noise: u64,
}

impl Backoff {
    /// Delays from `first` to `most`; `seed` sets the jitter.
    pub fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self { first, most, failures: 0, noise: seed | 1 }
    }

    /// Whether the last try succeeded (or none was made): the moment for one `warn`.
    pub fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    /// Counts a failure and tells how long to wait.
    pub fn failed(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        // xorshift64: enough to spread clients, no dependency.
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        let half = doubled / 2;
        let jitter_ms = half.as_millis().max(1).min(u128::from(u64::MAX)) as u64;
        half + Duration::from_millis(self.noise % jitter_ms)
    }

    /// Forgets the failures; tells whether there were any: the moment for the line of recovery.
    pub fn succeeded(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_within_its_bounds_and_starts_again() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, most, 7);
        assert!(backoff.is_fresh());
        for _ in 0..100 {
            let delay = backoff.failed();
            assert!(delay >= first / 2 && delay <= most, "{delay:?}");
        }
        assert!(backoff.succeeded() && backoff.is_fresh() && !backoff.succeeded());
    }
}
