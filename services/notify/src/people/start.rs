//! Starting: reads on from the checkpoint to the heads of the topics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sen_chassis::Tasks;
use sen_chassis::clock::Stopwatch;
use sen_log::{Offset, ReadError, Topic};
use sen_model::Timestamp;
use sen_proto::Wire;
use tokio::sync::{mpsc, watch};

use super::{ENDED_TRIES, People, PeopleError, Saved, Terms, Wires};
use crate::channel::Courier;
use crate::channel::email::{Mail, MailError};
use crate::channel::push::{Door, WebPush};
use crate::channel::webhook::Hook;
use crate::egress::Egress;
use crate::outbox::{Outbox, Pace};
use crate::settings::{EMAIL, OnCall, PUSH};
use crate::wall::Wall;

/// Records folded at once.
const FOLD_RECORDS: usize = 4_096;

/// The ways to people, by the names of their channels.
pub(crate) type Couriers = Arc<BTreeMap<String, Arc<dyn Courier>>>;

/// The couriers that `oncall.toml` sets up.
pub(crate) fn couriers(
    on: &OnCall,
    egress: &Arc<Egress>,
    push: Door,
) -> Result<Couriers, MailError> {
    let mut couriers: BTreeMap<String, Arc<dyn Courier>> = BTreeMap::new();
    if let Some(settings) = &on.email {
        couriers.insert(EMAIL.to_owned(), Arc::new(Mail::new(settings)?));
    }
    if let Some(settings) = on.push.clone() {
        couriers.insert(PUSH.to_owned(), Arc::new(WebPush { settings, door: push }));
    }
    for webhook in &on.webhooks {
        let hook = Hook { webhook: webhook.clone(), egress: Arc::clone(egress) };
        couriers.insert(webhook.name.clone(), Arc::new(hook));
    }
    Ok(Arc::new(couriers))
}

/// Reads what is open. First the deliveries, so that an alert that ended meanwhile is remembered
/// until they are settled.
pub(crate) async fn start(wires: Wires, terms: Terms, pace: Pace) -> Result<People, PeopleError> {
    let checkpoint = wires.cursor.load()?;
    let (mut saved, alerts_next) = match &checkpoint {
        Some(checkpoint) => match serde_json::from_slice::<Saved>(&checkpoint.state) {
            Ok(saved) => (saved, checkpoint.next),
            Err(error) => {
                tracing::warn!(%error, "the checkpoint is of another version: reading it all");
                (Saved::default(), 0)
            }
        },
        None => (Saved::default(), 0),
    };
    saved.book.take_up();
    let book = &mut saved.book;
    let deliveries = &wires.deliveries;
    let deliveries_next =
        to_head(deliveries, saved.deliveries_next, |delivery| book.fold_delivery(delivery)).await?;
    let notes = &mut saved.notes;
    let notes_next = to_head(&wires.oncall, saved.notes_next, |note| notes.fold(note)).await?;
    let policies = &terms.on.policies;
    let fold = |alert: &Arc<_>| book.fold_alert(alert, policies);
    let next = to_head(&wires.alerts, alerts_next, fold).await?;
    let told_notes = watch::Sender::new(Arc::new(saved.notes.open()));
    let wall = Wall::new(Timestamp::from_millis(wires.clock.now_ms()), 0);
    let mut people = People {
        running: Stopwatch::start(),
        wall,
        wires,
        terms,
        book: saved.book,
        outbox: Outbox::new(pace),
        stragglers: Tasks::new(),
        rosters: Tasks::new(),
        notes: saved.notes,
        told_notes,
        is_alarmed: Arc::new(Mutex::new(saved.is_alarmed)),
        called: Arc::new(Mutex::new(Stopwatch::start())),
        next,
        deliveries_next,
        notes_next,
        outgoing: Vec::new(),
        is_failing: false,
        fenced: None,
        tries: Tasks::new(),
        ended: mpsc::channel(ENDED_TRIES),
    };
    // From here on a start is short, and what ended between two starts is settled first.
    people.step().await;
    people.save().await;
    Ok(people)
}

/// Folds a topic from an offset to its head; tells the next offset.
async fn to_head<T: Wire>(
    topic: &Topic<T>,
    from: Offset,
    mut fold: impl FnMut(&Arc<T>),
) -> Result<Offset, ReadError> {
    let mut reader = topic.read_from(from.max(topic.floor()));
    loop {
        let entries = reader.available(FOLD_RECORDS).await?;
        if entries.is_empty() {
            return Ok(reader.position());
        }
        entries.iter().for_each(|entry| fold(&entry.record));
    }
}
