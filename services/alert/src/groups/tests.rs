//! Groups beside a naive count of which parts hold at each moment, in whatever order the parts
//! become known.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sen_model::condition::Scope;
use sen_model::{AreaCode, Device, DeviceId, Relations, Rule, Selector};

use super::*;
use crate::fixtures;

mod examples;

/// Six stations along a river, some 1.1 km from one to the next, three to a commune; the first is
/// the farthest upstream.
fn registry() -> Arc<Registry> {
    let like = fixtures::registry();
    let like = like.device(&fixtures::device_id("stn-a")).unwrap().clone();
    let station = |n: usize| Device {
        id: device(n),
        area: AreaCode::new(if n < 3 { "28261" } else { "28270" }).unwrap(),
        lat: 10.3,
        lon: 106.0 + 0.01 * n as f64,
        relations: Relations { upstream: n.checked_sub(1).map(device), ..Relations::default() },
        ..like.clone()
    };
    Arc::new(Registry::new((0..6).map(station).collect(), like_places()))
}

fn like_places() -> Vec<sen_model::Place> {
    fixtures::registry().places().to_vec()
}

fn device(n: usize) -> DeviceId {
    fixtures::device_id(&format!("stn-{n}"))
}

fn rule_id(id: &str) -> RuleId {
    RuleId::new(id).unwrap()
}

fn edition(id: &str, condition: Condition) -> Edition {
    let rule = Rule { selector: Selector::default(), ..fixtures::rule(id, condition) };
    Edition::all_of(&rule).swap_remove(0)
}

fn composite(of: &[&str], least: u32, scope: Scope, for_ms: i64) -> Condition {
    Condition::Composite { of: of.iter().map(|id| rule_id(id)).collect(), least, scope, for_ms }
}

fn groups(rules: &[(&str, Condition)]) -> Groups {
    let editions: Vec<Edition> = rules.iter().map(|(id, it)| edition(id, it.clone())).collect();
    Groups::new(&editions, registry(), GroupMemory::default())
}

/// An episode of a part: rule, device, when it began, was raised, ceased and was cleared.
#[derive(Clone, Debug)]
struct Life {
    rule: &'static str,
    device: usize,
    began: i64,
    raised: i64,
    end: Option<(i64, i64)>,
}

impl Life {
    fn id(&self) -> AlertId {
        let began = fixtures::at(self.began);
        AlertId::of_episode(&rule_id(self.rule), "1", &device(self.device), None, began)
    }

    fn news(&self) -> Vec<(i64, News)> {
        let news = |what| News {
            rule: rule_id(self.rule),
            id: self.id(),
            place: Place::device(&device(self.device)),
            what,
        };
        let raise = Step::Raised { began: self.began, raised: self.raised, late: false };
        let clear =
            self.end.map(|(ceased, cleared)| (cleared, news(Step::Cleared { cleared, ceased })));
        [(self.raised, news(raise))].into_iter().chain(clear).collect()
    }

    fn holds_at(&self, at: i64) -> bool {
        self.raised <= at && self.end.is_none_or(|(_, cleared)| at < cleared)
    }
}

const PARTS: [&str; 3] = ["high", "rising", "salty"];

/// The lives of every part of three stations, one after the other.
fn lives() -> impl Strategy<Value = Vec<Life>> {
    let life = (1_i64..6, 0_i64..3, 1_i64..8, 0_i64..3);
    let lives = prop::collection::vec(life, 0..4);
    prop::collection::vec((lives, any::<bool>()), 9).prop_map(|all| {
        let mut out = Vec::new();
        for (n, (lives, is_last_open)) in all.into_iter().enumerate() {
            let (mut now, count) = (0, lives.len());
            for (number, (pause, delay, length, clear_delay)) in lives.into_iter().enumerate() {
                let began = now + pause;
                let raised = began + delay;
                let ceased = raised + length;
                now = ceased + clear_delay;
                let is_open = is_last_open && number + 1 == count;
                let end = (!is_open).then_some((ceased, now));
                out.push(Life { rule: PARTS[n % 3], device: n / 3, began, raised, end });
            }
        }
        out
    })
}

