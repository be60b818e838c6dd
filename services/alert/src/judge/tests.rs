//! Crashes at any point: the alert log ends up as if there had been none.

mod closing;

use proptest::prelude::*;
use sen_model::condition::Scope;
use sen_model::{Act as Doing, AlertId, Change, Condition, Order};

use super::*;
use crate::desk::Around;
use crate::fixtures::{at, batch, limit, reading, registry, rule};

const TIMING: Timing = Timing { late_after_ms: 60_000, wait_ms: 0 };

#[derive(Clone, Debug)]
enum Act {
    /// A packet: device, event time, levels.
    Hear {
        device: usize,
        event_ms: i64,
        values: Vec<f64>,
    },
    /// Somebody acknowledges one of the alerts in the log.
    Acknowledge(prop::sample::Index),
    Checkpoint,
    /// Another set of rules.
    Edit(usize),
}

/// After which act the process dies, and how many of the records it was writing then survive.
type Crash = (prop::sample::Index, usize);

/// Nothing was written yet.
const FIRST: Nexts = Nexts { alerts: 1, desk: 1, shadow: 1 };

fn sets() -> [Vec<Rule>; 4] {
    let instant = rule("instant", limit(None, 0, 0));
    let banded = rule("banded", limit(Some(1.4), 0, 0));
    let slow = rule("slow", limit(Some(1.4), 20, 15));
    let low = Rule { severity: Severity::LOW, ..rule("slow", limit(None, 30, 0)) };
    let composite = |of: &[&str], least, scope| Condition::Composite {
        of: of.iter().map(|id| sen_model::RuleId::new(id).unwrap()).collect(),
        least,
        scope,
        for_ms: 0,
    };
    let over =
        |id, condition| Rule { selector: sen_model::Selector::default(), ..rule(id, condition) };
    let groups = vec![
        over("outer", composite(&["pair", "both"], 2, Scope::Province)),
        over("pair", composite(&["instant"], 2, Scope::Area)),
        over("both", composite(&["banded", "slow"], 2, Scope::Device)),
        instant.clone(),
        banded.clone(),
        slow.clone(),
    ];
    [vec![instant.clone(), banded.clone(), slow], vec![instant, low], vec![banded], groups]
}

/// The set with groups.
const GROUPS: usize = 3;

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let value = prop_oneof![Just(1.0), Just(1.5), Just(1.7)];
    let packet = (0_usize..2, -30_i64..20, proptest::collection::vec(value, 1..3));
    let act = prop_oneof![
        12 => packet.prop_map(|(device, event_ms, values)| Act::Hear { device, event_ms, values }),
        2 => any::<prop::sample::Index>().prop_map(Act::Acknowledge),
        1 => Just(Act::Checkpoint),
        1 => (0_usize..3).prop_map(Act::Edit),
    ];
    proptest::collection::vec(act, 1..60)
}

/// What is on disk, and the process on top of it.
struct World {
    registry: Arc<Registry>,
    readings: Vec<ReadingBatch>,
    alerts: Vec<AlertRecord>,
    entries: Vec<DeskRecord>,
    /// Bytes, and the number of readings judged before.
    checkpoint: Option<(Vec<u8>, usize)>,
    rules: usize,
    judge: Judge,
    now: i64,
}

impl World {
    fn new() -> Self {
        Self::under(0)
    }

    fn under(rules: usize) -> Self {
        let registry = Arc::new(registry());
        let mut out = Records::default();
        let judge = begin(&registry, rules, None, &[], &[], &mut out);
        Self {
            registry,
            readings: vec![],
            alerts: vec![],
            entries: out.desk,
            checkpoint: None,
            rules,
            judge,
            now: 0,
        }
    }

    /// Does one thing; if the process dies in it, only the first records reach the disk.
    fn act(&mut self, act: &Act, surviving: Option<usize>) {
        self.now += 10;
        let (now, mut out) = (at(self.now), Records::default());
        match act {
            Act::Hear { device, event_ms, values } => {
                let event_ms = self.now + event_ms;
                let readings = values.iter().zip(0..).map(|(v, n)| reading(event_ms + n, *v));
                let packet = batch(["stn-a", "stn-b"][*device], self.now, readings.collect());
                self.readings.push(packet);
                let packet = &self.readings[self.readings.len() - 1];
                self.judge.judge(packet, now, &mut out);
            }
            Act::Acknowledge(which) => {
                if !self.alerts.is_empty() {
                    let alert = self.alerts[which.index(self.alerts.len())].id.clone();
                    let command = acknowledge(alert, self.now);
                    self.judge.carry_out(&command, now, &mut out);
                }
            }
            Act::Checkpoint => self.checkpoint(),
            Act::Edit(rules) => {
                self.checkpoint();
                self.rules = *rules;
                self.judge.replace_rules(&sets()[*rules], now, &mut out);
            }
        }
        self.append(out, surviving);
        if surviving.is_some() {
            self.restart();
        }
    }

