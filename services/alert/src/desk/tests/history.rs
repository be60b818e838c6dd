//! Any history of episodes, people, other systems and time, with crashes anywhere in it: what the
//! logs then say of the lifecycle, of revisions, of what nobody may lose or get twice.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use sen_model::alert::Explanation;
use sen_model::{Cause, DeskAct, Field, Foreign, Reach, Registry, Text};

use super::*;

/// ISA-18.2 / IEC 62682 as a table: from a state, by a change, to a state. `None` is "not there".
const TABLE: [(Option<AlertState>, Change, AlertState); 18] = {
    use AlertState::*;
    [
        (None, Change::Raised, Unacknowledged),
        (Some(Unacknowledged), Change::Acknowledged, Acknowledged),
        (Some(Unacknowledged), Change::Cleared, ReturnedUnacknowledged),
        // Needs nobody, or was put aside.
        (Some(Unacknowledged), Change::Cleared, Normal),
        (Some(Unacknowledged), Change::Cleared, Latched),
        (Some(Acknowledged), Change::Cleared, Normal),
        (Some(Acknowledged), Change::Cleared, Latched),
        (Some(ReturnedUnacknowledged), Change::Acknowledged, Normal),
        (Some(ReturnedUnacknowledged), Change::Acknowledged, Latched),
        (Some(ReturnedUnacknowledged), Change::Superseded, Normal),
        (Some(Latched), Change::Superseded, Normal),
        (Some(Latched), Change::Reset, Normal),
        (Some(ReturnedUnacknowledged), Change::Closed, Normal),
        (Some(Latched), Change::Closed, Normal),
        // Only of what nobody measures; looked at apart.
        (Some(Unacknowledged), Change::Closed, Normal),
        (Some(Acknowledged), Change::Closed, Normal),
        (Some(Unacknowledged), Change::Updated, Unacknowledged),
        (Some(Acknowledged), Change::Updated, Acknowledged),
    ]
};

/// What leaves every open state as it is.
const ASIDE: [Change; 8] = [
    Change::Assigned,
    Change::Noted,
    Change::Shelved,
    Change::Unshelved,
    Change::Suppressed,
    Change::Unsuppressed,
    Change::TakenOut,
    Change::PutBack,
];

fn is_allowed(from: Option<AlertState>, change: Change, to: AlertState) -> bool {
    let stays = from == Some(to) && to.is_open() && ASIDE.contains(&change);
    stays || TABLE.contains(&(from, change, to))
}

#[derive(Clone, Debug)]
enum Step {
    /// An episode of one of the subjects begins now.
    Raise(usize),
    /// The last one of it ends now.
    Clear(usize),
    /// Somebody does something to one of the alerts so far.
    Act { which: Index, act: usize, expects: Option<u32>, by: bool },
    /// Somebody does something at the desk.
    Order { act: usize, which: Index },
    /// Another system tells of an alert.
    Tell { key: u8, for_ms: i64 },
    /// Time passes.
    Pass(i64),
    /// Nobody watches one of the alerts any more.
    Withdraw(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_usize..7).prop_map(Step::Raise),
        6 => (0_usize..7).prop_map(Step::Clear),
        8 => (any::<Index>(), 0_usize..10, proptest::option::of(1_u32..5), any::<bool>())
            .prop_map(|(which, act, expects, by)| Step::Act { which, act, expects, by }),
        3 => (0_usize..9, any::<Index>()).prop_map(|(act, which)| Step::Order { act, which }),
        1 => (0_u8..2, -50_i64..400).prop_map(|(key, for_ms)| Step::Tell { key, for_ms }),
        4 => prop_oneof![1_i64..400, Just(700_000)].prop_map(Step::Pass),
        1 => (0_usize..7).prop_map(Step::Withdraw),
    ];
    proptest::collection::vec(step, 1..60)
}

/// After which step the process dies, and how many of the records it was writing then survive.
type Crash = (Index, usize);

fn around() -> Around {
    let mut devices: Vec<_> = registry().devices().cloned().collect();
    devices[1].relations.gateway = Some(device_id("pump-1"));
    devices[2].relations.power = Some(device_id("pump-1"));
    devices[0].relations.gateway = None;
    Around::new(Arc::new(Registry::new(devices, registry().places().to_vec())), HOUR_MS)
}

