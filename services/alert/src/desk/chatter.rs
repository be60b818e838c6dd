//! Pure: which rules chatter over which series, and what would end that.
//!
//! An alert chatters if it was raised three times within any one minute (EEMUA 191, ISA-18.2); a
//! backtest counts by the same function. The minute is of event time, when the condition began to hold: what a device sends late in one go did not
//! happen in one go, and a replay finds the same.
//!
//! What is suggested is worked out of the last episodes: a clear value beyond the swing of the
//! values, a `for` longer than the short breaches, a `clear_for` longer than the short calms.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use sen_model::{AlertId, AlertRecord, Change, Entry, EntryId, Text, Timestamp};

use super::Desk;
use super::entries::SEN;
use super::list::Place;
use crate::records::Records;

/// Raises within [`WITHIN_MS`] that make an alert chatter.
const RAISES: usize = 3;
/// The minute they are counted in.
const WITHIN_MS: i64 = 60_000;
/// Episodes a place remembers.
const MOST_BOUTS: usize = 8;
/// Places remembered; beyond it those that have been calm for a minute are forgotten.
const MOST_PLACES: usize = 50_000;
/// Places that ever get a hint, at most; beyond it alerts are only marked.
const MOST_HINTS: usize = 500;
/// A hint is given anew after this long, at the earliest.
const HINT_AGAIN_MS: i64 = 10 * 60_000;
/// How much longer than what was seen a suggested time is, in parts of ten.
const LONGER_TENTHS: i64 = 15;
/// The part of the swing that a suggested clear value lies beyond it.
const BEYOND: f64 = 0.1;

/// One short episode.
#[derive(Clone, Debug, PartialEq)]
struct Bout {
    started_at: Timestamp,
    raised: Option<f64>,
    ceased: Option<(Timestamp, Option<f64>)>,
}

/// The last episodes of every place.
#[derive(Debug, Default)]
pub(super) struct Chatter {
    places: HashMap<Place, VecDeque<Bout>>,
    newest: Timestamp,
}

/// What would end the chatter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Advice {
    pub(super) raises: u32,
    pub(super) clear: Option<f64>,
    pub(super) for_ms: Option<i64>,
    pub(super) clear_for_ms: Option<i64>,
}

impl Chatter {
    /// Takes a record of the alert log; every record may come again.
    pub(super) fn note(&mut self, record: &AlertRecord) {
        match record.change {
            Change::Raised => self.raise(record),
            Change::Cleared => {
                let Some(bouts) = self.places.get_mut(&Place::of(record)) else { return };
                let bout = bouts.iter_mut().find(|bout| bout.started_at == record.started_at);
                if let (Some(bout), Some(at)) = (bout, record.cleared_at) {
                    bout.ceased = Some((at, record.value));
                }
            }
            _ => {}
        }
    }

    fn raise(&mut self, record: &AlertRecord) {
        self.newest = self.newest.max(record.started_at);
        if self.places.len() >= MOST_PLACES {
            let calm_since = self.newest.as_millis() - WITHIN_MS;
            let is_lively = |bout: &Bout| bout.started_at.as_millis() >= calm_since;
            self.places.retain(|_, bouts| bouts.back().is_some_and(is_lively));
        }
        let bouts = self.places.entry(Place::of(record)).or_default();
        let later = bouts.partition_point(|bout| bout.started_at < record.started_at);
        if bouts.get(later).is_some_and(|bout| bout.started_at == record.started_at) {
            return;
        }
        let (started_at, raised) = (record.started_at, record.value);
        bouts.insert(later, Bout { started_at, raised, ceased: None });
        if bouts.len() > MOST_BOUTS {
            bouts.pop_front();
        }
    }

    /// Whether an alert that is being raised chatters: it is not yet among the noted.
    pub(super) fn would(&self, record: &AlertRecord) -> bool {
        let Some(bouts) = self.places.get(&Place::of(record)) else { return false };
        let starts = bouts.iter().map(|bout| bout.started_at);
        let mut starts: Vec<Timestamp> = starts.filter(|at| *at != record.started_at).collect();
        let own = starts.partition_point(|at| *at < record.started_at);
        starts.insert(own, record.started_at);
        chattering(&starts, |at| *at).any(|few| few.contains(&own))
    }

    /// What would end the chatter at the place of an alert.
    fn advice(&self, record: &AlertRecord) -> Option<Advice> {
        let bouts: Vec<&Bout> = self.places.get(&Place::of(record))?.iter().collect();
        let own = bouts.iter().position(|bout| bout.started_at == record.started_at)?;
        // The most that a minute holds with this one among them.
        let within = |first: usize| {
            let last = bouts[first].started_at.plus_ms(WITHIN_MS);
            bouts.partition_point(|bout| bout.started_at <= last)
        };
        let counts =
            (0..=own).filter(|first| within(*first) > own).map(|first| within(first) - first);
        let near = counts.max().unwrap_or(1);
        let breaches =
            bouts.iter().filter_map(|bout| Some(bout.ceased?.0.since_ms(bout.started_at)));
        let calms = bouts
            .windows(2)
            .filter_map(|pair| Some(pair[1].started_at.since_ms(pair[0].ceased?.0)));
        Some(Advice {
            raises: u32::try_from(near).unwrap_or(u32::MAX),
            clear: clear_value(&bouts),
            for_ms: longer(breaches),
            clear_for_ms: longer(calms),
        })
    }
}

