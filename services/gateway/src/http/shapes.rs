//! What the records of the desk, of who is on call and of backtests look like in JSON, for the
//! OpenAPI document; as [`schema`](super::schema) does for the others.
#![expect(dead_code, reason = "described, never made")]

use utoipa::ToSchema;

use super::schema::Text;

/// One change of one entry of the desk, with the whole entry as it is after it.
#[derive(ToSchema)]
pub(crate) struct DeskRecord {
    /// The entry.
    id: String,
    /// 1 for the first, then one more for each change.
    rev: u32,
    /// Whether it still stands.
    open: bool,
    /// Who did it; `sen` for what the centre finds by itself.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `{"kind": …}` and what belongs to it: `stage {stage, reason}`, `stage_advice {stage, alerts}`,
    /// `out_of_service {reach, reason}`, `work {reach, from, until, reason}`, `drill {reason}`,
    /// `flood {desk, started_at, ended_at?, first_out, raised, peak, by_rule, by_area}`,
    /// `shift {desk?, from, until, to, text, open, shelved, suppressed, out_of_service, raised,
    /// acknowledged}`, `hint {rule, device, metric?, raises, clear?, for_ms?, clear_for_ms?, text}`.
    #[schema(value_type = Object)]
    entry: (),
}

/// Which alerts: all that is given must match, and at least one is given.
#[derive(ToSchema)]
pub(crate) struct Reach {
    /// Alerts of this rule.
    rule: Option<String>,
    /// Alerts about this device.
    device: Option<String>,
    /// Alerts in this area.
    area: Option<String>,
}

/// A stage that rules suggest.
#[derive(ToSchema)]
pub(crate) struct Advice {
    /// 1 to 5.
    stage: u8,
    /// The alerts that speak for it.
    alerts: Vec<String>,
}

/// Who is on call now and next.
#[derive(ToSchema)]
pub(crate) struct Roster {
    /// As of when.
    #[schema(format = DateTime)]
    at: String,
    /// Everybody who can be on call.
    people: Vec<Person>,
    /// The teams.
    teams: Vec<Team>,
    /// Overrides and absences that stand.
    entries: Vec<OnCallRecord>,
}

/// A person, without contact details.
#[derive(ToSchema)]
pub(crate) struct Person {
    /// Stable id.
    id: String,
    /// What they are called.
    name: String,
    /// The channels they can be reached by.
    channels: Vec<String>,
}

/// A team and its turns.
#[derive(ToSchema)]
pub(crate) struct Team {
    /// Stable id.
    id: String,
    /// What it is called.
    name: Text,
    /// The present turn and those of the next two weeks.
    turns: Vec<Turn>,
}

/// Who is on call in a team for a stretch of time.
#[derive(ToSchema)]
pub(crate) struct Turn {
    /// Who.
    person: String,
    /// From when.
    #[schema(format = DateTime)]
    from: String,
    /// Until when.
    #[schema(format = DateTime)]
    until: String,
    /// Whether somebody stands in.
    stands_in: bool,
}

/// One change of one entry of who is on call.
#[derive(ToSchema)]
pub(crate) struct OnCallRecord {
    /// The entry.
    id: String,
    /// 1 for the first, then one more for each change.
    rev: u32,
    /// Whether it still stands.
    open: bool,
    /// Who did it.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `{"kind": …}` and what belongs to it: `override {team, person, from, until}`,
    /// `absence {person, from, until, reason}`, `push {person, endpoint, p256dh, auth}`.
    #[schema(value_type = Object)]
    entry: (),
}

/// What came of a backtest.
#[derive(ToSchema)]
pub(crate) struct BacktestReport {
    /// From when.
    #[schema(format = DateTime)]
    from: String,
    /// Until when.
    #[schema(format = DateTime)]
    to: String,
    /// Readings judged.
    readings: u64,
    /// Series judged.
    series: u64,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// Every episode, in order of their start; the first ones, where there are many.
    trials: Vec<Trial>,
    /// How many there are in all.
    raised: u64,
    /// Of these, chatter.
    chatter: u64,
    /// By rule, most first.
    rules: Vec<RuleTrial>,
}

