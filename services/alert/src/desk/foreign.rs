//! Pure: alerts that another system judged, such as Prometheus through Alertmanager's API.
//!
//! The system tells an alert again and again while it holds, each time with when it is to be taken
//! as over if it is told no more. Told again, it changes nothing. An alert that was taken as over
//! for want of being told, and then is told again as holding, is a new episode: it must not stay
//! silent. What was told as over, or closed by a person, stays so.

use std::collections::BTreeMap;

use sen_model::{
    AlertId, AlertRecord, AreaCode, Changed, CommandOutcome, DeviceId, Foreign, RuleId, Text,
    Timestamp,
};
use sha2::{Digest, Sha256};

use super::lifecycle::returned;
use super::list::Place;
use super::{Desk, cut, words};
use crate::records::Records;

/// What the `rule_version` of every such alert begins with; no edition of a rule does.
const VERSION: &str = "foreign-";
/// Open alerts of other systems, at most: beyond it new ones are refused.
const MOST_FOREIGN: usize = 5_000;
/// How long an alert is kept at least after a start of ours, in milliseconds: while we were away we
/// were not told. Alertmanager tells every minute or so and gives up after five.
const GRACE_MS: i64 = 5 * 60_000;
/// Longest text, in characters a language.
const TEXT_CHARS: usize = 500;
/// Attributes kept, at most, the longest name and value of one, and bytes of them all.
const ATTRIBUTES: usize = 32;
const ATTRIBUTE_CHARS: (usize, usize) = (64, 300);
const ATTRIBUTES_BYTES: usize = 2_000;
/// The attribute of an alert that was taken as over because it was told no more.
const LAPSED: &str = "sen_lapsed";
/// The attribute that says until when the alert was to be kept when it was first told.
const ENDS_AT: &str = "sen_ends_at";
/// The device of an alert that names none, where the name of its system cannot be one.
const NOWHERE: &str = "foreign";

/// Whether another system told an alert.
pub(super) fn is_foreign(alert: &AlertRecord) -> bool {
    alert.rule_version.starts_with(VERSION)
}

impl Desk {
    /// Takes what another system tells.
    pub(super) fn hear(
        &mut self,
        told: &Foreign,
        now: Timestamp,
        out: &mut Records,
    ) -> CommandOutcome {
        let Some(record) = first_record(told, self.area_of(told), now) else {
            return CommandOutcome::Unknown;
        };
        let holding = self.holding_at(&Place::of(&record));
        match (holding, told.ends_at <= now) {
            (Some(id), true) => {
                let text = |held: &AlertRecord| words::told_as_over(&held.text);
                self.end_foreign(&id, told.ends_at, text, None, now, out);
                self.answer(&id)
            }
            (Some(id), false) => {
                self.ends.insert(id.clone(), told.ends_at);
                self.answer(&id)
            }
            (None, true) => self.answer(&record.id),
            (None, false) => self.begin(record, told.ends_at, now, out),
        }
    }

    fn begin(
        &mut self,
        mut record: AlertRecord,
        ends_at: Timestamp,
        now: Timestamp,
        out: &mut Records,
    ) -> CommandOutcome {
        if let Some(known) = self.alerts.get(&record.id) {
            let has_lapsed = known.attributes.contains_key(LAPSED) && known.closing.is_none();
            if !has_lapsed {
                return self.answer(&record.id.clone());
            }
            record.started_at = now;
            record.id = id_at(&record, now);
        }
        if self.list.foreign().len() >= MOST_FOREIGN {
            return CommandOutcome::Refused(words::too_many(MOST_FOREIGN));
        }
        let id = record.id.clone();
        self.ends.insert(id.clone(), ends_at);
        self.raise(record, now, out);
        self.follow(&id, now, out);
        self.answer(&id)
    }

    fn answer(&self, id: &AlertId) -> CommandOutcome {
        match self.alerts.get(id) {
            Some(alert) => CommandOutcome::Done(Changed::Alert(Box::new(alert.clone()))),
            None => CommandOutcome::Unknown,
        }
    }

    fn holding_at(&self, place: &Place) -> Option<AlertId> {
        let mut there = self.list.levels(place).map(|(_, id)| id);
        there.find(|id| self.alerts.get(*id).is_some_and(AlertRecord::holds)).cloned()
    }

    fn area_of(&self, told: &Foreign) -> Option<AreaCode> {
        let device = told.device.as_ref().and_then(|id| self.around.registry.device(id));
        told.area.clone().or_else(|| device.map(|device| device.area.clone()))
    }