    fn checkpoint(&mut self) {
        let nexts = Nexts {
            alerts: self.alerts.len() as u64 + 1,
            desk: self.entries.len() as u64 + 1,
            shadow: 1,
        };
        let saved = self.judge.save(nexts, 1, &sets()[self.rules], at(self.now));
        self.checkpoint = Some((saved.encode().unwrap(), self.readings.len()));
    }

    /// Entries of the desk survive: they are written first.
    fn append(&mut self, records: Records, surviving: Option<usize>) {
        self.entries.extend(records.desk);
        self.alerts.extend(records.alerts.into_iter().take(surviving.unwrap_or(usize::MAX)));
    }

    fn restart(&mut self) {
        let (saved, from) = match &self.checkpoint {
            Some((bytes, from)) => (Some(Saved::decode(bytes).unwrap()), *from),
            None => (None, 0),
        };
        let mut out = Records::default();
        let logs = (&self.alerts[..], &self.entries[..]);
        self.judge = begin(&self.registry, self.rules, saved, logs.0, logs.1, &mut out);
        for packet in &self.readings[from..] {
            self.judge.judge(packet, at(self.now), &mut out);
        }
        self.judge.resume(at(self.now), &mut out);
        self.judge.withdraw(at(self.now), &mut out);
        self.append(out, None);
    }

    /// The log without the moments of recording, which a crash may move, and without the mark of
    /// chatter: the service reads back further than this test, to the last episodes of a series.
    fn log(&self) -> Vec<AlertRecord> {
        let plain = |record: &AlertRecord| AlertRecord {
            recorded_at: at(0),
            chattering: false,
            ..record.clone()
        };
        self.alerts.iter().map(plain).collect()
    }
}

fn begin(
    registry: &Arc<Registry>,
    rules: usize,
    saved: Option<Saved>,
    log: &[AlertRecord],
    entries: &[DeskRecord],
    out: &mut Records,
) -> Judge {
    let nexts = saved.as_ref().map(|saved| saved.nexts);
    let from = |next: fn(&Nexts) -> u64| nexts.as_ref().map_or(0, |nexts| next(nexts) as usize - 1);
    let mut past = Past::new(saved, around(registry));
    log[from(|nexts| nexts.alerts)..].iter().for_each(|record| past.alert(record.clone()));
    entries[from(|nexts| nexts.desk)..].iter().for_each(|record| past.entry(record.clone()));
    Judge::new(&sets()[rules], Arc::clone(registry), TIMING, past, at(0), out)
}

fn around(registry: &Arc<Registry>) -> Around {
    Around::new(Arc::clone(registry), 3_600_000)
}

/// A judge with nothing behind it but these records.
fn over(registry: &Arc<Registry>, rules: &[Rule], log: &[AlertRecord], now: i64) -> Judge {
    let mut past = Past::new(None, around(registry));
    log.iter().for_each(|record| past.alert(record.clone()));
    Judge::new(rules, Arc::clone(registry), TIMING, past, at(now), &mut Records::default())
}

fn acknowledge(alert: AlertId, now: i64) -> Command {
    Command {
        idempotency_key: format!("{now}"),
        order: Order::Alert {
            alert,
            expected_rev: None,
            act: Doing::Acknowledge { note: String::new() },
        },
        by: "Lan".into(),
        at: at(now),
    }
}

/// A clear that a crash cut off is found again with the old edition's words or the new one's; what
/// an edit closes says when that was, and a restart may be later.
fn without_edit_times(mut log: Vec<AlertRecord>) -> Vec<AlertRecord> {
    for record in &mut log {
        if record.text.en.contains("The rule has changed") {
            record.event_time = at(0);
            record.cleared_at = None;
        }
    }
    log
}

/// What became of an alert: when it began and ended, whether it holds, and what it is made of.
type Fate = (i64, Option<i64>, bool, Vec<AlertId>);

