//! What was received and what became of it; who is watching.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Query, State};
use sen_model::{DeviceId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::listing::{Page, Paging, foreign, page};
use super::problem::Problem;
use crate::centre::Shared;

/// Totals. At rest `accepted`, `stored` and `evaluated` are equal, unless the rules had a shorter
/// way to go after a restart.
#[derive(Serialize, ToSchema)]
pub(crate) struct Totals {
    /// Readings in the log, counted from where the store had come to at the start.
    accepted: u64,
    /// Packets and readings that were not taken.
    quarantined: u64,
    /// Readings the store has handled, repeats included.
    stored: u64,
    /// Of these, repeats of readings that the store held already.
    repeated: u64,
    /// Readings the rules have judged, repeats included.
    evaluated: u64,
}

/// Positions in the log of readings: what is behind the head is still to be done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Positions {
    /// The last record.
    head: u64,
    /// The next record the store will handle.
    stored: u64,
    /// The next record the rules will judge.
    evaluated: u64,
}

/// One device's account.
#[derive(Serialize, ToSchema)]
pub(crate) struct LedgerItem {
    /// The device.
    #[schema(value_type = String)]
    device: DeviceId,
    /// Readings that were taken.
    accepted: u64,
    /// What was not.
    quarantined: u64,
    /// Null if it was never heard.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_heard: Option<Timestamp>,
}

/// What was received and what became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ledger {
    /// When this process began to count.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    totals: Totals,
    positions: Positions,
    /// By device, those of the registry and all others that were heard.
    items: Vec<LedgerItem>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// The ledger.
#[utoipa::path(
    get, path = "/api/v1/ledger", params(Paging),
    responses((status = 200, body = Ledger), (status = 400, body = Problem)),
)]
pub(crate) async fn ledger(
    State(centre): State<Shared>,
    Query(paging): Query<Paging>,
) -> Result<Json<Ledger>, Problem> {
    let after = paging.cursor.as_deref().map(|id| DeviceId::new(id).map_err(|_| foreign(id)));
    let (after, limit) = (after.transpose()?, paging.limit());
    let (stored, evaluated) = (*centre.ports.stored.borrow(), *centre.ports.evaluated.borrow());
    let latest = centre.latest();
    let counts = centre.counts();
    let heard = latest.devices_after(after.as_ref()).take(limit + 1).map(|heard| &heard.id);
    let refused = counts.devices().filter(|id| after.as_ref().is_none_or(|after| *id > after));
    let ids: BTreeSet<&DeviceId> = heard.chain(refused.take(limit + 1)).collect();
    let items = ids.into_iter().take(limit + 1).map(|id| {
        let heard = latest.of_device(id);
        LedgerItem {
            device: id.clone(),
            accepted: heard.map_or(0, |heard| heard.accepted),
            quarantined: counts.of_device(id),
            last_heard: heard.and_then(|heard| heard.at),
        }
    });
    let Page { items, next } = page(items.collect(), limit, |item| item.device.to_string());
    let totals = Totals {
        accepted: latest.accepted(),
        quarantined: counts.total(),
        stored: stored.readings,
        repeated: stored.readings.saturating_sub(stored.new),
        evaluated: evaluated.readings,
    };
    let head = centre.ports.readings.head();
    let positions = Positions { head, stored: stored.next, evaluated: evaluated.next };
    Ok(Json(Ledger { since: centre.since, totals, positions, items, next }))
}

/// One screen.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScreenItem {
    /// Its name.
    screen: String,
    /// Whether it is connected now.
    connected: bool,
    /// What it shows.
    view: &'static str,
    /// Everything up to here is on its glass.
    seen: u64,
    /// The last record of the alert log.
    head: u64,
    /// Since when it has been missing something, over all its connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    behind_since: Option<Timestamp>,
    /// Whether it has been behind for 30 s, or is a wall that was lost 60 s ago.
    stale: bool,
}

/// The screens, by name.
#[utoipa::path(
    get, path = "/api/v1/screens", params(Paging),
    responses((status = 200, body = Page<ScreenItem>)),
)]
pub(crate) async fn screens(
    State(centre): State<Shared>,
    Query(paging): Query<Paging>,
) -> Json<Page<ScreenItem>> {
    let (head, now, limit) = (centre.ports.alerts.head(), centre.now(), paging.limit());
    let screens = centre.screens();
    let items = screens
        .all()
        .filter(|(name, _)| paging.cursor.as_deref().is_none_or(|after| *name > after))
        .take(limit + 1)
        .map(|(name, screen)| ScreenItem {
            screen: name.to_owned(),
            connected: screen.connection.is_some(),
            view: screen.view.as_str(),
            seen: screen.seen,
            head,
            behind_since: screen.behind_since(),
            stale: screen.is_stale(now),
        })
        .collect();
    Json(page(items, limit, |item: &ScreenItem| item.screen.clone()))
}
