//! What people can ask and change: links, stand-ins, absences, the roster.

use sen_model::{
    DeliveryState, OnCallAnswer, OnCallAsk, OnCallEntry, OnCallRecord, Severity, Timestamp,
};

use crate::harness::web::Web;
use crate::harness::{Centre, Running};
use crate::webhooks::plan;

fn now(centre: &Centre) -> Timestamp {
    Timestamp::from_millis(centre.clock.now_ms())
}

async fn change(centre: &Centre, running: &Running, key: &str, entry: OnCallEntry) -> OnCallAnswer {
    let (idempotency_key, by, at) = (key.to_owned(), "an".to_owned(), now(centre));
    running.ask(OnCallAsk::Change { idempotency_key, by, at, entry }).await
}

fn changed(answer: OnCallAnswer) -> OnCallRecord {
    match answer {
        OnCallAnswer::Changed(record) => *record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_link_can_be_looked_at_and_works_once_also_over_a_crash() {
    let (first, second) = (Web::new(&[]).await, Web::new(&[]).await);
    let mut centre = Centre::new();
    let plan = plan(&first, &second, "10m");
    let running = centre.run(&plan);
    let alert = centre.raised("a", Severity::CRITICAL);
    centre.append(std::slice::from_ref(&alert)).await;
    let json = first.requests(1).await[0].json();
    let token = json["link"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let look = || OnCallAsk::Look { token: token.clone() };
    let used = |answer: OnCallAnswer| match answer {
        OnCallAnswer::Link(link) => {
            assert_eq!((link.alert.as_str(), link.person.as_str()), ("a", "an"));
            link.used
        }
        other => panic!("{other:?}"),
    };
    // Mail programs look at links by themselves.
    for _ in 0..3 {
        assert!(!used(running.ask(look()).await));
    }
    assert!(centre.oncall.head() == 0, "looking changes nothing");
    let redeem = |at| OnCallAsk::Redeem { token: token.clone(), at };
    assert!(!used(running.ask(redeem(now(&centre))).await), "it was not used before");
    assert!(used(running.ask(redeem(now(&centre))).await));
    centre = centre.kill(running).await;
    let running = centre.run(&plan);
    assert!(used(running.ask(look()).await), "it stands in the log");
    assert!(used(running.ask(redeem(now(&centre))).await));
    let forged = format!("{}x", &token[..token.len() - 1]);
    let late = now(&centre).plus_ms(2 * 86_400_000);
    for (token, at) in [(forged, now(&centre)), (token.clone(), late)] {
        let answer = running.ask(OnCallAsk::Redeem { token, at }).await;
        assert_eq!(answer, OnCallAnswer::Unknown);
    }
    assert_eq!(centre.oncall.head(), 1);
    // Whoever answers acknowledges; that is noted with what reached this person.
    centre.append(&[centre.acknowledged(&alert, "an")]).await;
    centre.delivery("first", DeliveryState::Acknowledged).await;
    running.stop().await;
    assert!(second.so_far().is_empty());
}

const TEAM: &str = r#"
[[team]]
id = "duty"
name = { vi = "Trực ban", en = "Duty" }
[[team.layer]]
members = ["an", "binh"]
start = "2026-11-02"
hand_over = ["monday 07:30"]
"#;

#[tokio::test]
async fn changes_of_the_rota_count_at_once_and_survive_a_crash() {
    let (first, second) = (Web::new(&[]).await, Web::new(&[]).await);
    let mut centre = Centre::new();
    let by_team = ("person = \"an\"\nchannels", "team = \"duty\"\nchannels");
    let plan = plan(&first, &second, "10m").replace(by_team.0, by_team.1) + TEAM;
    let running = centre.run(&plan);
    let (from, until) = (now(&centre).plus_ms(-1_000), now(&centre).plus_ms(3_600_000));
    let (team, person) = ("duty".to_owned(), "binh".to_owned());
    let stand_in = OnCallEntry::Override { team, person, from, until };
    let noted = changed(change(&centre, &running, "k1", stand_in.clone()).await);
    let again = changed(change(&centre, &running, "k1", stand_in).await);
    assert_eq!((&noted, centre.oncall.head()), (&again, 1), "the same key twice is noted once");
    centre = centre.kill(running).await;
    let running = centre.run(&plan);
    let OnCallAnswer::Roster(roster) = running.ask(OnCallAsk::Roster).await else { panic!() };
    let turn = &roster.teams[0].turns[0];
    assert_eq!((turn.person.as_str(), turn.stands_in), ("binh", true));
    assert_eq!(roster.entries, std::slice::from_ref(&noted));
    assert_eq!(roster.people.len(), 2);
    let cancel = OnCallAsk::Cancel { id: noted.id.clone(), by: "an".into(), at: now(&centre) };
    assert!(!changed(running.ask(cancel).await).open);
    let OnCallAnswer::Roster(roster) = running.ask(OnCallAsk::Roster).await else { panic!() };
    assert!(roster.entries.is_empty());
    let (person, reason) = ("nobody".to_owned(), String::new());
    let absence = OnCallEntry::Absence { person, from, until, reason };
    let refused = change(&centre, &running, "k2", absence).await;
    assert!(matches!(refused, OnCallAnswer::Refused(_)), "{refused:?}");
    let OnCallAnswer::Refused(_) = running.ask(OnCallAsk::PushKey).await else { panic!() };
    running.stop().await;
}