fn fates(world: &World) -> std::collections::BTreeMap<AlertId, Fate> {
    let fate = |record: &AlertRecord| {
        let mut members = record.members.clone();
        members.sort();
        let ended = record.cleared_at.map(Timestamp::as_millis);
        (record.started_at.as_millis(), ended, record.holds(), members)
    };
    world.alerts.iter().map(|record| (record.id.clone(), fate(record))).collect()
}

proptest! {
    #[test]
    fn a_crash_anywhere_leaves_groups_as_they_would_have_been(
        acts in acts(),
        crashes in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..4), 1..4),
    ) {
        let is_fit = |act: &&Act| !matches!(act, Act::Edit(_) | Act::Acknowledge(_));
        let acts: Vec<&Act> = acts.iter().filter(is_fit).collect();
        let mut undisturbed = World::under(GROUPS);
        acts.iter().for_each(|act| undisturbed.act(act, None));
        let mut crashed = World::under(GROUPS);
        for (number, act) in acts.iter().enumerate() {
            let crash = crashes.iter().find(|crash: &&Crash| crash.0.index(acts.len()) == number);
            crashed.act(act, crash.map(|(_, surviving)| *surviving));
        }
        prop_assert_eq!(fates(&crashed), fates(&undisturbed));
        let mut keys: Vec<_> = crashed.alerts.iter().map(|a| (a.id.clone(), a.rev)).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), crashed.alerts.len(), "each (id, rev) once");
    }

    #[test]
    fn a_crash_anywhere_changes_nothing_in_the_alert_log(
        acts in acts(),
        crashes in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..4), 1..4),
    ) {
        let mut undisturbed = World::new();
        acts.iter().for_each(|act| undisturbed.act(act, None));
        let mut crashed = World::new();
        for (number, act) in acts.iter().enumerate() {
            let crash = crashes.iter().find(|crash: &&Crash| crash.0.index(acts.len()) == number);
            // A command whose record did not reach the disk was not answered: it is asked again
            // in life, but not by this test.
            let surviving = crash.map(|(_, surviving)| match act {
                Act::Acknowledge(_) => usize::MAX,
                _ => *surviving,
            });
            crashed.act(act, surviving);
        }
        prop_assert_eq!(without_edit_times(crashed.log()), without_edit_times(undisturbed.log()));
        let mut keys: Vec<_> = crashed.alerts.iter().map(|a| (a.id.clone(), a.rev)).collect();
        keys.sort();
        keys.dedup();
        prop_assert_eq!(keys.len(), crashed.alerts.len(), "each (id, rev) once");
    }

    #[test]
    fn an_edit_closes_the_episodes_of_the_editions_it_removes_once_each(acts in acts(), last in 0_usize..3) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act, None));
        world.act(&Act::Edit(last), None);
        let before = world.alerts.len();
        world.act(&Act::Edit(last), None);
        prop_assert_eq!(world.alerts.len(), before, "the same set again closes nothing");
        let versions: Vec<String> = sets()[last].iter().map(Rule::version).collect();
        let mut desk = Desk::default();
        world.alerts.iter().for_each(|record| desk.fold(record.clone()));
        for alert in desk.judged() {
            prop_assert!(versions.contains(&alert.rule_version), "{}", alert.rule);
        }
    }
}

/// A sensor that trembles about its limit all day, and nobody at the desk.
#[test]
fn a_series_that_chatters_leaves_one_open_alert_a_rule_and_a_small_checkpoint() {
    let registry = Arc::new(registry());
    let rules = [rule("first", limit(None, 0, 0)), rule("second", limit(Some(1.4), 0, 0))];
    let mut judge = over(&registry, &rules, &[], 0);
    let (mut log, mut most_open) = (Records::default(), 0);
    for n in 0..5_000 {
        let value = if n % 2 == 0 { 1.0 } else { 1.9 };
        let now = n * 10_000;
        judge.judge(&batch("stn-a", now, vec![reading(now, value)]), at(now), &mut log);
        most_open = most_open.max(judge.open_count());
    }
    assert_eq!(most_open, 2);
    let raised = log.alerts.iter().filter(|record| record.change == Change::Raised).count();
    assert_eq!(raised, 5_000, "every episode is told");
    let saved = judge.save(FIRST, 1, &rules, at(0)).encode().unwrap();
    assert!(saved.len() < 16_384, "{} bytes", saved.len());
}

