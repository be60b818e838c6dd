//! Pure: floods. More new alerts than the person at one desk can handle: ten within ten minutes
//! begin one, fewer than five within ten minutes end it (ISA-18.2, EEMUA 191). A desk is a field.
//!
//! Counted is what people are shown, by the time it was recorded, because a flood is about them.
//! A flood hides nothing: it is told, with the alert that came first, and screens roll up by group
//! what is not critical. It is told at once when it begins and ends, and in between at most every
//! [`AGAIN_MS`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sen_model::desk::Tally;
use sen_model::{
    AlertId, AlertRecord, AreaCode, Change, DeskRecord, Entry, EntryId, Field, Timestamp,
};

use super::Desk;
use super::entries::SEN;
use crate::records::Records;

/// New alerts within [`WITHIN_MS`] that begin a flood.
const BEGINS: usize = 10;
/// Fewer than this end it.
const ENDS_BELOW: usize = 5;
/// The ten minutes.
const WITHIN_MS: i64 = 10 * 60_000;
/// How often a flood is told while it lasts, at most.
const AGAIN_MS: i64 = 30_000;
/// Raises a desk remembers, at most; beyond it the oldest go and the peak is this.
const MOST_RECENT: usize = 20_000;
/// Rules and areas a flood lists, at most: those with the most alerts.
const MOST_TALLIES: usize = 50;

/// The desks that have had an alert lately.
#[derive(Debug, Default)]
pub(super) struct Floods(BTreeMap<Field, Water>);

/// What came to one desk.
#[derive(Debug, Default)]
struct Water {
    /// The raises of the last ten minutes.
    recent: BTreeSet<(Timestamp, AlertId)>,
    flood: Option<Flood>,
}

/// A flood that lasts.
#[derive(Debug, PartialEq)]
struct Flood {
    id: EntryId,
    started_at: Timestamp,
    first_out: AlertId,
    raised: u32,
    peak: u32,
    by_rule: BTreeMap<String, u32>,
    by_area: BTreeMap<String, u32>,
    told_at: Timestamp,
    told_raised: u32,
}

impl Floods {
    /// Takes a record of the alert log; every record may come again.
    pub(super) fn note(&mut self, record: &AlertRecord) {
        if record.change != Change::Raised || !record.is_shown() {
            return;
        }
        let water = self.0.entry(record.field).or_default();
        let is_new = water.recent.insert((record.recorded_at, record.id.clone()));
        if water.recent.len() > MOST_RECENT {
            water.recent.pop_first();
        }
        let count = water.count();
        if let Some(flood) = &mut water.flood
            && is_new
            && flood.told_at <= record.recorded_at
        {
            flood.peak = flood.peak.max(count);
            flood.add(record);
        }
    }

    /// Takes a record of the desk's log. What was raised after it counts on top of it.
    pub(super) fn enter(&mut self, record: &DeskRecord, alerts: &HashMap<AlertId, AlertRecord>) {
        let Entry::Flood { desk, started_at, first_out, raised, peak, by_rule, by_area, .. } =
            &record.entry
        else {
            return;
        };
        let water = self.0.entry(*desk).or_default();
        if !record.open {
            water.flood = None;
            return;
        }
        let counts = |tallies: &[Tally]| {
            tallies.iter().map(|tally| (tally.of.clone(), tally.count)).collect()
        };
        let mut flood = Flood {
            id: record.id.clone(),
            started_at: *started_at,
            first_out: first_out.clone(),
            raised: *raised,
            peak: *peak,
            by_rule: counts(by_rule),
            by_area: counts(by_area),
            told_at: record.at,
            told_raised: *raised,
        };
        let since = water.recent.iter().filter(|(at, _)| *at > record.at);
        since.filter_map(|(_, id)| alerts.get(id)).for_each(|alert| flood.add(alert));
        water.flood = Some(flood);
    }

    /// How many desks are flooded.
    pub(super) fn count(&self) -> usize {
        self.0.values().filter(|water| water.flood.is_some()).count()
    }

