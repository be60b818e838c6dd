//! Pure: one group rule: the scopes in which it counts, and what it remembers and finds in each.

use std::collections::BTreeMap;

use sen_model::condition::Scope;
use sen_model::{AlertId, AlertRecord, Condition, DeviceId, Registry, Timestamp};
use serde::{Deserialize, Serialize};

use super::neighbours::{self, Nearby};
use super::parts::{Heard, MOST_BESIDE, MOST_HOLDING, Part, Parts};
use super::sequence::Order;
use super::stretch::{self, Stretch};
use super::told::{Finding, Telling, Told, What};
use super::{MOST_PAST, MOST_SCOPES, News, Step, news_of, parts_of, watches};
use crate::found::{Change, Found};
use crate::schedule;
use crate::scope::Place;
use crate::selection::selects;
use crate::transition::Edition;

/// One scope of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Circle {
    #[serde(rename = "p")]
    pub(super) parts: Parts,
    #[serde(rename = "t", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) told: Vec<Told>,
    /// Up to here told episodes are forgotten.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<i64>,
    /// When, in event time, something may be told without further news.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(super) due: Option<i64>,
}

impl Circle {
    /// Whether nothing holds in it.
    fn is_idle(&self) -> bool {
        !self.parts.any_holds() && !self.told.iter().any(Told::holds)
    }
}

/// One rule with what it remembers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) edition: Edition,
    pub(super) nearby: Nearby,
    pub(super) circles: BTreeMap<Place, Circle>,
}

impl Group {
    /// The scope in which an episode counts; none if it is not one that this rule looks at.
    pub(super) fn circle_of(&self, news: &News, registry: &Registry) -> Option<Place> {
        let rule = &self.edition.rule;
        let Place { device, area } = &news.place;
        let known = registry.device(device);
        let is_taken = match Place::is_pseudo(device) {
            true => {
                area.is_none() || {
                    let areas = &rule.selector.areas;
                    areas.is_empty() || area.as_ref().is_some_and(|area| areas.contains(area))
                }
            }
            false => selects(&rule.selector, device, known),
        };
        let own_area = || area.clone().or_else(|| Some(known?.area.clone()));
        is_taken.then_some(())?;
        match &rule.condition {
            Condition::Composite { scope: Scope::Device, .. } => Some(Place::device(device)),
            Condition::Composite { scope: Scope::Area, .. } => Place::area(&own_area()?),
            _ => Place::province(),
        }
    }

    /// The scope in which a recorded episode was found, and what it is about beside it.
    pub(super) fn circle_about(&self, record: &AlertRecord) -> (Place, Option<DeviceId>) {
        let device = &record.device;
        match (&self.edition.rule.condition, Place::province()) {
            (Condition::Composite { .. }, _) | (_, None) => {
                let area = record.area.clone().filter(|_| Place::is_pseudo(device));
                (Place { device: device.clone(), area }, None)
            }
            (_, Some(province)) => (province, Some(device.clone())),
        }
    }

    /// Remembers an episode that began or ended.
    pub(super) fn take(&mut self, place: &Place, news: &News) -> Heard {
        let parts = parts_of(&self.edition.rule.condition);
        let slot = parts.iter().position(|part| **part == news.rule).unwrap_or_default();
        match news.what {
            Step::Raised { began, raised, late } => {
                if !self.has_room_for(place) {
                    return Heard::Refused;
                }
                let (id, device) = (news.id.clone(), news.place.device.clone());
                let part = Part { id, slot, device, began, raised, cleared: None, late };
                let most = match self.edition.rule.condition {
                    Condition::Neighbours { .. } => MOST_BESIDE,
                    _ => MOST_HOLDING,
                };
                self.circles.entry(place.clone()).or_default().parts.raise(part, most)
            }
            Step::Cleared { cleared, ceased } => match self.circles.get_mut(place) {
                Some(circle) => circle.parts.clear(&news.id, cleared, ceased, MOST_PAST),
                None => Heard::Known,
            },
        }
    }

    fn has_room_for(&mut self, place: &Place) -> bool {
        if self.circles.len() < MOST_SCOPES || self.circles.contains_key(place) {
            return true;
        }
        let idle = self.circles.iter().find(|(_, circle)| circle.is_idle());
        let idle = idle.map(|(place, _)| place.clone());
        idle.is_some_and(|idle| self.circles.remove(&idle).is_some())
    }

