//! Killed in the middle: nothing is lost, and what may have gone out goes again with its key.

use sen_model::{DeliveryState, Severity};

use crate::harness::web::{Treatment, Web};
use crate::harness::{Centre, within};
use crate::webhooks::plan;

#[tokio::test]
async fn killed_between_the_decision_and_the_answer_it_sends_again_with_the_same_key() {
    let first = Web::new(&[Treatment::Silence]).await;
    let second = Web::new(&[]).await;
    let mut centre = Centre::new();
    let plan = plan(&first, &second, "10m");
    let running = centre.run(&plan);
    centre.append(&[centre.raised("a", Severity::CRITICAL)]).await;
    // The request is out, and nothing is known of its fate.
    let before = first.requests(1).await[0].key().to_owned();
    centre = centre.kill(running).await;
    let running = centre.run(&plan);
    let delivered = centre.delivery("first", DeliveryState::Delivered).await;
    let requests = first.requests(2).await;
    assert_eq!((requests[1].key(), delivered.id.as_str()), (before.as_str(), before.as_str()));
    running.stop().await;
    assert_eq!(second.so_far().len(), 0, "the step waits for its answer as before");
}

#[tokio::test]
async fn killed_at_any_moment_every_alert_reaches_every_step() {
    let (first, second) = (Web::new(&[]).await, Web::new(&[]).await);
    let mut centre = Centre::new();
    let plan = plan(&first, &second, "1ms");
    let mut ids = Vec::new();
    for round in 0..15 {
        let running = centre.run(&plan);
        let (id, before) = (format!("{round}"), centre.deliveries.head());
        centre.append(&[centre.raised(&id, Severity::CRITICAL)]).await;
        ids.push(id);
        // After none, one, two … records more, at whatever moment that is.
        let mut head = centre.deliveries.watch();
        let enough = before + round % 5;
        within("records", head.wait_for(|head| *head >= enough)).await.unwrap();
        centre = centre.kill(running).await;
    }
    let running = centre.run(&plan);
    let mut reader = centre.deliveries.read_from(1);
    let all = async {
        let mut done = std::collections::BTreeSet::new();
        while done.len() < 2 * ids.len() {
            for entry in reader.next(256).await.unwrap() {
                if entry.record.state == DeliveryState::Delivered {
                    done.insert((entry.record.alert.clone(), entry.record.step));
                }
            }
        }
    };
    within("every step of every alert", all).await;
    running.stop().await;
    // One delivery for each step, whatever the crashes, and its revisions without a gap.
    let log = centre.delivered().await;
    let first_records = log.iter().filter(|record| record.rev == 1);
    assert_eq!(first_records.count(), 2 * ids.len());
    let mut newest = std::collections::BTreeMap::new();
    for record in &log {
        let before = newest.insert(record.id.clone(), record.rev).unwrap_or(0);
        assert_eq!(record.rev, before + 1, "{record:?}");
    }
}

#[tokio::test]
async fn an_acknowledgement_while_we_are_away_cancels_what_waited() {
    let mut first = Web::down(&[]).await;
    let second = Web::new(&[]).await;
    let mut centre = Centre::new();
    let plan = plan(&first, &second, "10m");
    let running = centre.run(&plan);
    let alert = centre.raised("a", Severity::CRITICAL);
    centre.append(std::slice::from_ref(&alert)).await;
    centre.delivery("first", DeliveryState::Waiting).await;
    centre = centre.kill(running).await;
    centre.append(&[centre.acknowledged(&alert, "somebody else")]).await;
    first.up().await;
    let running = centre.run(&plan);
    centre.delivery("first", DeliveryState::Cancelled).await;
    running.stop().await;
    assert!(first.so_far().is_empty() && second.so_far().is_empty());
}

#[tokio::test]
async fn after_a_proper_stop_nothing_comes_again() {
    let (first, second) = (Web::new(&[]).await, Web::new(&[]).await);
    let centre = Centre::new();
    let plan = plan(&first, &second, "10m");
    let running = centre.run(&plan);
    let alert = centre.raised("a", Severity::CRITICAL);
    centre.append(std::slice::from_ref(&alert)).await;
    centre.delivery("first", DeliveryState::Delivered).await;
    running.stop().await;
    let running = centre.run(&plan);
    centre.append(&[centre.acknowledged(&alert, "an")]).await;
    let noted = centre.delivery("first", DeliveryState::Acknowledged).await;
    assert_eq!(noted.person, "an");
    running.stop().await;
    assert_eq!((first.so_far().len(), second.so_far().len()), (1, 0));
}
