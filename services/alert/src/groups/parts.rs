//! Pure: the episodes a group rule is made of, as it remembers them within one scope.
//!
//! A part holds from the event time at which it was raised until that at which it was cleared: its
//! own delays are over by then, so that what holds never turns out to have been a flicker. When its
//! condition began and ceased is remembered beside it, for what people are told.

use sen_model::{AlertId, DeviceId};
use serde::{Deserialize, Serialize};

/// Parts of one rule that hold at once in one scope, at most: beyond it the oldest is not counted
/// any more, and that is counted. No group asks for more.
pub(crate) const MOST_HOLDING: usize = 2_048;
/// The same of neighbours, for which each part is held against all others.
pub(crate) const MOST_BESIDE: usize = 256;

/// One episode of one of the rules that a group rule is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    #[serde(rename = "i")]
    pub(super) id: AlertId,
    /// The place of its rule among the parts of the group rule.
    #[serde(rename = "s")]
    pub(super) slot: usize,
    #[serde(rename = "d")]
    pub(super) device: DeviceId,
    /// When its condition began.
    #[serde(rename = "b")]
    pub(super) began: i64,
    /// When it was raised; it holds from here.
    #[serde(rename = "r")]
    pub(super) raised: i64,
    /// When it was cleared, until when it holds; and when its condition had ceased.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub(super) cleared: Option<(i64, i64)>,
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) late: bool,
}

impl Part {
    pub(super) fn holds(&self) -> bool {
        self.cleared.is_none()
    }
}

/// The parts of one group rule within one scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Parts {
    /// In order of their raise, then id.
    #[serde(rename = "p")]
    all: Vec<Part>,
    /// Of what was over by here, some is forgotten: nothing up to here changes any more.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    floor: Option<i64>,
}

/// What became of something that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It changes what holds when.
    News,
    /// It was known, or is older than the memory.
    Known,
    /// It has taken the place of the oldest.
    Displaced,
    /// There is no room for it.
    Refused,
}

impl Parts {
    /// Everything remembered, in order.
    pub(super) fn all(&self) -> &[Part] {
        &self.all
    }

    /// Up to here everything is settled.
    pub(super) fn floor(&self) -> Option<i64> {
        self.floor
    }

    /// An episode was raised; of its rule at most `most` are to hold.
    pub(super) fn raise(&mut self, mut part: Part, most: usize) -> Heard {
        if self.all.iter().any(|known| known.id == part.id) {
            return Heard::Known;
        }
        let slot = part.slot;
        if let Some(floor) = self.floor {
            part.raised = part.raised.max(floor.saturating_add(1));
        }
        let order = |part: &Part| (part.raised, part.id.clone());
        let place = self.all.partition_point(|known| order(known) < order(&part));
        self.all.insert(place, part);
        let mut holding = self.all.iter().enumerate();
        let mut holding = holding.by_ref().filter(|(_, known)| known.slot == slot && known.holds());
        let Some((oldest, _)) = holding.next() else { return Heard::News };
        if holding.count() < most {
            return Heard::News;
        }
        self.all.remove(oldest);
        if oldest == place { Heard::Refused } else { Heard::Displaced }
    }

    /// An episode was cleared.
    pub(super) fn clear(&mut self, id: &AlertId, cleared: i64, ceased: i64, most: usize) -> Heard {
        let Some(place) = self.all.iter().position(|known| known.id == *id) else {
            return Heard::Known;
        };
        let part = &mut self.all[place];
        if !part.holds() {
            return Heard::Known;
        }
        // One that was over before it was raised never held.
        part.cleared = Some((cleared.max(part.raised), ceased));
        let slot = part.slot;
        self.forget(slot, most);
        Heard::News
    }

    /// Whether any part holds at present.
    pub(super) fn any_holds(&self) -> bool {
        self.all.iter().any(Part::holds)
    }

    /// The parts that hold and that `is_held` does not know.
    pub(super) fn lost(&self, is_held: impl Fn(&AlertId) -> bool) -> Vec<AlertId> {
        let lost = self.all.iter().filter(|part| part.holds() && !is_held(&part.id));
        lost.map(|part| part.id.clone()).collect()
    }

    /// Keeps at most `most` parts of a rule that are over, the latest.
    fn forget(&mut self, slot: usize, most: usize) {
        loop {
            let of_rule = self.all.iter().enumerate().filter(|(_, part)| part.slot == slot);
            let ended = of_rule.filter_map(|(place, part)| Some((part.cleared?.0, place)));
            let ended: Vec<(i64, usize)> = ended.collect();
            let Some((cleared, place)) = ended.iter().min().filter(|_| ended.len() > most).copied()
            else {
                return;
            };
            self.all.remove(place);
            self.floor = self.floor.max(Some(cleared));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{at, device_id};

    fn part(slot: usize, n: usize, raised: i64) -> Part {
        let rule = sen_model::RuleId::new("part").unwrap();
        let device = device_id(&format!("stn-{n}"));
        let id = AlertId::of_episode(&rule, &slot.to_string(), &device, None, at(raised));
        Part { id, slot, device, began: raised, raised, cleared: None, late: false }
    }

    #[test]
    fn the_newest_is_never_refused_for_older_ones_nor_one_rule_for_another() {
        let mut parts = Parts::default();
        for n in 0..4 {
            assert_eq!(parts.raise(part(0, n, 10 + n as i64), 4), Heard::News);
        }
        assert_eq!(parts.raise(part(1, 0, 5), 4), Heard::News, "another rule has its own room");
        assert_eq!(parts.raise(part(0, 9, 20), 4), Heard::Displaced);
        let held: Vec<&str> = parts.all().iter().map(|part| part.device.as_str()).collect();
        assert_eq!(held, ["stn-0", "stn-1", "stn-2", "stn-3", "stn-9"]);
        assert_eq!(parts.all()[0].slot, 1);
        assert_eq!(parts.raise(part(0, 8, 1), 4), Heard::Refused, "older than all of them");
        assert_eq!(parts.all().len(), 5);
    }

    #[test]
    fn what_flutters_does_not_push_out_what_is_over_of_another_rule() {
        let mut parts = Parts::default();
        let first = part(0, 0, 1);
        parts.raise(first.clone(), 4);
        parts.clear(&first.id, 2, 2, 3);
        for n in 0..10 {
            let flutter = part(1, 1, 10 + n);
            parts.raise(flutter.clone(), 4);
            parts.clear(&flutter.id, 10 + n, 10 + n, 3);
        }
        assert_eq!(parts.all().len(), 4);
        assert_eq!(parts.all()[0].id, first.id);
    }
}