    fn end_foreign(
        &mut self,
        id: &AlertId,
        ceased_at: Timestamp,
        text: impl Fn(&AlertRecord) -> Text,
        mark: Option<&str>,
        now: Timestamp,
        out: &mut Records,
    ) {
        self.ends.remove(id);
        let Some(held) = self.alerts.get(id) else { return };
        let needs = held.severity <= sen_model::Severity::HIGH;
        let ceased_at = ceased_at.max(held.started_at);
        let Some(mut record) = returned(held, needs, ceased_at, now) else { return };
        record.text = text(held);
        record.attributes.extend(mark.map(|mark| (mark.to_owned(), "true".to_owned())));
        self.record(record, out);
        self.follow(id, now, out);
    }

    /// Ends the alerts that were not told again in time.
    pub(super) fn end_untold(&mut self, now: Timestamp, out: &mut Records) {
        let open: Vec<AlertId> = self.list.foreign().iter().cloned().collect();
        self.ends.retain(|id, _| open.binary_search(id).is_ok());
        for id in open {
            let Some(held) = self.alerts.get(&id).filter(|held| held.holds()) else { continue };
            let at_first: Option<Timestamp> =
                held.attributes.get(ENDS_AT).and_then(|text| text.parse().ok());
            let after_start = Timestamp::from_millis(now.as_millis().saturating_add(GRACE_MS));
            let at_first = at_first.map_or(after_start, |at| at.max(after_start));
            let ends_at = *self.ends.entry(id.clone()).or_insert(at_first);
            if ends_at <= now {
                let text = |held: &AlertRecord| words::told_no_more(&held.text);
                self.end_foreign(&id, ends_at, text, Some(LAPSED), now, out);
            }
        }
    }
}

/// The first record of what is told; none if its system has no name.
fn first_record(told: &Foreign, area: Option<AreaCode>, now: Timestamp) -> Option<AlertRecord> {
    let system = slug(&told.system);
    let rule = RuleId::new(slug(&format!("{}-{}", told.system, told.name))).ok()?;
    let nowhere = DeviceId::new(&system).or_else(|_| DeviceId::new(NOWHERE)).ok();
    let device = told.device.clone().or(nowhere)?;
    let key = Sha256::digest(format!("{}\n{}\n{}", told.system, told.name, told.key).as_bytes());
    let hex: String = key.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let place = area.as_ref().map_or("-", |area| area.as_str());
    let group = format!("{place}:{rule}");
    let mut record = AlertRecord {
        area,
        group,
        recorded_at: now,
        text: Text::new(cut(&told.text.vi, TEXT_CHARS), cut(&told.text.en, TEXT_CHARS)),
        attributes: bounded(&told.attributes),
        ..AlertRecord::raised(
            AlertId::from_text(""),
            rule,
            format!("{VERSION}{hex}"),
            told.severity,
            told.field,
            device,
            told.started_at,
        )
    };
    record.id = id_at(&record, told.started_at);
    record.attributes.insert(ENDS_AT.to_owned(), told.ends_at.to_string());
    Some(record)
}

fn id_at(record: &AlertRecord, started_at: Timestamp) -> AlertId {
    let AlertRecord { rule, rule_version, device, metric, .. } = record;
    AlertId::of_episode(rule, rule_version, device, metric.as_ref(), started_at)
}

/// A name in the alphabet of ids: small letters, digits, hyphens; what else there is becomes one
/// hyphen.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' | '0'..='9' | '_' if !(letter == '_' && slug.is_empty()) => slug.push(letter),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
        if slug.len() == 64 {
            break;
        }
    }
    slug.trim_end_matches('-').to_owned()
}

fn bounded(attributes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let (name_chars, value_chars) = ATTRIBUTE_CHARS;
    let mut room = ATTRIBUTES_BYTES;
    let mut kept = BTreeMap::new();
    for (name, value) in attributes.iter().take(ATTRIBUTES) {
        let (name, value) = (cut(name, name_chars), cut(value, value_chars));
        let Some(rest) = room.checked_sub(name.len() + value.len()) else { continue };
        // Our own marks are nobody else's to set.
        if !name.starts_with("sen_") {
            kept.insert(name, value);
            room = rest;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_an_id() {
        for (text, wanted) in [
            ("alertmanager-HighCPU", "alertmanager-highcpu"),
            ("Prom: Đĩa đầy!", "prom-a-y"),
            ("__x", "x"),
            ("a  --  b", "a-b"),
        ] {
            assert_eq!(slug(text), wanted);
        }
        assert_eq!(slug(&"x".repeat(99)).len(), 64);
        assert!(RuleId::new(slug("!!!")).is_err());
    }

    #[test]
    fn attributes_are_cut_to_what_a_record_may_hold() {
        let many = (0..99).map(|n| (format!("label_{n:02}"), "v".repeat(500))).collect();
        let kept = bounded(&many);
        let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(!kept.is_empty() && bytes <= ATTRIBUTES_BYTES, "{bytes}");
        assert!(kept.values().all(|value| value.len() == 300));
        let own = BTreeMap::from([(LAPSED.to_owned(), "true".to_owned())]);
        assert!(bounded(&own).is_empty());
    }
}
