//! When a lease is ours and when it is lost. Pure: times are given in.
//!
//! The servers forget a claim `lease` after they took its last renewal. The holder counts from
//! the moment it *sent* that renewal, which is earlier, and stops a margin before: for clocks that
//! run apart, and for the time it needs to stop. So it has stopped before another can begin.

use std::time::Duration;

/// The times that follow from the length of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    lease: Duration,
}

impl Terms {
    /// The shortest lease that leaves room for a renewal and its repeat.
    pub(crate) const SHORTEST: Duration = Duration::from_secs(1);

    /// Of a lease this long.
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease: lease.max(Self::SHORTEST) }
    }

    /// After this long without a renewal the servers give it to another.
    pub(crate) fn lease(self) -> Duration {
        self.lease
    }

    /// For this long after the sending of the last renewal it is ours: three quarters.
    pub(crate) fn kept(self) -> Duration {
        self.lease - self.lease / 4
    }

    /// From one renewal to the next: a third.
    pub(crate) fn renewed_each(self) -> Duration {
        self.lease / 3
    }

    /// From a renewal that failed to its repeat.
    pub(crate) fn repeated_after(self) -> Duration {
        self.lease / 12
    }

    /// How long to wait for the servers' answer; a renewal and its repeat fit into what is kept.
    pub(crate) fn answered_within(self) -> Duration {
        self.lease / 6
    }

    /// Who waits for a lease tries at least this often.
    pub(crate) fn tried_each(self) -> Duration {
        (self.lease / 8).min(Duration::from_millis(500))
    }
}

/// What the bucket shows where our renewal met another revision than we knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The revision there.
    pub(crate) revision: u64,
    /// Whether it carries our mark.
    pub(crate) is_ours: bool,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A renewal of ours whose answer was lost, or the servers fell back to one: go on from it.
    Ours(u64),
    /// Another has it, or it was taken away.
    Lost,
    /// What was read is older than what we wrote: read again.
    Unsure,
}

/// Judges what is in the bucket against the revision of our last renewal that was acknowledged.
pub(crate) fn judge(acknowledged: u64, seen: Option<Seen>) -> Verdict {
    match seen {
        Some(Seen { revision, is_ours: true }) => Verdict::Ours(revision),
        // A replica that lags shows who held it before us.
        Some(Seen { revision, is_ours: false }) if revision < acknowledged => Verdict::Unsure,
        Some(_) | None => Verdict::Lost,
    }
}

/// Until when a lease is ours, `T` being moments of one monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim<T> {
    until: T,
    lost: bool,
}

impl<T: Copy + Ord + std::ops::Add<Duration, Output = T>> Claim<T> {
    /// Taken by a message sent at `sent`.
    pub(crate) fn new(sent: T, terms: Terms) -> Self {
        Self { until: sent + terms.kept(), lost: false }
    }

    /// Whether it is ours at `now`.
    pub(crate) fn is_ours(&self, now: T) -> bool {
        !self.lost && now < self.until
    }

    /// From when on it is not ours unless renewed.
    pub(crate) fn until(&self) -> T {
        self.until
    }

    /// The answer to a renewal sent at `sent` came at `now`. What was lost stays lost: somebody may
    /// have been told so already.
    pub(crate) fn renewed(&mut self, sent: T, now: T, terms: Terms) {
        if self.is_ours(now) {
            self.until = self.until.max(sent + terms.kept());
        } else {
            self.lost = true;
        }
    }

    /// It is not ours, whatever the time.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn two_tries_fit_into_what_is_kept_and_a_margin_is_left() {
        for lease in [1_000, 3_000, 10_000, 60_000].map(MS) {
            let terms = Terms::new(lease);
            let two_tries =
                terms.renewed_each() + terms.answered_within() * 2 + terms.repeated_after();
            assert!(two_tries <= terms.kept(), "{lease:?}");
            assert!(terms.kept() + lease / 5 < terms.lease(), "{lease:?}");
        }
        assert_eq!(Terms::new(MS(5)).lease(), Terms::SHORTEST);
    }

    #[test]
    fn ours_from_the_sending_and_what_is_lost_stays_lost() {
        // (what happens, by the millisecond) → ours just before and at that moment.
        enum Step {
            Answer { sent: u64, at: u64 },
            Look { at: u64, ours: bool },
        }
        use Step::{Answer, Look};
        let stories: [(&str, &[Step]); 4] = [
            ("no renewal", &[Look { at: 7_499, ours: true }, Look { at: 7_500, ours: false }]),
            (
                "counted from the sending, not from the answer",
                &[
                    Answer { sent: 3_000, at: 6_000 },
                    Look { at: 10_499, ours: true },
                    Look { at: 10_500, ours: false },
                ],
            ),
            (
                "an answer after the end revives nothing",
                &[Answer { sent: 3_000, at: 7_500 }, Look { at: 7_501, ours: false }],
            ),
            (
                "an answer out of order shortens nothing",
                &[
                    Answer { sent: 4_000, at: 5_000 },
                    Answer { sent: 3_000, at: 5_001 },
                    Look { at: 11_499, ours: true },
                ],
            ),
        ];
        for (name, steps) in stories {
            let terms = Terms::new(MS(10_000));
            let mut claim = Claim::new(MS(0), terms);
            for step in steps {
                match *step {
                    Answer { sent, at } => claim.renewed(MS(sent), MS(at), terms),
                    Look { at, ours } => assert_eq!(claim.is_ours(MS(at)), ours, "{name}, {at}"),
                }
            }
        }
        let mut claim = Claim::new(MS(0), Terms::new(MS(10_000)));
        claim.lose();
        assert!(!claim.is_ours(MS(1)));
    }

    #[test]
    fn what_the_bucket_shows_decides() {
        let seen = |revision, is_ours| Some(Seen { revision, is_ours });
        for (acknowledged, seen, verdict) in [
            (5, seen(5, true), Verdict::Ours(5)),
            (5, seen(6, true), Verdict::Ours(6)),
            (5, seen(4, true), Verdict::Ours(4)),
            (5, seen(6, false), Verdict::Lost),
            (5, seen(4, false), Verdict::Unsure),
            (5, None, Verdict::Lost),
        ] {
            assert_eq!(judge(acknowledged, seen), verdict, "{acknowledged} {seen:?}");
        }
    }
}
