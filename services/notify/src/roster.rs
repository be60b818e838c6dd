//! Who is on call. Pure: the plan of `oncall.toml`, what people changed about it, and a moment in;
//! a person out.

use std::collections::BTreeMap;
use std::ops::Range;

use sen_model::oncall::{Person, Roster, Team as TeamTurns, Turn};
use sen_model::time::DAY_MS;
use sen_model::{OnCallEntry, OnCallRecord, Text, Timestamp};

use crate::rotation::Layer;
use crate::settings::OnCall;

/// How far a roster looks ahead, and back for the beginning of the present turn.
const AHEAD_MS: i64 = 14 * DAY_MS;

/// A team: the first of its layers that has somebody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Team {
    /// Stable id.
    pub(crate) id: String,
    /// What it is called.
    pub(crate) name: Text,
    /// Its layers, the first one first.
    pub(crate) layers: Vec<Layer>,
}

/// The plan and what people changed about it.
#[derive(Clone, Copy)]
pub(crate) struct Rota<'a> {
    /// The plan.
    pub(crate) on: &'a OnCall,
    /// The open entries of the on-call log.
    pub(crate) entries: &'a BTreeMap<String, OnCallRecord>,
}

/// Who is called, and whether in somebody else's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnDuty<'a> {
    pub(crate) person: &'a str,
    pub(crate) stands_in: bool,
}

impl<'a> Rota<'a> {
    /// Who of a team is called at `at`: whoever stands in, else the one whose turn it is in the
    /// first layer that has somebody who is not absent.
    pub(crate) fn who(&self, team: &str, at: Timestamp) -> Option<OnDuty<'a>> {
        let here = |person: &&str| !self.is_absent(person, at);
        if let Some(person) = self.stand_in(team, at).filter(here) {
            return Some(OnDuty { person, stands_in: true });
        }
        let team = self.on.teams.iter().find(|known| known.id == team)?;
        team.layers.iter().find_map(|layer| {
            let line = layer.line_up(at).enumerate().find(|(_, person)| here(person));
            line.map(|(place, person)| OnDuty { person, stands_in: place > 0 })
        })
    }

    /// Whether a person cannot be called.
    pub(crate) fn is_absent(&self, who: &str, at: Timestamp) -> bool {
        self.standing().any(|record| match &record.entry {
            OnCallEntry::Absence { person, from, until, .. } => {
                person == who && (*from..*until).contains(&at)
            }
            _ => false,
        })
    }

    /// Overrides and absences, of the file and of the log.
    pub(crate) fn standing(&self) -> impl Iterator<Item = &'a OnCallRecord> {
        let about_turns = |record: &&OnCallRecord| {
            let entry = &record.entry;
            matches!(entry, OnCallEntry::Override { .. } | OnCallEntry::Absence { .. })
        };
        self.on.entries.iter().chain(self.entries.values()).filter(about_turns)
    }

    /// The newest override counts.
    fn stand_in(&self, of: &str, at: Timestamp) -> Option<&'a str> {
        let covers = |record: &'a OnCallRecord| match &record.entry {
            OnCallEntry::Override { team, person, from, until } => {
                let counts = team == of && (*from..*until).contains(&at);
                counts.then_some((record.at, &record.id, person.as_str()))
            }
            _ => None,
        };
        self.standing().filter_map(covers).max().map(|(.., person)| person)
    }

    /// Everybody, and who is on call now and in the next two weeks.
    pub(crate) fn roster(&self, at: Timestamp) -> Roster {
        let person = |contact: &crate::settings::Contact| Person {
            id: contact.id.clone(),
            name: contact.name.clone(),
            channels: contact.channels.clone(),
        };
        let team = |team: &Team| TeamTurns {
            id: team.id.clone(),
            name: team.name.clone(),
            turns: self.turns(team, at),
        };
        let is_over = |record: &&OnCallRecord| match &record.entry {
            OnCallEntry::Override { until, .. } | OnCallEntry::Absence { until, .. } => {
                *until <= at
            }
            _ => false,
        };
        Roster {
            at,
            people: self.on.people.values().map(|contact| person(contact)).collect(),
            teams: self.on.teams.iter().map(team).collect(),
            entries: self.standing().filter(|record| !is_over(record)).cloned().collect(),
        }
    }

    /// The turn that holds `at` and those that begin within two weeks of it.
    fn turns(&self, team: &Team, at: Timestamp) -> Vec<Turn> {
        let stretch = at.plus_ms(-AHEAD_MS)..at.plus_ms(AHEAD_MS);
        let edges = self.edges(team, &stretch);
        let mut turns: Vec<Turn> = Vec::new();
        for pair in edges.windows(2) {
            let (from, until) = (pair[0], pair[1]);
            let Some(OnDuty { person, stands_in }) = self.who(&team.id, from) else { continue };
            match turns.last_mut() {
                Some(last)
                    if last.until == from
                        && last.person == person
                        && last.stands_in == stands_in =>
                {
                    last.until = until;
                }
                _ => turns.push(Turn { person: person.to_owned(), from, until, stands_in }),
            }
        }
        turns.retain(|turn| turn.until > at);
        turns
    }

    /// Both ends of the stretch and every moment between at which somebody else may be called.
    fn edges(&self, team: &Team, stretch: &Range<Timestamp>) -> Vec<Timestamp> {
        let mut edges = vec![stretch.start, stretch.end];
        edges.extend(team.layers.iter().flat_map(|layer| layer.edges(stretch)));
        for record in self.standing() {
            if let OnCallEntry::Override { from, until, .. }
            | OnCallEntry::Absence { from, until, .. } = &record.entry
            {
                edges.extend([*from, *until].into_iter().filter(|edge| stretch.contains(edge)));
            }
        }
        edges.sort_unstable();
        edges.dedup();
        edges
    }
}

#[cfg(test)]
mod tests;