fn rules() -> Vec<(&'static str, Condition)> {
    vec![
        // Before what it is made of: the order of the file does not matter.
        ("both", composite(&["two-of-three", "many"], 2, Scope::Province, 0)),
        ("two-of-three", composite(&PARTS, 2, Scope::Device, 0)),
        ("all", composite(&PARTS, 3, Scope::Area, 0)),
        ("any", composite(&PARTS, 1, Scope::Province, 0)),
        ("many", composite(&["high"], 2, Scope::Area, 0)),
        ("lasting", composite(&PARTS, 2, Scope::Area, 4)),
        (
            "beside",
            Condition::Neighbours {
                of: rule_id("high"),
                least: 2,
                distance_m: 1_500.0,
                within_ms: 6,
            },
        ),
        (
            "wave",
            Condition::Sequence {
                first: rule_id("high"),
                then: rule_id("rising"),
                within_ms: 10,
                downstream: true,
            },
        ),
    ]
}

/// What was told of one rule about one device.
#[derive(Clone, Debug, Default, PartialEq)]
struct Episode {
    began: i64,
    raised: i64,
    ended: Option<i64>,
}

type Log = BTreeMap<(RuleId, DeviceId), Vec<Episode>>;

/// The episodes told, checked: raised once, ended once, in order.
fn told(found: &[Found]) -> Log {
    let mut log = Log::new();
    for found in found {
        let key = (found.edition.rule.id.clone(), found.place.device.clone());
        let episodes = log.entry(key).or_default();
        let began = found.started_at.as_millis();
        let known = episodes.iter_mut().find(|episode| episode.began == began);
        match (&found.what, known) {
            (Change::Raised { event_time, .. }, None) => {
                let raised = event_time.as_millis();
                episodes.push(Episode { began, raised, ended: None });
            }
            (Change::Cleared { event_time, ceased_at }, Some(episode)) => {
                assert_eq!(episode.ended, None, "ended twice: {found:?}");
                assert!(*ceased_at >= found.started_at, "{found:?}");
                episode.ended = Some(event_time.as_millis());
            }
            (Change::Joined { .. }, Some(episode)) => assert_eq!(episode.ended, None),
            (what, _) => panic!("not in order: {what:?} of {found:?}"),
        }
    }
    log.values_mut().for_each(|episodes| episodes.sort_by_key(|episode| episode.began));
    log
}

fn hear(groups: &mut Groups, news: &[News]) -> Vec<Found> {
    let mut out = Vec::new();
    news.iter().for_each(|news| groups.hear(news, &mut out));
    out
}

/// In the order of event times; where they are the same, as `tie` has it.
fn in_time(lives: &[Life], tie: &[u8]) -> Vec<News> {
    let mut news: Vec<(i64, u8, News)> = lives
        .iter()
        .flat_map(Life::news)
        .enumerate()
        .map(|(n, (at, news))| (at, tie[n % tie.len()], news))
        .collect();
    news.sort_by_key(|(at, tie, news)| (*at, matches!(news.what, Step::Cleared { .. }), *tie));
    news.into_iter().map(|(_, _, news)| news).collect()
}

/// In any order that keeps that of each station.
fn interleaved(lives: &[Life], picks: &[u8]) -> Vec<News> {
    let mut queues: Vec<Vec<News>> = (0..3)
        .map(|n| {
            let own: Vec<Life> = lives.iter().filter(|life| life.device == n).cloned().collect();
            let mut news = in_time(&own, &[0]);
            news.reverse();
            news
        })
        .collect();
    let mut out = Vec::new();
    for pick in picks.iter().cycle() {
        let mut filled: Vec<&mut Vec<News>> =
            queues.iter_mut().filter(|queue| !queue.is_empty()).collect();
        let count = filled.len();
        if count == 0 {
            return out;
        }
        out.extend(filled[usize::from(*pick) % count].pop());
    }
    out
}

/// From and until.
type Stretches = Vec<(i64, Option<i64>)>;

/// When a count of parts is at least `least`, moment by moment, from and until.
fn naive(
    lives: &[Life],
    least: usize,
    slot: impl Fn(&Life) -> Option<String>,
) -> Vec<(i64, Option<i64>)> {
    let end = lives.iter().flat_map(Life::news).map(|(at, _)| at).max().unwrap_or(0) + 2;
    let mut stretches: Vec<(i64, Option<i64>)> = Vec::new();
    let mut was_on = false;
    for at in 0..end {
        let holding = lives.iter().filter(|life| life.holds_at(at));
        let is_on = holding.filter_map(&slot).collect::<BTreeSet<_>>().len() >= least;
        match (was_on, is_on) {
            (false, true) => stretches.push((at, None)),
            (true, false) => stretches.last_mut().unwrap().1 = Some(at),
            _ => {}
        }
        was_on = is_on;
    }
    stretches
}