/// An absence is raised by the clock, which a replay does not turn back.
#[test]
fn a_silence_raised_before_a_crash_is_neither_doubled_nor_lost() {
    let registry = Arc::new(registry());
    let rules = [rule("silent", Condition::Absence { missing_ms: 5_000 })];
    let level = |device, ms| batch(device, ms, vec![reading(ms, 0.0)]);
    let new = |log: &[AlertRecord], now| over(&registry, &rules, log, now);
    let mut judge = new(&[], 0);
    let readings = [level("stn-a", 1_000), level("stn-b", 5_500)];
    let mut log = Records::default();
    readings.iter().for_each(|packet| judge.judge(packet, at(5_500), &mut log));
    judge.judge_silence(at(7_000), &mut log);
    assert_eq!(log.alerts.len(), 1);

    // The process dies without a checkpoint; every reading is judged again.
    let mut judge = new(&log.alerts, 8_000);
    let mut out = Records::default();
    readings.iter().for_each(|packet| judge.judge(packet, at(8_000), &mut out));
    judge.resume(at(8_000), &mut out);
    judge.withdraw(at(8_000), &mut out);
    judge.judge_silence(at(9_000), &mut out);
    assert_eq!(out.alerts, [], "stn-a is known to be silent, stn-b has its time from the start");
    judge.judge(&level("stn-a", 9_500), at(9_500), &mut out);
    assert_eq!(out.alerts.len(), 1);
    assert_eq!((out.alerts[0].id.clone(), out.alerts[0].rev), (log.alerts[0].id.clone(), 2));
    judge.judge_silence(at(13_001), &mut out);
    assert_eq!(out.alerts[1].device.as_str(), "stn-b");
}

#[test]
fn a_withdrawn_alert_says_whether_its_rule_has_changed() {
    let registry = Arc::new(registry());
    let rules = [rule("instant", limit(None, 0, 0))];
    let mut judge = over(&registry, &rules, &[], 0);
    let mut log = Records::default();
    judge.judge(&crate::fixtures::level("stn-a", 1_000, 2.0), at(1_000), &mut log);
    let mut out = Records::default();
    let mut edited = over(&registry, &rules, &log.alerts, 2_000);
    edited.replace_rules(&[rule("instant", limit(None, 30, 0))], at(2_000), &mut out);
    assert!(out.alerts[0].text.vi.starts_with("Quy tắc đã thay đổi"), "{:?}", out.alerts);
    // Without what upheld it: the reading is gone with its log.
    let mut out = Records::default();
    over(&registry, &rules, &log.alerts, 2_000).withdraw(at(2_000), &mut out);
    assert!(out.alerts[0].text.vi.starts_with("Không còn căn cứ"), "{:?}", out.alerts);
}

#[test]
fn a_restart_in_the_middle_of_the_time_does_not_begin_it_anew() {
    let registry = Arc::new(registry());
    let rules = [rule("slow", limit(None, 300_000, 0))];
    let level = |ms| batch("stn-a", ms, vec![reading(ms, 2.0)]);
    let new = |saved| {
        let past = Past::new(saved, around(&registry));
        let out = &mut Records::default();
        Judge::new(&rules, Arc::clone(&registry), TIMING, past, at(0), out)
    };
    let (mut judge, mut out) = (new(None), Records::default());
    judge.judge(&level(0), at(0), &mut out);
    judge.judge(&level(150_000), at(150_000), &mut out);
    let saved = Saved::decode(&judge.save(FIRST, 1, &rules, at(0)).encode().unwrap());
    let mut judge = new(saved);
    judge.judge(&level(299_999), at(299_999), &mut out);
    assert_eq!(out.alerts, []);
    judge.judge(&level(300_000), at(300_000), &mut out);
    assert_eq!((out.alerts[0].started_at, out.alerts[0].event_time), (at(0), at(300_000)));
}

#[test]
fn a_checkpoint_of_another_form_is_not_read() {
    let judge = over(&Arc::new(registry()), &[], &[], 0);
    let mut saved = judge.save(FIRST, 1, &[], at(0));
    assert!(Saved::decode(&saved.encode().unwrap()).is_some());
    saved.v += 1;
    assert!(Saved::decode(&saved.encode().unwrap()).is_none());
    assert!(Saved::decode(b"\0").is_none());
}