    /// What is to be told of a scope, and when in event time there may be more without news.
    pub(super) fn judge(
        &mut self,
        place: &Place,
        registry: &Registry,
        now: i64,
    ) -> (Vec<Finding>, Option<i64>) {
        let Some(mut circle) = self.circles.remove(place) else { return (Vec::new(), None) };
        let when = self.edition.rule.when.as_ref();
        let whole = self.stretches(circle.parts.all(), registry);
        let edge = whole.iter().any(|stretch| stretch.until.is_none()).then_some(when).flatten();
        let edge = edge.map(|when| schedule::next_edge(when, Timestamp::from_millis(now)));
        let stretches = match when {
            Some(when) => watches::cut(whole, when, now),
            None => whole,
        };
        let for_ms = self.for_ms();
        let telling = Telling {
            by_members: matches!(self.edition.rule.condition, Condition::Neighbours { .. }),
            for_ms,
            floor: circle.floor.max(circle.parts.floor()),
            now,
        };
        let mut findings = Vec::new();
        let floor = telling.reconcile(&mut circle.told, &stretches, &mut findings);
        circle.floor = circle.floor.max(floor);
        let waiting = stretches.iter().filter(|stretch| stretch.until.is_none());
        let due = waiting.map(|stretch| stretch.from.saturating_add(for_ms));
        let due = due.chain(edge.map(Timestamp::as_millis));
        circle.due = due.filter(|due| *due > now).min();
        let due = circle.due;
        self.circles.insert(place.clone(), circle);
        (findings, due)
    }

    fn stretches(&self, parts: &[Part], registry: &Registry) -> Vec<Stretch> {
        match &self.edition.rule.condition {
            Condition::Composite { of, least, .. } => {
                stretch::counted(parts, *least as usize, of.len() == 1)
            }
            Condition::Neighbours { least, within_ms, .. } => {
                neighbours::crowds(parts, &self.nearby, *least as usize, *within_ms)
            }
            Condition::Sequence { first, then, within_ms, downstream } => {
                let (within_ms, downstream) = (*within_ms, *downstream);
                let is_one_rule = first == then;
                Order { registry, within_ms, downstream, is_one_rule }.stretches(parts)
            }
            _ => Vec::new(),
        }
    }

    /// The episodes it holds open, as parts of other groups.
    pub(super) fn held(&self, registry: &Registry) -> Vec<News> {
        let circles = self.circles.iter();
        let told = circles.flat_map(|(place, it)| it.told.iter().map(move |told| (place, told)));
        let holding = told.filter(|(_, told)| told.holds());
        let news = |(place, told): (&Place, &Told)| {
            news_of(&self.found(place, &told.as_raised(self.for_ms()), registry))
        };
        holding.filter_map(news).collect()
    }

    /// How long it must hold before it is raised.
    fn for_ms(&self) -> i64 {
        match self.edition.rule.condition {
            Condition::Composite { for_ms, .. } => for_ms,
            _ => 0,
        }
    }

    pub(super) fn id(&self, place: &Place, told: &Told) -> AlertId {
        let Edition { rule, version, .. } = &self.edition;
        let device = told.device.as_ref().unwrap_or(&place.device);
        AlertId::of_episode(&rule.id, version, device, None, Timestamp::from_millis(told.began))
    }

    pub(super) fn found(&self, place: &Place, finding: &Finding, registry: &Registry) -> Found {
        let time = Timestamp::from_millis;
        let place = match &finding.device {
            Some(device) => {
                let area = registry.device(device).map(|device| device.area.clone());
                Place { device: device.clone(), area }
            }
            None => place.clone(),
        };
        let what = match finding.what.clone() {
            What::Raised { raised, members, late } => {
                let count = members.len();
                Change::Raised { event_time: time(raised), count, members, late }
            }
            What::Joined { members } => Change::Joined { members },
            What::Cleared { cleared, ceased } => {
                Change::Cleared { ceased_at: time(ceased), event_time: time(cleared) }
            }
        };
        Found { edition: self.edition.clone(), place, started_at: time(finding.began), what }
    }
}