fn of_rule(life: &Life) -> Option<String> {
    Some(life.rule.to_owned())
}

/// What each rule of [`rules`] about single scopes should find: when it holds.
fn expected(lives: &[Life]) -> Vec<((RuleId, DeviceId), Stretches)> {
    let area = fixtures::device_id("area-28261");
    let province = fixtures::device_id("province");
    let high = |life: &Life| (life.rule == "high").then(|| life.device.to_string());
    let mut all = vec![
        ((rule_id("all"), area.clone()), naive(lives, 3, of_rule)),
        ((rule_id("any"), province), naive(lives, 1, of_rule)),
        ((rule_id("many"), area), naive(lives, 2, high)),
    ];
    for n in 0..3 {
        let own: Vec<Life> = lives.iter().filter(|life| life.device == n).cloned().collect();
        all.push(((rule_id("two-of-three"), device(n)), naive(&own, 2, of_rule)));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn told_in_time_the_episodes_are_those_of_the_naive_count(
        lives in lives(),
        tie in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let found = hear(&mut groups(&rules()), &in_time(&lives, &tie));
        let log = told(&found);
        for (key, stretches) in expected(&lives) {
            let episodes = log.get(&key).cloned().unwrap_or_default();
            let found: Vec<_> = episodes
                .iter()
                .map(|episode| (episode.raised, episode.ended))
                .filter(|(from, until)| Some(*from) != *until)
                .collect();
            prop_assert_eq!(found, stretches, "{:?}", key);
        }
    }

    #[test]
    fn in_any_order_what_is_open_holds_and_what_held_is_told(
        lives in lives(),
        picks in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let news = interleaved(&lives, &picks);
        let mut groups = groups(&rules());
        let found = hear(&mut groups, &news);
        let log = told(&found);
        for (key, stretches) in expected(&lives) {
            let episodes = log.get(&key).cloned().unwrap_or_default();
            let holds = stretches.last().is_some_and(|(_, until)| until.is_none());
            let open = episodes.iter().filter(|episode| episode.ended.is_none()).count();
            prop_assert_eq!(open, usize::from(holds), "{:?}", key);
            for (from, until) in &stretches {
                let touches = |episode: &Episode| {
                    until.is_none_or(|until| episode.raised < until)
                        && episode.ended.is_none_or(|ended| *from < ended)
                };
                prop_assert!(episodes.iter().any(touches), "{:?} at {} of {:?}", key, from, episodes);
            }
        }
        let ids: BTreeSet<AlertId> = groups.open().into_iter().collect();
        let open = log.values().flatten().filter(|episode| episode.ended.is_none()).count();
        prop_assert_eq!(ids.len(), open, "it knows what it holds");
    }

    #[test]
    fn repeats_and_checkpoints_change_nothing(
        lives in lives(),
        picks in prop::collection::vec(any::<u8>(), 1..20),
        again in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 1..30),
    ) {
        let news = interleaved(&lives, &picks);
        let undisturbed = hear(&mut groups(&rules()), &news);
        let mut disturbed = Vec::new();
        let mut stage = groups(&rules());
        for (n, one) in news.iter().enumerate() {
            disturbed.extend(hear(&mut stage, std::slice::from_ref(one)));
            let (earlier, is_restarted) = &again[n % again.len()];
            let repeated = hear(&mut stage, &[news[earlier.index(n + 1)].clone()]);
            prop_assert!(repeated.is_empty(), "{:?}", repeated);
            if *is_restarted {
                let bytes = serde_json::to_vec(&stage.memory()).unwrap();
                let memory = serde_json::from_slice(&bytes).unwrap();
                let editions: Vec<Edition> =
                    rules().iter().map(|(id, it)| edition(id, it.clone())).collect();
                stage = Groups::new(&editions, registry(), memory);
            }
        }
        prop_assert_eq!(format!("{disturbed:?}"), format!("{undisturbed:?}"));
    }
}
