//! What a person closed, and the events that come afterwards.

use super::*;

/// Nobody measures the end of happenings: who closes their alert ends them, and what comes next is
/// told, also when a crash makes everything be judged again.
#[test]
fn after_an_alert_of_events_was_closed_the_next_events_raise_another() {
    let registry = Arc::new(registry());
    let condition = Condition::Events {
        kinds: vec!["fire".into()],
        attributes: Vec::new(),
        least: 2,
        within_ms: 1_000,
        distinct: None,
        scope: Scope::Area,
        quiet_ms: 1_000_000,
    };
    let rules = [Rule { selector: sen_model::Selector::default(), ..rule("fire", condition) }];
    let event = |ms: i64| Event {
        id: ms.to_string(),
        device: crate::fixtures::device_id("stn-a"),
        kind: "fire".into(),
        event_time: at(ms),
        received_at: at(ms),
        text: String::new(),
        attributes: std::collections::BTreeMap::new(),
    };
    let raises = |records: &Records| -> Vec<i64> {
        let raised = records.alerts.iter().filter(|record| record.change == Change::Raised);
        raised.map(|record| record.started_at.as_millis()).collect()
    };
    let mut log = Records::default();
    let mut judge = over(&registry, &rules, &[], 0);
    for ms in [10, 20, 30] {
        judge.hear(&event(ms), at(ms), &mut log);
    }
    let saved = judge.save(Nexts { alerts: 2, ..FIRST }, 4, &rules, at(35)).encode().unwrap();
    let act = Doing::Close { cause: sen_model::Cause::Resolved, note: String::new() };
    let order = Order::Alert { alert: log.alerts[0].id.clone(), expected_rev: None, act };
    let close = Command { order, ..acknowledge(log.alerts[0].id.clone(), 40) };
    judge.carry_out(&close, at(40), &mut log);
    let closed = log.alerts.clone();
    for ms in [50, 60] {
        judge.hear(&event(ms), at(ms), &mut log);
    }
    assert_eq!(raises(&log), [10, 50]);
    judge.judge_silence(at(70), &mut log);
    assert_eq!(log.alerts.len(), 3, "the end of what was closed is told by its closing");

    // A crash right after the closing: from the log alone, and from a checkpoint before it.
    for (saved, from) in [(None, 10), (Saved::decode(&saved), 40)] {
        let mut past = Past::new(saved, around(&registry));
        closed.iter().for_each(|record| past.alert(record.clone()));
        let mut out = Records::default();
        let mut judge = Judge::new(&rules, Arc::clone(&registry), TIMING, past, at(45), &mut out);
        let events = [10, 20, 30, 50, 60].into_iter().filter(|ms| *ms >= from);
        events.for_each(|ms| judge.hear(&event(ms), at(65), &mut out));
        judge.resume(at(65), &mut out);
        judge.withdraw(at(65), &mut out);
        assert_eq!(raises(&out), [50]);
        assert_eq!(out.alerts[0].id, log.alerts[2].id, "the same episode");
    }
}
