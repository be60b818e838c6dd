//! From one sight to the next: when a limit has been broken for long enough, and when it has been
//! kept again for long enough. Pure: values only.

use sen_model::Limit;

/// What a rule thinks of a series at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The limit is broken.
    Wrong,
    /// Not broken, and not yet back at the value that ends an episode.
    Undecided,
    /// Back.
    Right,
    /// Not judged at this hour or season: what is open ends without delay.
    Resting,
}

/// A verdict and its event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub time_ms: i64,
    pub verdict: Verdict,
}

/// One episode of one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start_ms: i64,
    pub raised_ms: i64,
    pub end_ms: Option<i64>,
}

/// The verdict on a number.
pub(super) fn verdict(value: f64, limit: &Limit) -> Verdict {
    if limit.bound.is_broken_by(value) {
        return Verdict::Wrong;
    }
    match limit.clear {
        // The good side of an upper limit is below it.
        Some(clear) if limit.bound.is_upper() && value > clear => Verdict::Undecided,
        Some(clear) if !limit.bound.is_upper() && value < clear => Verdict::Undecided,
        _ => Verdict::Right,
    }
}

/// The episodes of sights in order of time.
pub(super) fn walk(sights: &[Sight], limit: &Limit) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let (mut wrong_since, mut right_since) = (None, None);
    for sight in sights {
        match sight.verdict {
            Verdict::Wrong => {
                (wrong_since, right_since) = (wrong_since.or(Some(sight.time_ms)), None)
            }
            Verdict::Undecided => (wrong_since, right_since) = (None, None),
            Verdict::Right | Verdict::Resting => {
                (wrong_since, right_since) = (None, right_since.or(Some(sight.time_ms)));
            }
        }
        let lasts = |since: i64, least_ms: i64| sight.time_ms.saturating_sub(since) >= least_ms;
        let clear_for_ms = if sight.verdict == Verdict::Resting { 0 } else { limit.clear_for_ms };
        let is_open = spans.last().is_some_and(|span| span.end_ms.is_none());
        match (is_open, wrong_since, right_since) {
            (false, Some(since), _) if lasts(since, limit.for_ms) => {
                // Two may begin within one millisecond; their alerts need two names.
                let after = spans.last().map_or(i64::MIN, |span| span.start_ms.saturating_add(1));
                let (start_ms, raised_ms) = (since.max(after), sight.time_ms);
                spans.push(Span { start_ms, raised_ms, end_ms: None });
            }
            (true, _, Some(since)) if lasts(since, clear_for_ms) => {
                if let Some(span) = spans.last_mut() {
                    span.end_ms = Some(since);
                }
            }
            _ => {}
        }
    }
    spans
}
