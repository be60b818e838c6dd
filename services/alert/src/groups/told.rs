//! Pure: what was told of a group, and what is to be told now that more is known of its parts.
//!
//! What was told is never taken back or moved; the opening of [`super`] says what follows from it.

use sen_model::{AlertId, DeviceId};
use serde::{Deserialize, Serialize};

use super::stretch::{MOST_MEMBERS, Stretch};

/// Episodes that are over and still known, in each scope, at most.
const MOST_OVER: usize = 32;

/// An episode of a group that was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Told {
    /// What it is about, where the scope does not say.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<DeviceId>,
    /// When it began, as told: its id is made of it.
    #[serde(rename = "b")]
    pub(super) began: i64,
    /// It holds from here.
    #[serde(rename = "f")]
    from: i64,
    /// Until here, if it is over.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    /// The parts that were told.
    #[serde(rename = "m", default, skip_serializing_if = "Vec::is_empty")]
    members: Vec<AlertId>,
}

/// What is to be told of a group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) device: Option<DeviceId>,
    pub(super) began: i64,
    pub(super) what: What,
}

/// What became of an episode.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// It holds.
    Raised { raised: i64, members: Vec<AlertId>, late: bool },
    /// It has more members.
    Joined { members: Vec<AlertId> },
    /// It does not hold any more.
    Cleared { cleared: i64, ceased: i64 },
}

impl Told {
    /// An episode that a log knows and this memory does not.
    pub(super) fn adopted(device: Option<DeviceId>, began: i64, members: Vec<AlertId>) -> Self {
        Self { device, began, from: began, until: None, members }
    }

    /// What was told when it was raised, `for_ms` after it began to hold.
    pub(super) fn as_raised(&self, for_ms: i64) -> Finding {
        let (raised, members) = (self.from.saturating_add(for_ms), self.members.clone());
        self.finding(What::Raised { raised, members, late: false })
    }

    pub(super) fn holds(&self) -> bool {
        self.until.is_none()
    }

    fn overlaps(&self, stretch: &Stretch) -> bool {
        stretch.until.is_none_or(|(until, _)| self.from < until)
            && self.until.is_none_or(|until| stretch.from < until)
    }

    fn shares_with(&self, stretch: &Stretch) -> bool {
        self.members.iter().any(|id| stretch.members.contains(id))
    }

    fn finding(&self, what: What) -> Finding {
        Finding { device: self.device.clone(), began: self.began, what }
    }

    /// It holds no longer, or never did.
    fn end(&mut self, cleared: i64, ceased: i64) -> Finding {
        self.until = Some(cleared);
        self.finding(What::Cleared { cleared, ceased: ceased.max(self.began) })
    }

    /// What became of it, as it is known now.
    fn follow(&mut self, stretch: &Stretch) -> Option<Finding> {
        if let Some((cleared, ceased)) = stretch.until {
            return Some(self.end(cleared, ceased));
        }
        let known = self.members.len();
        for id in &stretch.members {
            if self.members.len() < MOST_MEMBERS && !self.members.contains(id) {
                self.members.push(id.clone());
            }
        }
        let members = self.members.clone();
        (members.len() > known).then(|| self.finding(What::Joined { members }))
    }
}

/// How episodes of one group are told apart, and when they are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Telling {
    /// Whether what it is about may turn out to be another device: then its members tell.
    pub(super) by_members: bool,
    /// How long it must have held.
    pub(super) for_ms: i64,
    /// Up to here everything is settled.
    pub(super) floor: Option<i64>,
    /// Event time, as far as it is known to have come.
    pub(super) now: i64,
}

impl Telling {
    /// Whether a stretch has lasted long enough to be told.
    fn counts(&self, stretch: &Stretch) -> bool {
        let until = stretch.until.map_or(self.now.max(stretch.from), |(until, _)| until);
        until.saturating_sub(stretch.from) >= self.for_ms
    }

    /// Whether a stretch may be one that was told and forgotten.
    fn is_settled(&self, stretch: &Stretch) -> bool {
        stretch.until.is_some_and(|(until, _)| self.floor >= Some(until))
    }

    fn is_same(&self, told: &Told, stretch: &Stretch) -> bool {
        told.overlaps(stretch)
            && (told.device == stretch.device || (self.by_members && told.shares_with(stretch)))
    }

    /// Brings what was told up to what is known now; gives up to where told episodes were
    /// forgotten.
    pub(super) fn reconcile(
        &self,
        told: &mut Vec<Told>,
        stretches: &[Stretch],
        findings: &mut Vec<Finding>,
    ) -> Option<i64> {
        let counting: Vec<&Stretch> =
            stretches.iter().filter(|stretch| self.counts(stretch)).collect();
        let taken = follow_all(told, &counting, self.by_members, findings);
        for (stretch, _) in counting.iter().zip(taken).filter(|(_, taken)| !taken) {
            let known = || told.iter().filter(|told| self.is_same(told, stretch));
            if self.is_settled(stretch) || stretch.until.is_some() && known().next().is_some() {
                continue;
            }
            // It goes on after what was told as its end: then that is another episode.
            let end = known().filter_map(|told| told.until).max();
            let mut new = Told {
                device: stretch.device.clone(),
                began: stretch.began.max(end.unwrap_or(i64::MIN)),
                from: stretch.from.max(end.unwrap_or(i64::MIN)),
                until: None,
                members: stretch.members.clone(),
            };
            while told.iter().any(|told| told.device == new.device && told.began == new.began) {
                new.began += 1;
            }
            findings.push(new.finding(What::Raised {
                raised: new.from.saturating_add(self.for_ms),
                members: new.members.clone(),
                late: stretch.late || stretch.until.is_some() || end.is_some(),
            }));
            findings.extend(new.follow(stretch));
            told.push(new);
        }
        forget(told)
    }
}

/// What became of the episodes that were told as holding; tells which stretches they are.
fn follow_all(
    told: &mut [Told],
    stretches: &[&Stretch],
    by_members: bool,
    findings: &mut Vec<Finding>,
) -> Vec<bool> {
    let mut taken = vec![false; stretches.len()];
    let mut find = |told: &Told, is_it: &dyn Fn(&Stretch) -> bool| {
        let mut free = stretches.iter().enumerate().filter(|(place, _)| !taken[*place]);
        let place = free.find(|(_, stretch)| told.overlaps(stretch) && is_it(stretch))?.0;
        taken[place] = true;
        Some(stretches[place])
    };
    let mut found: Vec<(&mut Told, Option<&Stretch>)> =
        told.iter_mut().filter(|told| told.holds()).map(|told| (told, None)).collect();
    for (told, stretch) in &mut found {
        *stretch = find(told, &|stretch| stretch.device == told.device);
    }
    for (told, stretch) in &mut found {
        if by_members && stretch.is_none() {
            *stretch = find(told, &|stretch| told.shares_with(stretch));
        }
    }
    for (told, stretch) in found {
        match stretch {
            Some(stretch) => findings.extend(told.follow(stretch)),
            // It never held: a part was over already when it was told.
            None => findings.push(told.end(told.from, told.began)),
        }
    }
    taken
}

/// Keeps the latest of those that are over; gives until when those were that went.
fn forget(told: &mut Vec<Told>) -> Option<i64> {
    let over = told.iter().filter(|told| !told.holds()).count();
    let mut floor = None;
    for _ in MOST_OVER..over {
        let ended = told.iter().enumerate();
        let ended = ended.filter_map(|(place, told)| Some((told.until?, place)));
        let Some((until, place)) = ended.min() else { return floor };
        told.remove(place);
        floor = floor.max(Some(until));
    }
    floor
}
