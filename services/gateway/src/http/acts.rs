//! `POST /alerts/{id}/…`: what people do about one alert.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use sen_model::{Act, AlertId, AlertRecord, Cause, Order, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::asks::{self, Key, MOST_TEXT, Match};
use super::problem::Problem;
use super::schema;
use crate::centre::{Centre, Shared};

/// A body that says who asks for what.
trait Says {
    /// Who, and what; `now` is the moment of the request.
    fn said(self, now: Timestamp) -> Result<(String, Act), Problem>;
}

/// Who takes it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    /// The person, 1 to 100 characters.
    by: String,
    /// For the next shift, at most 1,000 characters.
    #[serde(default)]
    note: String,
}

impl Says for Acknowledge {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        let note = asks::words("note", self.note, MOST_TEXT)?;
        Ok((self.by, Act::Acknowledge { note }))
    }
}

/// Who is to see to it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assign {
    /// The person who says so.
    by: String,
    /// The person or unit, at most 100 characters; empty = nobody any more.
    to: String,
    /// At most 1,000 characters.
    #[serde(default)]
    note: String,
}

impl Says for Assign {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        let is_nobody = self.to.trim().is_empty();
        let to = if is_nobody { String::new() } else { asks::name("to", &self.to)? };
        let note = asks::words("note", self.note, MOST_TEXT)?;
        Ok((self.by, Act::Assign { to, note }))
    }
}

/// Something to write down.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    /// The person.
    by: String,
    /// 1 to 1,000 characters.
    text: String,
}

impl Says for Note {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        let text = asks::reason("text", self.text)?;
        Ok((self.by, Act::Note { text }))
    }
}

/// Not now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shelve {
    /// The person.
    by: String,
    /// 1 to 1,000 characters.
    reason: String,
    /// Until when; the desk limits how long.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
    /// Whether it comes back already when the condition ends.
    #[serde(default)]
    one_shot: bool,
}

impl Says for Shelve {
    fn said(self, now: Timestamp) -> Result<(String, Act), Problem> {
        let reason = asks::reason("reason", self.reason)?;
        let until = asks::to_come("until", self.until, now)?;
        Ok((self.by, Act::Shelve { reason, until, one_shot: self.one_shot }))
    }
}

/// It is explained.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suppress {
    /// The person.
    by: String,
    /// 1 to 1,000 characters.
    reason: String,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    until: Timestamp,
}

impl Says for Suppress {
    fn said(self, now: Timestamp) -> Result<(String, Act), Problem> {
        let reason = asks::reason("reason", self.reason)?;
        let until = asks::to_come("until", self.until, now)?;
        Ok((self.by, Act::Suppress { reason, until }))
    }
}

/// Who takes back what was said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Back {
    /// The person.
    by: String,
}

/// Back from the shelf.
struct Unshelve(Back);

impl Says for Unshelve {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        Ok((self.0.by, Act::Unshelve))
    }
}

/// No longer explained.
struct Unsuppress(Back);

impl Says for Unsuppress {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        Ok((self.0.by, Act::Unsuppress))
    }
}

/// A latched alert may leave.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reset {
    /// The person.
    by: String,
    /// At most 1,000 characters.
    #[serde(default)]
    note: String,
}

impl Says for Reset {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        let note = asks::words("note", self.note, MOST_TEXT)?;
        Ok((self.by, Act::Reset { note }))
    }
}

/// It is over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Close {
    /// The person.
    by: String,
    /// `resolved`, `false_alarm`, `planned`, `duplicate`, `handed_over`.
    #[schema(value_type = String)]
    cause: Cause,
    /// At most 1,000 characters.
    #[serde(default)]
    note: String,
}

impl Says for Close {
    fn said(self, _: Timestamp) -> Result<(String, Act), Problem> {
        let note = asks::words("note", self.note, MOST_TEXT)?;
        Ok((self.by, Act::Close { cause: self.cause, note }))
    }
}

async fn carry_out(
    centre: &Centre,
    id: &str,
    headers: &HeaderMap,
    body: impl Says,
) -> Result<Json<AlertRecord>, Problem> {
    let (by, act) = body.said(centre.now())?;
    let by = asks::name("by", &by)?;
    let order = Order::Alert {
        alert: AlertId::from_text(id),
        expected_rev: asks::expected_rev(headers)?,
        act,
    };
    let key = asks::idempotency_key(headers)?;
    let outcome = asks::command(centre, key, by, order).await?;
    asks::alert(outcome).map(Json)
}

/// One path for each act: they differ in their name, their body and what they are called.
macro_rules! act {
    ($(#[$doc:meta])* $name:ident, $path:literal, $body:ident, $says:expr) => {
        $(#[$doc])*
        #[utoipa::path(
            post, path = $path,
            params(("id" = String, Path), Key, Match),
            request_body = $body,
            responses(
                (status = 200, body = schema::Alert),
                (status = 400, body = Problem),
                (status = 404, body = Problem),
                (status = 409, body = Problem, description = "stale or over: `current` is the alert \
                  as it is; or it cannot be done as it stands: `text` says why"),
                (status = 422, body = Problem, description = "the key was used for another act, or \
                  the body says something unknown"),
                (status = 503, body = Problem),
            ),
        )]
        pub(crate) async fn $name(
            State(centre): State<Shared>,
            Path(id): Path<String>,
            headers: HeaderMap,
            Json(body): Json<$body>,
        ) -> Result<Json<AlertRecord>, Problem> {
            carry_out(&centre, &id, &headers, $says(body)).await
        }
    };
}

act!(
    /// "I have seen it and take it."
    acknowledge, "/api/v1/alerts/{id}/acknowledge", Acknowledge, std::convert::identity
);
act!(
    /// "You see to it."
    assign, "/api/v1/alerts/{id}/assign", Assign, std::convert::identity
);
act!(
    /// Writes something down.
    note, "/api/v1/alerts/{id}/note", Note, std::convert::identity
);
act!(
    /// "Not now": it comes back by itself.
    shelve, "/api/v1/alerts/{id}/shelve", Shelve, std::convert::identity
);
act!(
    /// Back from the shelf.
    unshelve, "/api/v1/alerts/{id}/unshelve", Back, Unshelve
);
act!(
    /// "It is explained."
    suppress, "/api/v1/alerts/{id}/suppress", Suppress, std::convert::identity
);
act!(
    /// No longer explained; only what a person suppressed.
    unsuppress, "/api/v1/alerts/{id}/unsuppress", Back, Unsuppress
);
act!(
    /// A latched alert whose condition is gone may leave.
    reset, "/api/v1/alerts/{id}/reset", Reset, std::convert::identity
);
act!(
    /// It is over, and why. Refused while its condition is measured to hold.
    close, "/api/v1/alerts/{id}/close", Close, std::convert::identity
);
