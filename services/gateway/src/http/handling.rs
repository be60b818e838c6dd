//! What people did about an alert, and what went to whom about it, in JSON: for the OpenAPI document,
//! as [`schema`](super::schema), whose tests hold it against what is printed.
#![expect(dead_code, reason = "described, never made")]

use utoipa::ToSchema;

/// Put aside for a while by a person.
#[derive(ToSchema)]
pub(crate) struct Shelving {
    /// The person.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Why.
    reason: String,
    /// Until when.
    #[schema(format = DateTime)]
    until: String,
    /// Whether it comes back already when its condition ends.
    one_shot: bool,
}

/// Put aside by design or by a person.
#[derive(ToSchema)]
pub(crate) struct Suppression {
    /// `level`, `dependency`, `member`, `maintenance`, `person`.
    cause: String,
    /// The alert that explains it.
    alert: Option<String>,
    /// What is down.
    device: Option<String>,
    /// The id of the desk's entry.
    entry: Option<String>,
    /// The person.
    by: Option<String>,
    /// Why.
    reason: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    at: String,
    /// Until when, if that is settled.
    #[schema(format = DateTime)]
    until: Option<String>,
}

/// Who is to see to it.
#[derive(ToSchema)]
pub(crate) struct Assignment {
    /// The person or unit.
    to: String,
    /// Who said so.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
}

/// What a person wrote down.
#[derive(ToSchema)]
pub(crate) struct Note {
    /// The person.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// What they wrote; never markup.
    text: String,
}

/// How an alert was closed.
#[derive(ToSchema)]
pub(crate) struct Closing {
    /// The person.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// `resolved`, `false_alarm`, `planned`, `duplicate`, `handed_over`.
    cause: String,
    /// In their words; may be empty.
    note: String,
}

/// One message to one person over one channel.
#[derive(ToSchema)]
pub(crate) struct Delivery {
    /// Also the idempotency key towards the channel.
    id: String,
    /// 1 for the first record, then one more for each change.
    rev: u32,
    /// About which alert.
    alert: String,
    /// By which step of the escalation, from 1.
    step: u32,
    /// To whom, by id.
    person: String,
    /// Over which channel.
    channel: String,
    /// `waiting`, `delivered`, `failed`, `acknowledged`, `cancelled`.
    state: String,
    /// Tries so far.
    attempts: u32,
    /// When this was recorded.
    #[schema(format = DateTime)]
    at: String,
    /// What the last try came to; may be empty.
    detail: String,
}
