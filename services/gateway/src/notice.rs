//! Pure: what every screen is told about the whole centre, whatever its view: the stage of the
//! province, what is suggested for it, floods, a drill, whether alerts can be raised at all, and
//! whether what is acknowledged is on disk.

use sen_model::{AlertId, Entry, Field, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alerting::Alerting;
use crate::projection::Desk;
use crate::projection::desk::Kind;

/// Alerts that are named for an advice; all of them are in the desk's record.
const MOST_ALERTS: usize = 100;
/// Floods that are told; each desk has one at most.
const MOST_FLOODS: usize = 16;

/// The frame `centre` of the live protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The stage of the province; null until somebody has set one.
    pub stage: Option<Stage>,
    /// What the rules suggest for it; null while they suggest nothing.
    pub advice: Option<Advice>,
    /// The floods that go on.
    pub floods: Vec<Flood>,
    /// The drill that is on; null if there is none.
    pub drill: Option<Drill>,
    /// Whether alerts can be raised.
    pub alerting: Alerting,
    /// Why what is acknowledged may be lost when machines lose power; null where it may not.
    pub best_effort: Option<String>,
}

/// The stage of the province.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// 1 to 5.
    pub stage: u8,
    /// Since when.
    pub since: Timestamp,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A stage that rules suggest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// 1 to 5.
    pub stage: u8,
    /// The alerts that speak for it.
    pub alerts: Vec<AlertId>,
}

/// A flood of alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flood {
    /// At which desk.
    pub desk: Field,
    /// Since when.
    pub started_at: Timestamp,
    /// The alert that came first.
    pub first_out: AlertId,
    /// New alerts so far.
    pub raised: u32,
}

/// A drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// Since when.
    pub since: Timestamp,
    /// Who began it.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Notice {
    /// As the desk and the watch over the probe stand.
    pub fn of(desk: &Desk, alerting: Alerting, best_effort: Option<String>) -> Self {
        Self {
            stage: stage(desk),
            advice: advice(desk),
            floods: floods(desk),
            drill: drill(desk),
            alerting,
            best_effort,
        }
    }
}

/// The stage that was set last.
pub fn stage(desk: &Desk) -> Option<Stage> {
    let record = desk.newest_first(Kind::Stage).next()?.record.as_ref();
    let Entry::Stage { stage, reason } = &record.entry else { return None };
    let (stage, reason) = (*stage, reason.clone());
    Some(Stage { stage, since: record.at, by: record.by.clone(), reason })
}

/// What is suggested now.
pub fn advice(desk: &Desk) -> Option<Advice> {
    let record = desk.open(Kind::Advice).next()?;
    let Entry::StageAdvice { stage, alerts } = &record.entry else { return None };
    let alerts = alerts.iter().take(MOST_ALERTS).cloned().collect();
    Some(Advice { stage: *stage, alerts })
}

fn floods(desk: &Desk) -> Vec<Flood> {
    let flood = |entry: &Entry| match entry {
        Entry::Flood { desk, started_at, first_out, raised, .. } => Some(Flood {
            desk: *desk,
            started_at: *started_at,
            first_out: first_out.clone(),
            raised: *raised,
        }),
        _ => None,
    };
    let open = desk.open(Kind::Flood).filter_map(|record| flood(&record.entry));
    open.take(MOST_FLOODS).collect()
}

/// The drill that is on.
pub fn drill(desk: &Desk) -> Option<Drill> {
    let record = desk.open(Kind::Drill).next()?;
    let Entry::Drill { reason } = &record.entry else { return None };
    Some(Drill { since: record.at, by: record.by.clone(), reason: reason.clone() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample;

    #[test]
    fn it_says_what_stands_and_nothing_of_what_has_ended() {
        let mut desk = Desk::default();
        let now = Timestamp::from_millis(9);
        let alerting = Alerting { ok: true, since: now, latency_ms: None };
        let empty = Notice::of(&desk, alerting, None);
        assert_eq!((&empty.stage, &empty.advice, &empty.drill), (&None, &None, &None));
        let reason = || "Lũ lên nhanh".to_owned();
        let alerts: Vec<AlertId> = (0..150).map(|n| AlertId::from_text(&format!("a{n}"))).collect();
        let flood = Entry::Flood {
            desk: Field::Environment,
            started_at: now,
            ended_at: None,
            first_out: alerts[0].clone(),
            raised: 12,
            peak: 11,
            by_rule: Vec::new(),
            by_area: Vec::new(),
        };
        let entries = [
            ("stage", 1, true, Entry::Stage { stage: 2, reason: reason() }),
            ("stage", 2, true, Entry::Stage { stage: 3, reason: reason() }),
            ("stage-advice", 1, true, Entry::StageAdvice { stage: 4, alerts }),
            ("flood-1", 1, true, flood.clone()),
            ("flood-0", 1, false, flood),
            ("drill", 1, true, Entry::Drill { reason: reason() }),
            ("drill", 2, false, Entry::Drill { reason: reason() }),
        ];
        for (offset, (id, rev, open, entry)) in entries.into_iter().enumerate() {
            desk.apply(offset as u64 + 1, Arc::new(sample::entry(id, rev, open, entry)));
        }
        let notice = Notice::of(&desk, alerting, None);
        assert_eq!(notice.stage.map(|stage| (stage.stage, stage.by)), Some((3, "Lan".to_owned())));
        let advice = notice.advice.unwrap();
        assert_eq!((advice.stage, advice.alerts.len()), (4, MOST_ALERTS));
        assert_eq!((notice.floods.len(), notice.floods[0].raised), (1, 12));
        assert_eq!(notice.drill, None);
    }
}