#[test]
fn a_rule_on_trial_is_seen_by_nobody_and_what_it_holds_is_told_when_it_has_passed() {
    let registry = Arc::new(registry());
    let on_trial = Rule { standing: Standing::Shadow, ..rule("new", limit(None, 0, 0)) };
    let part = Rule { standing: Standing::Part, ..rule("part", limit(None, 0, 0)) };
    let rules = [on_trial.clone(), part.clone()];
    let level = |ms, value| batch("stn-a", ms, vec![reading(ms, value)]);
    let (mut judge, mut out) = (over(&registry, &rules, &[], 0), Records::default());
    judge.judge(&level(1, 1.9), at(1), &mut out);
    judge.judge(&level(2, 1.0), at(2), &mut out);
    judge.judge(&level(3, 1.9), at(3), &mut out);
    let told: Vec<_> = out.shadow.iter().map(|r| (r.change, r.state.is_open(), r.rev)).collect();
    let raised = (Change::Raised, true, 1);
    assert_eq!(told, [raised, (Change::Cleared, false, 2), raised]);
    assert!(out.alerts.is_empty());

    // A restart from a checkpoint, and from the log alone, tells nothing twice.
    let saved = judge.save(Nexts { alerts: 1, desk: 1, shadow: 4 }, 1, &rules, at(4));
    let mut past = Past::new(Saved::decode(&saved.encode().unwrap()), around(&registry));
    out.shadow.iter().for_each(|record| past.trial(record.clone()));
    let mut out = Records::default();
    let mut judge = Judge::new(&rules, Arc::clone(&registry), TIMING, past, at(5), &mut out);
    judge.withdraw(at(5), &mut out);
    assert!(out.shadow.is_empty() && out.alerts.is_empty());

    let passed = Rule { standing: Standing::InForce, ..on_trial };
    judge.replace_rules(&[passed, part], at(6), &mut out);
    assert_eq!((out.shadow.len(), out.alerts.len()), (1, 1));
    assert_eq!((out.alerts[0].change, out.alerts[0].rev), (Change::Raised, 1));
    judge.judge(&level(7, 1.0), at(7), &mut out);
    assert_eq!((out.alerts[1].change, out.alerts[1].rev), (Change::Cleared, 2));
}

#[test]
fn of_what_begins_together_the_cause_is_told_first_and_the_rest_is_born_explained() {
    let level = |severity, at_least| sen_model::Level {
        severity,
        limit: sen_model::Limit {
            bound: sen_model::Bound::AtLeast(at_least),
            clear: None,
            for_ms: 0,
            clear_for_ms: 0,
        },
    };
    let levels = vec![
        level(Severity::MEDIUM, 1.4),
        level(Severity::HIGH, 1.5),
        level(Severity::CRITICAL, 1.6),
    ];
    let mut flood = rule("flood", limit(None, 0, 0));
    flood.condition = Condition::Levels { levels };
    let mut devices: Vec<_> = registry().devices().cloned().collect();
    // By name the station comes before the one it depends on.
    devices[1].relations.gateway = Some(devices[2].id.clone());
    let (station, gateway) = (devices[1].id.clone(), devices[2].id.clone());
    let registry = Arc::new(Registry::new(devices, registry().places().to_vec()));
    let rules = [flood, rule("silent", Condition::Absence { missing_ms: 5_000 })];
    let (mut judge, mut out) = (over(&registry, &rules, &[], 0), Records::default());
    judge.judge(&batch(station.as_str(), 1, vec![reading(1, 1.7)]), at(1), &mut out);
    let told = |out: &Records| -> Vec<(u8, Change, bool)> {
        out.alerts.iter().map(|r| (r.level, r.change, r.is_shown())).collect()
    };
    let raised = Change::Raised;
    assert_eq!(told(&out), [(3, raised, true), (2, raised, false), (1, raised, false)]);
    out.alerts.clear();
    judge.judge(&batch(station.as_str(), 2, vec![reading(2, 1.0)]), at(2), &mut out);
    let over: Vec<_> = out.alerts.iter().map(|r| (r.level, r.state.is_open())).collect();
    assert_eq!(over, [(1, false), (2, false), (3, true)], "only the worst waits for a person");

    out.alerts.clear();
    judge.judge_silence(at(10_000), &mut out);
    let silent: Vec<_> = out.alerts.iter().map(|r| (r.device.clone(), r.is_shown())).collect();
    assert!(
        silent.contains(&(gateway.clone(), true)) && silent.contains(&(station.clone(), false))
    );
    assert!(out.alerts.iter().all(|record| record.change == raised), "{silent:?}");
}
