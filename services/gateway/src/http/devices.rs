//! `GET /devices`.

use axum::Json;
use axum::extract::{Query, State};
use sen_model::{Device, DeviceId, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::listing::{Page, Paging, foreign, page};
use super::problem::Problem;
use crate::centre::Shared;
use crate::projection::latest::Heard;

/// A device is online if it was heard within this many of its intervals.
const ONLINE_INTERVALS: i64 = 3;

/// A device and whether it speaks.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceItem {
    #[serde(flatten)]
    #[schema(value_type = super::schema::Device)]
    device: Device,
    /// Whether it was heard within three of its intervals.
    online: bool,
    /// When it was last heard; null if never.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_heard: Option<Timestamp>,
}

/// The devices of the registry, by id.
#[utoipa::path(
    get, path = "/api/v1/devices", params(Paging),
    responses((status = 200, body = Page<DeviceItem>), (status = 400, body = Problem)),
)]
pub(crate) async fn list(
    State(centre): State<Shared>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<DeviceItem>>, Problem> {
    let after = paging.cursor.as_deref().map(|id| DeviceId::new(id).map_err(|_| foreign(id)));
    let after = after.transpose()?;
    let (limit, now) = (paging.limit(), centre.now());
    let latest = centre.latest();
    let items = centre
        .ports
        .registry
        .devices()
        .filter(|device| after.as_ref().is_none_or(|after| device.id > *after))
        .take(limit + 1)
        .map(|device| {
            let last_heard = latest.of_device(&device.id).and_then(|heard: &Heard| heard.at);
            let silence = |at: Timestamp| now.since_ms(at);
            let patience = device.interval_ms.saturating_mul(ONLINE_INTERVALS);
            let online = last_heard.is_some_and(|at| silence(at) <= patience);
            DeviceItem { device: device.clone(), online, last_heard }
        })
        .collect();
    Ok(Json(page(items, limit, |item| item.device.id.to_string())))
}
