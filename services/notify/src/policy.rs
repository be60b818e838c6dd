//! Which alerts call whom, in which order, and when the night is left in peace. Pure.

use sen_model::condition::Hours;
use sen_model::{AlertRecord, AreaCode, Field, RuleId, Severity, Timestamp};

use crate::rotation::{is_within, next_time};

/// The pause after which a critical alert that nobody has answered begins again.
const AGAIN_MS: i64 = 15 * 60_000;

/// Whom a step calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// A person.
    Person(String),
    /// Whoever is on call in a team.
    Team(String),
}

/// One step of an escalation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Whom it calls.
    pub(crate) who: Who,
    /// Over which channels: the next one when the one before brought no answer.
    pub(crate) channels: Vec<String>,
    /// How long an answer is waited for on each channel.
    pub(crate) wait_ms: i64,
}

/// Which alerts call whom. Every list that is given must match; an empty one matches all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Its name in problems and logs.
    pub(crate) id: String,
    /// Alerts of these severities.
    pub(crate) severities: Vec<Severity>,
    /// Alerts of these fields.
    pub(crate) fields: Vec<Field>,
    /// Alerts in these areas.
    pub(crate) areas: Vec<AreaCode>,
    /// Alerts of these rules.
    pub(crate) rules: Vec<RuleId>,
    /// How long an alert must stand before anybody is called.
    pub(crate) delay_ms: i64,
    /// How often the steps are gone through again after the first time.
    pub(crate) repeat: u32,
    /// The steps, in order; at least one.
    pub(crate) steps: Vec<Step>,
}

impl Policy {
    /// Whether it is for an alert.
    pub(crate) fn covers(&self, alert: &AlertRecord) -> bool {
        let area = || alert.area.as_ref().is_some_and(|area| self.areas.contains(area));
        (self.severities.is_empty() || self.severities.contains(&alert.severity))
            && (self.fields.is_empty() || self.fields.contains(&alert.field))
            && (self.areas.is_empty() || area())
            && (self.rules.is_empty() || self.rules.contains(&alert.rule))
    }

    /// One round with number 0 for the first: every step with its number, which counts on through
    /// the rounds from 1.
    pub(crate) fn round(&self, round: u32) -> impl Iterator<Item = (u32, &Step)> {
        let steps = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        (round.saturating_mul(steps).saturating_add(1)..).zip(&self.steps)
    }

    /// How long one round takes if every channel works and nobody answers, in milliseconds.
    pub(crate) fn round_ms(&self) -> i64 {
        let channels = |step: &Step| i64::try_from(step.channels.len()).unwrap_or(i64::MAX);
        self.steps.iter().map(|step| step.wait_ms.saturating_mul(channels(step))).sum()
    }

    /// How long everything takes, with the delay and the repetitions, in milliseconds.
    pub(crate) fn length_ms(&self) -> i64 {
        let rounds = i64::from(self.repeat) + 1;
        self.delay_ms.saturating_add(self.round_ms().saturating_mul(rounds))
    }

    /// The earliest moment at which a round may begin that follows one which began at `before`;
    /// `None` = there is no such round. What failed at once does not bring the repetitions forward.
    pub(crate) fn next_round(
        &self,
        round: u32,
        severity: Severity,
        before: Timestamp,
    ) -> Option<Timestamp> {
        let usual = before.plus_ms(self.round_ms());
        match severity {
            _ if round <= self.repeat => Some(usual),
            Severity::CRITICAL => Some(usual.plus_ms(AGAIN_MS)),
            _ => None,
        }
    }
}

/// A part of the day in which alerts of some severities wait for its end. Never the critical ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quiet {
    /// Which alerts wait.
    pub(crate) severities: Vec<Severity>,
    /// The part of the day.
    pub(crate) hours: Hours,
}

/// The first moment from `at` on at which somebody may be called about an alert of this severity.
pub(crate) fn not_before(quiet: &[Quiet], severity: Severity, at: Timestamp) -> Timestamp {
    if severity == Severity::CRITICAL {
        return at;
    }
    let mut moment = at;
    // One quiet time may end within another; each of them can move the moment once.
    for _ in 0..=quiet.len() {
        let holds =
            |quiet: &&Quiet| quiet.severities.contains(&severity) && is_within(quiet.hours, moment);
        match quiet.iter().find(holds) {
            Some(quiet) => moment = next_time(quiet.hours.until, moment),
            None => break,
        }
    }
    moment
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::hours;

    #[test]
    fn the_night_is_left_in_peace_but_not_for_what_is_critical() {
        let severities = [Severity::HIGH, Severity::LOW].to_vec();
        let night = Quiet { severities, hours: hours("22:00-06:00").unwrap() };
        let lunch = Quiet { severities: vec![Severity::LOW], hours: hours("05:00-07:00").unwrap() };
        let quiet = [night, lunch];
        let cases = [
            (Severity::CRITICAL, "23:00", "23:00"),
            (Severity::HIGH, "21:59", "21:59"),
            (Severity::HIGH, "05:30", "06:00"),
            (Severity::HIGH, "06:00", "06:00"),
            (Severity::LOW, "05:30", "07:00"),
            (Severity::MEDIUM, "23:00", "23:00"),
        ];
        let at =
            |text: &str| -> Timestamp { format!("2026-11-26T{text}:00+07:00").parse().unwrap() };
        for (severity, from, until) in cases {
            assert_eq!(not_before(&quiet, severity, at(from)), at(until), "{severity:?} {from}");
        }
        let next_day = "2026-11-27T06:00:00+07:00".parse().unwrap();
        assert_eq!(not_before(&quiet, Severity::HIGH, at("22:00")), next_day);
    }
}
