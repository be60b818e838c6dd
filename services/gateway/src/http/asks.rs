//! What every command has: who asks, a key, limits, and what became of it.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use sen_chassis::call::{Caller, NoAnswer};
use sen_model::{
    AlertRecord, Changed, Command, CommandOutcome, DeskRecord, Order, Reach, Timestamp,
};
use utoipa::{IntoParams, IntoResponses};

use super::problem::Problem;
use crate::centre::Centre;

/// Longest idempotency key, name, and text, in characters.
const MOST_KEY: usize = 128;
pub(crate) const MOST_NAME: usize = 100;
pub(crate) const MOST_TEXT: usize = 1_000;
/// Longest report of a shift, in characters.
pub(crate) const MOST_REPORT: usize = 4_000;
/// How long a service may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The headers of a command.
#[expect(dead_code, reason = "described, never made")]
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Key {
    /// 1 to 128 visible characters, made anew for each act: the same key again gives the same
    /// answer and changes nothing.
    #[param(rename = "Idempotency-Key")]
    idempotency_key: String,
}

/// The headers of a command about an alert.
#[expect(dead_code, reason = "described, never made")]
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Match {
    /// The revision the caller saw, quoted: refused where the alert has changed meanwhile.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// What may become of a command but its being carried out.
#[expect(dead_code, reason = "described, never made")]
#[derive(IntoResponses)]
pub(crate) enum Refusals {
    /// A value is not as it must be.
    #[response(status = 400)]
    Bad(Problem),
    /// As things stand that cannot be done; the detail says why.
    #[response(status = 409)]
    Conflict(Problem),
    /// The body says what it may not, or the key was used for another command.
    #[response(status = 422)]
    Unprocessable(Problem),
    /// The service that carries it out does not answer: ask again with the same key.
    #[response(status = 503)]
    Unavailable(Problem),
}

/// The key of a command.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    let ok = (1..=MOST_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let wrong =
        || Problem::bad("Idempotency-Key: 1 to 128 visible characters, made anew for each act");
    ok.then(|| key.to_owned()).ok_or_else(wrong)
}

/// The revision the caller saw.
pub(crate) fn expected_rev(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(tag) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let rev = tag.trim_matches('"').parse();
    rev.map(Some).map_err(|_| Problem::bad("If-Match: the revision, such as \"3\""))
}

/// The name of a person, a unit, a team.
pub(crate) fn name(key: &str, given: &str) -> Result<String, Problem> {
    let name = given.trim();
    if name.is_empty() || name.chars().count() > MOST_NAME || name.contains(char::is_control) {
        return Err(Problem::bad(format!("{key}: a name of 1 to {MOST_NAME} characters")));
    }
    Ok(name.to_owned())
}

/// Something in people's words, which may be empty.
pub(crate) fn words(key: &str, given: String, most: usize) -> Result<String, Problem> {
    if given.chars().count() > most {
        return Err(Problem::bad(format!("{key}: at most {most} characters")));
    }
    Ok(given)
}

/// The same, where something must be said.
pub(crate) fn reason(key: &str, given: String) -> Result<String, Problem> {
    let given = words(key, given, MOST_TEXT)?;
    if given.trim().is_empty() {
        return Err(Problem::bad(format!("{key}: say why, in 1 to {MOST_TEXT} characters")));
    }
    Ok(given)
}

/// A time that has not passed.
pub(crate) fn to_come(key: &str, until: Timestamp, now: Timestamp) -> Result<Timestamp, Problem> {
    if until <= now {
        return Err(Problem::bad(format!("{key}: {until} has passed; it is {now}")));
    }
    Ok(until)
}

/// A stretch of time that has not passed.
pub(crate) fn stretch(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), Problem> {
    if from >= until {
        return Err(Problem::bad("from: it must be before `until`"));
    }
    to_come("until", until, now).map(|_| ())
}

/// Which alerts: at least one part is given.
pub(crate) fn reach(given: Reach) -> Result<Reach, Problem> {
    if given.is_empty() {
        return Err(Problem::bad("reach: name at least one of rule, device and area"));
    }
    Ok(given)
}

/// Asks a service, but not for ever.
pub(crate) async fn ask<Q, A>(
    caller: &Caller<Q, A>,
    question: Q,
    service: &str,
) -> Result<A, Problem> {
    match tokio::time::timeout(PATIENCE, caller.ask(question)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(NoAnswer)) => {
            Err(Problem::unavailable(format!("the {service} service has stopped")))
        }
        Err(_) => Err(Problem::unavailable(format!(
            "the {service} service is busy: ask again with the same Idempotency-Key"
        ))),
    }
}

/// Asks the alert service for something.
pub(crate) async fn command(
    centre: &Centre,
    idempotency_key: String,
    by: String,
    order: Order,
) -> Result<CommandOutcome, Problem> {
    let command = Command { idempotency_key, order, by, at: centre.now() };
    ask(&centre.ports.commands, command, "alert").await
}

/// The alert that a command changed.
pub(crate) fn alert(outcome: CommandOutcome) -> Result<AlertRecord, Problem> {
    match outcome {
        CommandOutcome::Done(Changed::Alert(record)) => Ok(*record),
        other => Err(refusal(other, "alert")),
    }
}

/// The entry of the desk that a command changed.
pub(crate) fn entry(outcome: CommandOutcome) -> Result<DeskRecord, Problem> {
    match outcome {
        CommandOutcome::Done(Changed::Desk(record)) => Ok(*record),
        other => Err(refusal(other, "entry")),
    }
}

fn refusal(outcome: CommandOutcome, what: &str) -> Problem {
    let conflict = |name, detail| Problem::new(StatusCode::CONFLICT, name, detail);
    match outcome {
        CommandOutcome::Done(_) => {
            Problem::unavailable("the alert service answered something else")
        }
        CommandOutcome::Refused(why) => Problem::refused(why),
        CommandOutcome::Unknown => Problem::not_found(format!("there is no such {what}")),
        CommandOutcome::Stale(current) => {
            let detail = "the alert is no longer as you saw it";
            conflict("changed-meanwhile", detail).with_current(*current)
        }
        CommandOutcome::Over(current) => {
            conflict("alert-over", "the alert is over").with_current(*current)
        }
        CommandOutcome::KeyReused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-reused",
            "Idempotency-Key: used before for another act; make a new one for each",
        ),
    }
}