fn rules() -> Vec<Rule> {
    let silent = Condition::Absence { missing_ms: 1_000 };
    vec![
        Rule { stage: Some(3), ..rule("flood-3", limit(None, 0, 0)) },
        Rule { severity: Severity::LOW, ..rule("notice", limit(None, 0, 0)) },
        Rule { latched: true, ..rule("latched", limit(None, 0, 0)) },
        rule("silent", silent),
    ]
}

fn subjects() -> Vec<Subject> {
    let of = |rule: usize, device: &str| Subject {
        edition: edition(rules()[rule].clone()),
        device: device_id(device),
        metric: Some(metric("level")),
        area: None,
    };
    vec![
        of(0, "stn-a"),
        of(0, "stn-b"),
        of(1, "stn-a"),
        of(2, "stn-a"),
        of(3, "pump-1"),
        of(3, "stn-a"),
        of(3, "stn-b"),
    ]
}

/// The logs, and the process on top of them.
struct World {
    desk: Desk,
    log: Records,
    now: i64,
    /// When the last episode of each subject began.
    begun: Vec<Option<i64>>,
    steps: usize,
    rules: Vec<Rule>,
    subjects: Vec<Subject>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            desk: Desk::new(around()),
            log: Records::default(),
            now: 1_000,
            begun: vec![None; subjects().len()],
            steps: 0,
            rules: rules(),
            subjects: subjects(),
        };
        let mut out = Records::default();
        world.desk.take_rules(&world.rules, at(world.now), &mut out);
        world.append(out, usize::MAX);
        world
    }

    /// Does one thing; if the process dies in it, only the first records reach the disk, and the
    /// thing comes again: by the replay, or because whoever asked had no answer.
    fn step(&mut self, step: &Step, surviving: Option<usize>) {
        self.steps += 1;
        match step {
            Step::Pass(ms) => self.now += ms,
            Step::Raise(n) => {
                self.now += 1;
                self.begun[*n] = Some(self.now);
            }
            _ => {}
        }
        // By what is seen before the step, also the second time.
        let command = self.command(step);
        let out = self.perform(step, command.as_ref());
        self.append(out, surviving.unwrap_or(usize::MAX));
        if surviving.is_some() {
            self.restart();
            let out = self.perform(step, command.as_ref());
            self.append(out, usize::MAX);
        }
        if let Some(command) = command.filter(|c| !matches!(c.order, Order::Foreign { .. })) {
            let first = self.desk.carry_out(&command, at(self.now), &mut Records::default());
            let mut out = Records::default();
            let again = self.desk.carry_out(&command, at(self.now + 5), &mut out);
            assert!(out.is_empty() && again == first, "the same key twice: {step:?}");
        }
    }

    fn perform(&mut self, step: &Step, command: Option<&Command>) -> Records {
        let (now, mut out) = (at(self.now), Records::default());
        if let Some(command) = command {
            self.desk.carry_out(command, now, &mut out);
        }
        match step {
            Step::Raise(n) => {
                self.desk.apply(&raise(&self.subjects[*n], self.now), now, &mut out);
            }
            Step::Clear(n) => {
                if let Some(start) = self.begun[*n] {
                    let transition = clear(&self.subjects[*n], start, self.now);
                    self.desk.apply(&transition, now, &mut out);
                }
            }
            Step::Withdraw(n) => {
                if let Some(start) = self.begun[*n] {
                    let id = self.subjects[*n].episode(at(start));
                    self.desk.withdraw(&id, Unwatched::RuleChanged, true, now, &mut out);
                }
            }
            Step::Pass(_) => self.desk.pass_time(now, &mut out),
            Step::Act { .. } | Step::Order { .. } | Step::Tell { .. } => {}
        }
        out
    }

    fn command(&self, step: &Step) -> Option<Command> {
        let key = format!("key-{}", self.steps);
        let (order, by) = match step {
            Step::Act { which, act, expects, by } => {
                let ids: Vec<&AlertId> = self
                    .log
                    .alerts
                    .iter()
                    .filter(|r| r.change == Change::Raised && !foreign::is_foreign(r))
                    .map(|record| &record.id)
                    .collect();
                let alert = (*ids.get(which.index(ids.len().max(1)))?).clone();
                let act = self.acts()[*act].clone();
                let by = if *by { "Lan" } else { "Minh" };
                (Order::Alert { alert, expected_rev: *expects, act }, by)
            }
            Step::Order { act, which } => {
                let made = |kind: &str| {
                    let made = self.log.desk.iter().filter(|r| r.id.as_str().starts_with(kind));
                    let ids: Vec<EntryId> = made.map(|record| record.id.clone()).collect();
                    let nothing = EntryId::from_text("nothing");
                    ids.get(which.index(ids.len().max(1))).cloned().unwrap_or(nothing)
                };
                (Order::Desk { act: self.orders(made)[*act].clone() }, "Lan")
            }
            Step::Tell { key, for_ms } => (Order::Foreign { told: self.told(*key, *for_ms) }, "am"),
            _ => return None,
        };
        Some(Command { idempotency_key: key, order, by: by.into(), at: at(self.now) })
    }

    fn acts(&self) -> [Act; 10] {
        let until = at(self.now + 200);
        let (note, reason) = (String::new(), "vì vậy".to_owned());
        [
            Act::Acknowledge { note: note.clone() },
            Act::Acknowledge { note: "đã gọi".into() },
            Act::Assign { to: "Đội 2".into(), note: note.clone() },
            Act::Note { text: "ghi".into() },
            Act::Shelve { reason: reason.clone(), until, one_shot: self.now % 2 == 0 },
            Act::Unshelve,
            Act::Suppress { reason, until },
            Act::Unsuppress,
            Act::Reset { note: note.clone() },
            Act::Close { cause: Cause::Resolved, note },
        ]
    }

    fn orders(&self, made: impl Fn(&str) -> EntryId) -> [DeskAct; 9] {
        let reason = || "vì vậy".to_owned();
        let reach = |id: &str| Reach { device: Some(device_id(id)), ..Reach::default() };
        let (from, until) = (at(self.now + 50), at(self.now + 300));
        [
            DeskAct::SetStage { stage: 2, reason: reason() },
            DeskAct::TakeOut { reach: reach("stn-a"), reason: reason() },
            DeskAct::TakeOut { reach: reach("stn-b"), reason: reason() },
            DeskAct::PutBack { entry: made("out-") },
            DeskAct::PlanWork { reach: reach("stn-a"), from, until, reason: reason() },
            DeskAct::EndWork { entry: made("work-") },
            DeskAct::SetDrill { on: true, reason: reason() },
            DeskAct::SetDrill { on: false, reason: reason() },
            DeskAct::HandOver { to: "Minh".into(), desk: None, from: at(0), text: reason() },
        ]
    }

    fn told(&self, key: u8, for_ms: i64) -> Foreign {
        Foreign {
            system: "prom".into(),
            name: "Down".into(),
            key: key.to_string(),
            severity: Severity::HIGH,
            field: Field::PublicServices,
            device: None,
            area: None,
            started_at: at(self.now - 10),
            ends_at: at(self.now + for_ms),
            text: Text::new("Mất", "Down"),
            attributes: BTreeMap::new(),
        }
    }

    /// Entries of the desk are written before alerts.
    fn append(&mut self, out: Records, surviving: usize) {
        let entries = surviving.min(out.desk.len());
        self.log.desk.extend(out.desk.into_iter().take(surviving));
        self.log.alerts.extend(out.alerts.into_iter().take(surviving - entries));
    }

    fn folded(&self) -> Desk {
        let mut desk = Desk::new(around());
        self.log.alerts.iter().for_each(|record| desk.fold(record.clone()));
        self.log.desk.iter().for_each(|record| desk.fold_entry(record.clone()));
        desk
    }

    fn restart(&mut self) {
        let (now, mut out) = (at(self.now), Records::default());
        self.desk = self.folded();
        self.desk.take_rules(&self.rules, now, &mut out);
        self.desk.tidy(now, &mut out);
        self.append(out, usize::MAX);
    }

    /// How every alert of the rules ends up, without when and by how many records.
    fn outcome(&self) -> BTreeMap<AlertId, String> {
        let own = self.desk.alerts.values().filter(|alert| !foreign::is_foreign(alert));
        let told = |alert: &AlertRecord| {
            let shelf = alert.shelving.as_ref().map(|shelving| shelving.until);
            let why = alert.suppression.as_ref().map(|suppression| suppression.why.clone());
            let taken = alert.acknowledgement.as_ref().map(|taken| taken.by.clone());
            let AlertRecord { state, out_of_service, chattering, drill, .. } = alert;
            let text = format!(
                "{state:?} {shelf:?} {why:?} {taken:?} {out_of_service:?} {chattering} {drill}"
            );
            (alert.id.clone(), text)
        };
        own.map(told).collect()
    }

    /// Which entries there are and stand, but for those about the other system: after a restart
    /// its alerts have time to be told again, so they may live longer.
    fn entries(&self) -> BTreeMap<String, bool> {
        let is_own =
            |id: &EntryId| !["prom", "public"].iter().any(|word| id.as_str().contains(word));
        let known = self.desk.entries.known().iter().filter(|(id, _)| is_own(id));
        known.map(|(id, record)| (id.to_string(), record.open)).collect()
    }
}