/// One episode that would have been raised.
#[derive(ToSchema)]
pub(crate) struct Trial {
    /// The id it would have had.
    id: String,
    /// The rule.
    rule: String,
    /// How bad.
    severity: u8,
    /// The device.
    device: String,
    /// The metric.
    metric: Option<String>,
    /// The commune.
    area: Option<String>,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended; absent if it still held at the end.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// Whether it belongs to a chatter.
    chatter: bool,
}

/// What one rule came to.
#[derive(ToSchema)]
pub(crate) struct RuleTrial {
    /// The rule.
    rule: String,
    /// Episodes.
    raised: u64,
    /// Of these, chatter.
    chatter: u64,
    /// Median duration of those that ended, in milliseconds.
    median_ms: Option<i64>,
    /// The longest.
    longest_ms: Option<i64>,
    /// How many the same rule in force raised; null if there is none.
    in_force: Option<u64>,
    /// Episodes that only the tried rule raised.
    added: u64,
    /// Episodes that only the rule in force raised.
    removed: u64,
}

#[cfg(test)]
mod tests {
    use sen_model::oncall::{Person as P, Roster as R, Team as T, Turn as U};
    use sen_model::{AlertId, DeviceId, RuleId, Severity, Timestamp, backtest};

    use super::super::schema::tests::holds;
    use super::*;
    use crate::sample;

    #[test]
    fn the_descriptions_say_what_is_printed() {
        let at = Timestamp::from_millis(1_000);
        holds::<DeskRecord>(&sample::entry("work-1", 1, true, sample::work()));
        let device = Some(DeviceId::new("stn-my-tho").unwrap());
        holds::<Reach>(&sen_model::Reach { device, ..sen_model::Reach::default() });
        holds::<Advice>(&crate::notice::Advice { stage: 2, alerts: Vec::new() });
        let entry = sen_model::OnCallEntry::Absence {
            person: "lan".into(),
            from: at,
            until: at,
            reason: String::new(),
        };
        let record = sen_model::OnCallRecord {
            id: "x".into(),
            rev: 1,
            open: true,
            by: "Lan".into(),
            at,
            entry,
        };
        holds::<OnCallRecord>(&record);
        let person = P { id: "lan".into(), name: "Lan".into(), channels: Vec::new() };
        holds::<Person>(&person);
        let turn = U { person: "lan".into(), from: at, until: at, stands_in: false };
        holds::<Turn>(&turn);
        let team =
            T {
                id: "a".into(), name: sen_model::Text::new("Đội A", "Team A"), turns: vec![turn]
            };
        holds::<Team>(&team);
        holds::<Roster>(&R { at, people: vec![person], teams: vec![team], entries: vec![record] });
    }

    #[test]
    fn those_of_backtests_do_as_well() {
        let at = Timestamp::from_millis(1_000);
        let rule = RuleId::new("flood").unwrap();
        let trial = backtest::Trial {
            id: AlertId::from_text("a"),
            rule: rule.clone(),
            severity: Severity::HIGH,
            device: DeviceId::new("stn-my-tho").unwrap(),
            metric: None,
            area: None,
            started_at: at,
            ended_at: Some(at),
            chatter: false,
        };
        holds::<Trial>(&trial);
        let of_rule = backtest::RuleTrial {
            rule,
            raised: 1,
            chatter: 0,
            median_ms: None,
            longest_ms: None,
            in_force: None,
            added: 1,
            removed: 0,
        };
        holds::<RuleTrial>(&of_rule);
        holds::<BacktestReport>(&sen_model::BacktestReport {
            from: at,
            to: at,
            readings: 1,
            series: 1,
            took_ms: 1,
            trials: vec![trial],
            raised: 1,
            chatter: 0,
            rules: vec![of_rule],
        });
    }
}
