//! What always holds of an escalation, whatever the policy, the channels and the people do.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sen_model::alert::Acknowledgement;
use sen_model::{Change, Severity};

use super::stories::{alert, noon};
use super::*;
use crate::policy::Step;
use crate::settings::OnCall;
use crate::settings::tests::sample;

/// How the tries of one delivery go, one after the other; then they succeed.
type Tries = Vec<DeliveryState>;

prop_compose! {
    fn policies()(
        steps in prop::collection::vec(
            (0..3_usize, prop::sample::subsequence(vec!["app", "push", "email", "sms"], 1..4),
             0_i64..20), 1..5),
        repeat in 0_u32..3,
        delay in 0_i64..10,
    ) -> Policy {
        let who = |n: usize| match n {
            0 => Who::Team("duty".into()),
            1 => Who::Person("chi".into()),
            _ => Who::Team("chiefs".into()),
        };
        let step = |(n, channels, wait): (usize, Vec<&str>, i64)| Step {
            who: who(n),
            channels: channels.into_iter().map(str::to_owned).collect(),
            wait_ms: wait * 1_000,
        };
        Policy {
            id: "p".into(),
            severities: Vec::new(),
            fields: Vec::new(),
            areas: Vec::new(),
            rules: Vec::new(),
            delay_ms: delay * 1_000,
            repeat,
            steps: steps.into_iter().map(step).collect(),
        }
    }
}

fn tries() -> impl Strategy<Value = Tries> {
    let one = prop_oneof![
        3 => Just(DeliveryState::Delivered),
        3 => Just(DeliveryState::Waiting),
        1 => Just(DeliveryState::Failed),
    ];
    prop::collection::vec(one, 0..40)
}

/// A world of one alert: each second what is due is recorded, every other second a try of each
/// delivery that waits ends, and now and then the process dies and begins anew from the records.
struct World {
    on: OnCall,
    book: Book,
    alert: AlertRecord,
    log: Vec<Delivery>,
    tries: Tries,
    sent: Vec<(String, i64)>,
}

impl World {
    fn new(policy: Policy, tries: Tries) -> Self {
        let on = OnCall { policies: vec![policy], ..sample() };
        let alert = alert(Severity::HIGH, noon());
        let mut book = Book::default();
        book.fold_alert(&Arc::new(alert.clone()), &on.policies);
        Self { on, book, alert, log: Vec::new(), tries, sent: Vec::new() }
    }

    fn second(&mut self, second: i64) {
        let now = noon().plus_ms(second * 1_000);
        let entries = BTreeMap::new();
        loop {
            let due = self.book.due(Rota { on: &self.on, entries: &entries }, now);
            if due.is_empty() {
                break;
            }
            due.iter().for_each(|record| self.book.fold_delivery(record));
            self.log.extend(due);
        }
        if second % 2 == 0 {
            return;
        }
        let waiting: Vec<_> = self.book.fresh.iter().cloned().collect();
        for (alert, id) in waiting {
            self.book.set_out(&alert, &id);
            self.sent.push((id.clone(), second));
            let state = self.tries.pop().unwrap_or(DeliveryState::Delivered);
            if let Some(record) = self.book.came_back(&alert, &id, state, "", now) {
                self.book.fold_delivery(&record);
                self.log.push(record);
            }
        }
    }

    fn dies(&mut self) {
        self.book = Book::default();
        self.log.iter().for_each(|record| self.book.fold_delivery(record));
        // Every record of the alert, as the topic has them.
        let raised = alert(Severity::HIGH, noon());
        self.book.fold_alert(&Arc::new(raised), &self.on.policies);
        self.book.fold_alert(&Arc::new(self.alert.clone()), &self.on.policies);
    }

    /// The first record of each delivery, in order.
    fn begun(&self) -> Vec<&Delivery> {
        self.log.iter().filter(|record| record.rev == 1).collect()
    }
}

/// Longer than every step of every policy above takes together.
const LONG: i64 = 4 * 3 * 4 * 20 + 10 + 10;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_alert_that_nobody_takes_reaches_every_step_in_order(
        policy in policies(),
        tries in tries(),
        deaths in prop::collection::btree_set(0..LONG, 0..5),
    ) {
        let expected: Vec<(u32, String)> =
            (0..=policy.repeat)
                .flat_map(|round| calls(&policy, round))
                .map(|(step, _, channel, _)| (step, channel.to_owned()))
                .collect();
        let mut world = World::new(policy, tries);
        for second in 0..LONG {
            world.second(second);
            if deaths.contains(&second) {
                world.dies();
            }
        }
        let begun = world.begun();
        let told: Vec<_> = begun.iter().map(|d| (d.step, d.channel.clone())).collect();
        prop_assert_eq!(told, expected);
        let ids: BTreeSet<_> = begun.iter().map(|delivery| &delivery.id).collect();
        prop_assert_eq!(ids.len(), begun.len(), "one key each");
        for known in world.book.cases.values().flat_map(|case| case.deliveries.values()) {
            let revs: Vec<u32> = world.log.iter()
                .filter(|record| record.id == known.delivery.id)
                .map(|record| record.rev)
                .collect();
            prop_assert!(revs.iter().copied().eq(1..=revs.len() as u32), "{:?}", revs);
            // At least once, unless it failed for good or the screens show it anyway.
            let reached = known.delivery.state == DeliveryState::Delivered;
            let sent = world.sent.iter().any(|(id, _)| *id == known.delivery.id);
            prop_assert!(!reached || sent || known.delivery.channel == APP);
            prop_assert!(known.delivery.state != DeliveryState::Waiting || !world.tries.is_empty());
        }
    }

    #[test]
    fn nothing_new_after_an_acknowledgement_and_nothing_stays_waiting(
        policy in policies(),
        tries in tries(),
        taken_at in 0_i64..200,
        by in prop::sample::select(vec!["an", "chi", "Trần Văn Bình", "somebody"]),
        deaths in prop::collection::btree_set(0..LONG, 0..5),
    ) {
        let mut world = World::new(policy, tries);
        let mut begun = 0;
        for second in 0..LONG {
            if second == taken_at {
                begun = world.begun().len();
                world.alert.rev += 1;
                world.alert.change = Change::Acknowledged;
                world.alert.state = AlertState::Acknowledged;
                let (by, at) = (by.to_owned(), noon().plus_ms(second * 1_000));
                let note = String::new();
                world.alert.acknowledgement = Some(Acknowledgement { by, at, note });
                world.book.fold_alert(&Arc::new(world.alert.clone()), &world.on.policies);
            }
            world.second(second);
            if deaths.contains(&second) {
                world.dies();
            }
        }
        prop_assert_eq!(world.begun().len(), begun);
        prop_assert!(world.sent.iter().all(|(_, at)| *at < taken_at), "{:?}", world.sent);
        for known in world.book.cases.values().flat_map(|case| case.deliveries.values()) {
            let Delivery { person, state, .. } = &known.delivery;
            let took_it = world.on.people.get(person).is_some_and(|contact| contact.is(by));
            let right = match state {
                DeliveryState::Acknowledged => took_it,
                DeliveryState::Delivered | DeliveryState::Cancelled => !took_it,
                DeliveryState::Failed => true,
                DeliveryState::Waiting => false,
            };
            prop_assert!(right, "{:?}", known.delivery);
        }
    }
}