    /// Whether a desk is flooded.
    #[cfg(test)]
    pub(super) fn has(&self, desk: Field) -> bool {
        self.0.get(&desk).is_some_and(|water| water.flood.is_some())
    }
}

impl Water {
    fn count(&self) -> u32 {
        u32::try_from(self.recent.len()).unwrap_or(u32::MAX)
    }

    /// Forgets what is older than ten minutes. What a clock that was set back left in the future
    /// counts as of now.
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.recent.last()
            && *at > now
            && let Some((_, id)) = self.recent.pop_last()
        {
            self.recent.insert((now, id));
        }
        while let Some((at, _)) = self.recent.first()
            && now.since_ms(*at) > WITHIN_MS
        {
            self.recent.pop_first();
        }
    }
}

impl Flood {
    fn add(&mut self, record: &AlertRecord) {
        self.raised += 1;
        let area = record.area.as_ref().map_or("-", AreaCode::as_str);
        *self.by_rule.entry(record.rule.to_string()).or_default() += 1;
        *self.by_area.entry(area.to_owned()).or_default() += 1;
    }

    fn entry(&self, desk: Field, ended_at: Option<Timestamp>) -> Entry {
        Entry::Flood {
            desk,
            started_at: self.started_at,
            ended_at,
            first_out: self.first_out.clone(),
            raised: self.raised,
            peak: self.peak,
            by_rule: most(&self.by_rule),
            by_area: most(&self.by_area),
        }
    }
}

/// The largest counts, the most first.
fn most(counts: &BTreeMap<String, u32>) -> Vec<Tally> {
    let tally = |(of, count): (&String, &u32)| Tally { of: of.clone(), count: *count };
    let mut tallies: Vec<Tally> = counts.iter().map(tally).collect();
    tallies.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.of.cmp(&b.of)));
    tallies.truncate(MOST_TALLIES);
    tallies
}

impl Desk {
    /// Tells a flood as soon as it begins.
    pub(super) fn watch_flood(&mut self, desk: Field, now: Timestamp, out: &mut Records) {
        let Some(water) = self.floods.0.get_mut(&desk) else { return };
        if water.flood.is_some() || water.recent.len() < BEGINS {
            return;
        }
        water.forget(now);
        if water.recent.len() < BEGINS {
            return;
        }
        let Some((started_at, first_out)) = water.recent.first().cloned() else { return };
        let id = EntryId::from_text(format!(
            "flood-{}-{}",
            desk.as_str().replace('_', "-"),
            started_at.as_millis()
        ));
        // An ended flood that this would tell again: its alerts are still among the recent ones.
        if self.entries.get(&id).is_some() {
            return;
        }
        let mut flood = Flood {
            id: id.clone(),
            started_at,
            first_out,
            raised: 0,
            peak: water.count(),
            by_rule: BTreeMap::new(),
            by_area: BTreeMap::new(),
            told_at: now,
            told_raised: 0,
        };
        let recent = water.recent.iter().filter_map(|(_, id)| self.alerts.get(id));
        recent.for_each(|alert| flood.add(alert));
        let entry = flood.entry(desk, None);
        self.enter(self.entries.next(id, true, SEN, now, entry), out);
    }

    /// Tells how floods go on, and that they end.
    pub(super) fn watch_floods(&mut self, now: Timestamp, out: &mut Records) {
        let mut told = Vec::new();
        for (desk, water) in &mut self.floods.0 {
            water.forget(now);
            let Some(flood) = &water.flood else { continue };
            let is_over = water.recent.len() < ENDS_BELOW;
            let has_news = flood.raised != flood.told_raised;
            if is_over || (has_news && now.since_ms(flood.told_at).abs() >= AGAIN_MS) {
                let entry = flood.entry(*desk, is_over.then_some(now));
                told.push((flood.id.clone(), !is_over, entry));
            }
        }
        for (id, open, entry) in told {
            self.enter(self.entries.next(id, open, SEN, now, entry), out);
        }
    }
}