/// Of raises in the order of time, the runs of [`RAISES`] that a minute holds.
pub(crate) fn chattering<T>(
    raises: &[T],
    at: impl Fn(&T) -> Timestamp,
) -> impl Iterator<Item = Range<usize>> {
    let runs = raises.windows(RAISES).enumerate();
    let is_short = move |(_, few): &(usize, &[T])| match few {
        [first, .., last] => at(last).since_ms(at(first)) <= WITHIN_MS,
        _ => false,
    };
    runs.filter(is_short).map(|(first, few)| first..first + few.len())
}

/// A whole second longer than the longest of some short times.
fn longer(times: impl Iterator<Item = i64>) -> Option<i64> {
    let longest = times.filter(|ms| (0..=WITHIN_MS).contains(ms)).max()?;
    let more = longest * LONGER_TENTHS / 10;
    Some((more / 1_000 + 1) * 1_000)
}

/// The value beyond the swing, on the good side: below it where large values are bad.
fn clear_value(bouts: &[&Bout]) -> Option<f64> {
    let raised: Vec<f64> = bouts.iter().filter_map(|bout| bout.raised).collect();
    let ceased: Vec<f64> = bouts.iter().filter_map(|bout| bout.ceased?.1).collect();
    if raised.is_empty() || ceased.is_empty() {
        return None;
    }
    let low = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let swing = high(&raised).max(high(&ceased)) - low(&raised).min(low(&ceased));
    if swing <= 0.0 {
        return None;
    }
    // One digit finer than the swing: nobody sets a limit to the micrometre.
    let step = 10_f64.powf(swing.log10().floor() - 1.0);
    let is_upper = low(&raised) >= high(&ceased);
    let is_lower = high(&raised) <= low(&ceased);
    let value = match (is_upper, is_lower) {
        (true, _) => ((low(&ceased) - BEYOND * swing) / step).floor() * step,
        (_, true) => ((high(&ceased) + BEYOND * swing) / step).ceil() * step,
        _ => return None,
    };
    // Without the dust of binary fractions.
    format!("{value:.9}").parse().ok()
}

impl Desk {
    /// Gives a hint about an alert that was raised and chatters, not too often.
    pub(super) fn hint(&mut self, id: &AlertId, now: Timestamp, out: &mut Records) {
        let Some(alert) = self.alerts.get(id).filter(|a| a.chattering && a.rev == 1) else {
            return;
        };
        let mut name = format!("hint-{}.{}", alert.rule, alert.device);
        if let Some(metric) = &alert.metric {
            name = format!("{name}.{metric}");
        }
        let entry = EntryId::from_text(name);
        let may = match self.entries.get(&entry) {
            Some(held) => now.since_ms(held.at).abs() >= HINT_AGAIN_MS,
            None => self.entries.hints() < MOST_HINTS,
        };
        if !may {
            return;
        }
        let Some(advice) = self.chatter.advice(alert) else { return };
        let Advice { raises, clear, for_ms, clear_for_ms } = advice;
        let (rule, device) = (alert.rule.clone(), alert.device.clone());
        let (metric, text) = (alert.metric.clone(), words(&advice));
        let hint = Entry::Hint { rule, device, metric, raises, clear, for_ms, clear_for_ms, text };
        // A replay that comes later than that finds what it found before.
        if self.entries.get(&entry).is_some_and(|held| held.entry == hint) {
            return;
        }
        self.enter(self.entries.next(entry, true, SEN, now, hint), out);
    }
}

/// The advice in words.
fn words(advice: &Advice) -> Text {
    let Advice { raises, clear, for_ms, clear_for_ms } = advice;
    let mut text = Text::new(
        format!("Báo rồi hết {raises} lần trong một phút."),
        format!("Raised {raises} times within a minute."),
    );
    let mut add = |vi: String, en: String| {
        text.vi.push_str(&vi);
        text.en.push_str(&en);
    };
    if let Some(clear) = clear {
        let comma = clear.to_string().replace('.', ",");
        add(format!(" Nên đặt ngưỡng kết thúc {comma}."), format!(" Let it clear at {clear}."));
    }
    if let Some(ms) = for_ms {
        let s = ms / 1_000;
        add(
            format!(" Nên chờ vượt ngưỡng đủ {s} giây mới báo."),
            format!(" Let the breach last {s} s first."),
        );
    }
    if let Some(ms) = clear_for_ms {
        let s = ms / 1_000;
        add(
            format!(" Nên chờ ổn định đủ {s} giây mới kết thúc."),
            format!(" Let it be good for {s} s before it clears."),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::at;

    fn bout(start_s: i64, raised: f64, end_s: i64, ceased: f64) -> Bout {
        Bout {
            started_at: at(start_s * 1_000),
            raised: Some(raised),
            ceased: Some((at(end_s * 1_000), Some(ceased))),
        }
    }

    #[test]
    fn the_suggested_clear_value_lies_beyond_the_swing_on_the_good_side() {
        let upper = [bout(0, 1.62, 2, 1.57), bout(5, 1.61, 7, 1.58)];
        assert_eq!(clear_value(&upper.iter().collect::<Vec<_>>()), Some(1.565));
        let lower = [bout(0, 3.9, 2, 4.1), bout(5, 3.8, 7, 4.05)];
        assert_eq!(clear_value(&lower.iter().collect::<Vec<_>>()), Some(4.13));
        let silent = Bout { raised: None, ..bout(0, 0.0, 1, 0.0) };
        assert_eq!(clear_value(&[&silent]), None);
        assert_eq!(clear_value(&[&bout(0, 1.0, 1, 1.0)]), None, "no swing");
    }

    #[test]
    fn the_suggested_times_are_longer_than_what_was_short() {
        assert_eq!(longer([2_000, 4_000, 3_000].into_iter()), Some(7_000));
        assert_eq!(longer([900_000].into_iter()), None, "that was not short");
        assert_eq!(longer(std::iter::empty()), None);
    }
}