/// What holds for the logs of any world.
fn check(world: &World) -> Result<(), TestCaseError> {
    let mut alerts: BTreeMap<AlertId, AlertRecord> = BTreeMap::new();
    for record in &world.log.alerts {
        let before = alerts.get(&record.id);
        let from = before.map(|held| held.state);
        prop_assert_eq!(record.rev, before.map_or(0, |held| held.rev) + 1, "{:?}", record);
        let state = record.state;
        prop_assert!(is_allowed(from, record.change, state), "{:?} {:?}", from, record);
        if record.change == Change::Closed && from.is_some_and(|from| from != state) {
            let held = before.is_some_and(AlertRecord::holds);
            prop_assert!(!held || foreign::is_foreign(record), "closed while measured to hold");
        }
        let held_at = |id: &AlertId| alerts.get(id).is_some_and(AlertRecord::holds);
        if let (Change::Suppressed, Some(held)) = (record.change, &record.suppression) {
            let is_told = match &held.why {
                Explanation::Dependency { alert, .. } => held_at(alert),
                Explanation::Person { by, .. } => by == "Lan" || by == "Minh",
                Explanation::Maintenance { entry } => entry.starts_with("work-"),
                Explanation::Level { .. } | Explanation::Member { .. } => false,
            };
            prop_assert!(is_told, "hidden without a cause: {:?}", record);
        }
        if !record.is_shown() && record.state.is_open() {
            let has_reason = record.shelving.as_ref().is_none_or(|s| !s.reason.is_empty());
            prop_assert!(has_reason);
        }
        alerts.insert(record.id.clone(), record.clone());
    }
    let mut entries: BTreeMap<EntryId, u32> = BTreeMap::new();
    for record in &world.log.desk {
        let rev = entries.entry(record.id.clone()).or_default();
        *rev += 1;
        prop_assert_eq!(record.rev, *rev, "{:?}", record);
    }
    let folded = world.folded();
    prop_assert_eq!(&folded.alerts, &world.desk.alerts);
    prop_assert_eq!(folded.entries.known(), world.desk.entries.known());
    prop_assert_eq!(folded.entries.editions(), world.desk.entries.editions());
    prop_assert_eq!(folded.open_count(), world.desk.open().len());
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_the_logs_are_a_lifecycle_and_say_how_the_desk_stands(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step, None);
            // Of one rule over one series only the newest waits for a person.
            let open = world.desk.open();
            for alert in open.iter().filter(|a| a.state == AlertState::ReturnedUnacknowledged) {
                let newer = open.iter().filter(|other| {
                    let place = |a: &AlertRecord| (a.rule.clone(), a.device.clone(), a.rule_version.clone());
                    place(other) == place(alert) && other.started_at > alert.started_at
                });
                prop_assert_eq!(newer.count(), 0);
            }
        }
        check(&world)?;
        // Time that passes again changes nothing.
        let now = world.now;
        pass(&mut world.desk, now);
        prop_assert!(pass(&mut world.desk, now).is_empty());
    }

    #[test]
    fn a_crash_anywhere_loses_no_alert_and_tells_none_twice(
        steps in steps(),
        crashes in proptest::collection::vec((any::<Index>(), 0_usize..5), 1..4),
    ) {
        let (mut undisturbed, mut crashed) = (World::new(), World::new());
        for (number, step) in steps.iter().enumerate() {
            undisturbed.step(step, None);
            let crash = crashes.iter().find(|crash: &&Crash| crash.0.index(steps.len()) == number);
            crashed.step(step, crash.map(|(_, surviving)| *surviving));
        }
        check(&crashed)?;
        prop_assert_eq!(crashed.outcome(), undisturbed.outcome());
        prop_assert_eq!(crashed.entries(), undisturbed.entries());
    }
}
