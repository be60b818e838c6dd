//! Pure: the episodes a group rule is made of, as it remembers them within one scope.
//!
//! A part holds from the event time at which it was raised until that at which it was cleared: its
//! own delays are over by then, so that what holds never turns out to have been a flicker. When its
//! condition began and ceased is remembered beside it, for what people are told.

use sen_model::{AlertId, DeviceId};
use serde::{Deserialize, Serialize};

/// Parts of one scope that hold at once, at most; beyond it further ones are not counted in: that
/// many make any group whole already.
pub(super) const MOST_HOLDING: usize = 512;

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

    /// An episode was raised.
    pub(super) fn raise(&mut self, mut part: Part) -> Heard {
        if self.all.iter().any(|known| known.id == part.id) {
            return Heard::Known;
        }
        if self.all.iter().filter(|known| known.holds()).count() >= MOST_HOLDING {
            return Heard::Refused;
        }
        if let Some(floor) = self.floor {
            part.raised = part.raised.max(floor.saturating_add(1));
        }
        let order = |part: &Part| (part.raised, part.id.clone());
        let place = self.all.partition_point(|known| order(known) < order(&part));
        self.all.insert(place, part);
        Heard::News
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
        self.forget(most);
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

    /// Keeps at most `most` parts that are over, the latest.
    fn forget(&mut self, most: usize) {
        let over = |parts: &[Part]| parts.iter().filter(|part| !part.holds()).count();
        while over(&self.all) > most {
            let ended = self.all.iter().enumerate();
            let ended = ended.filter_map(|(place, part)| Some((part.cleared?.0, place)));
            let Some((cleared, place)) = ended.min() else { return };
            self.all.remove(place);
            self.floor = self.floor.max(Some(cleared));
        }
    }
}
