//! Pure: alerts in the Common Alerting Protocol, CAP 1.2 (OASIS; ITU-T X.1303), in Vietnamese and
//! English.
//!
//! [`message`] decides what is said, `xml` how it is written, [`atom`] is the feed of such messages.
//! Each revision of an alert is a message of its own: the raise is `Alert`, later ones are `Update`,
//! the end is `Cancel`; these refer to all earlier ones.

pub mod atom;
#[cfg(test)]
mod tests;
mod xml;

use sen_model::time::HOUR_MS;
use sen_model::{AlertRecord, AlertState, Field, Rule, Severity, Text, Timestamp};

use crate::map::rings::Ring;

pub use xml::document;

/// How long a message about an open alert is good for, in milliseconds from when it is asked for: an
/// alert may stand for days without a change, and is in force as long as somebody can read it here.
/// Whoever keeps a copy and cannot ask again lets it go after this.
const OPEN_FOR_MS: i64 = 24 * HOUR_MS;
/// How long the end of an alert is worth telling, in milliseconds from then.
const OVER_FOR_MS: i64 = HOUR_MS;
/// How far around a device outside of any area a message is about, in kilometres.
const RADIUS_KM: f64 = 1.0;
/// An owner who must have acknowledged within this time must act at once, in milliseconds.
const IMMEDIATE_MS: i64 = HOUR_MS / 4;
/// The name under which the stage of the province goes along: the level of disaster risk.
const STAGE: &str = "capDoRuiRo";
/// The name of the official code of a commune, or of a province.
const CODE_NAME: &str = "maDonViHanhChinh";
/// Earlier messages that are referred to, the first one and the newest of the rest.
pub const MOST_REFERENCES: usize = 64;

/// Who says it, to whom.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// What tells this centre from others, such as an e-mail address.
    pub sender: String,
    /// What the centre is called.
    pub name: Text,
    /// For whom it is not; none = it is for everybody.
    pub restriction: Option<String>,
}

/// What is known about an alert besides its record.
#[derive(Clone, Debug, Default)]
pub struct Around<'a> {
    /// When the message is asked for.
    pub now: Timestamp,
    /// Its rule as it was then.
    pub rule: Option<&'a Rule>,
    /// Its earlier revisions and when they were recorded.
    pub earlier: &'a [(u32, Timestamp)],
    /// The stage of the province.
    pub stage: Option<u8>,
    /// What the device is called, where known.
    pub device: Option<Text>,
    /// What its area is called, where known.
    pub area: Option<Text>,
    /// The outline of the area, where known.
    pub rings: &'a [Ring],
    /// Where the device stands: latitude and longitude, where known.
    pub position: Option<(f64, f64)>,
}

/// One message, ready to be written.
#[derive(Clone, Debug)]
pub struct Message {
    identifier: String,
    sender: String,
    sent: Timestamp,
    status: &'static str,
    kind: &'static str,
    source: String,
    restriction: Option<String>,
    note: Option<&'static str>,
    references: String,
    blocks: [Block; 2],
}

/// What is said in one language.
#[derive(Clone, Debug)]
struct Block {
    language: &'static str,
    category: &'static str,
    event: String,
    response: &'static str,
    urgency: &'static str,
    severity: &'static str,
    effective: Timestamp,
    onset: Timestamp,
    expires: Timestamp,
    sender_name: String,
    headline: String,
    description: String,
    instruction: String,
    parameters: Vec<(&'static str, String)>,
    area: Area,
}

/// Where it is.
#[derive(Clone, Debug)]
struct Area {
    description: String,
    polygons: Vec<String>,
    circle: Option<String>,
    code: Option<String>,
}

/// The identifier of the message about one revision of an alert.
pub fn identifier(alert: &str, rev: u32) -> String {
    // CAP wants neither spaces, commas, `<` nor `&` in it.
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let alert: String = alert.chars().filter(allowed).collect();
    format!("{alert}.{rev}")
}

/// A time as CAP has it: no fraction, an offset that is never `Z`.
pub fn time(time: Timestamp) -> String {
    // The year must have four digits: nothing after 9998.
    let within = time.as_millis().clamp(0, 253_370_000_000_000);
    let text = Timestamp::from_millis(within).to_string();
    format!("{}+07:00", text.get(..19).unwrap_or("1970-01-01T07:00:00"))
}

/// What is said about an alert.
pub fn message(record: &AlertRecord, around: &Around<'_>, issuer: &Issuer) -> Message {
    let is_over = record.state == AlertState::Normal;
    let references = references(record, around.earlier, issuer);
    let kind = match (references.is_empty(), is_over) {
        (true, _) => "Alert",
        (false, true) => "Cancel",
        (false, false) => "Update",
    };
    let block = |language, pick: fn(&Text) -> &str| block(record, around, issuer, language, pick);
    Message {
        identifier: identifier(record.id.as_str(), record.rev),
        sender: issuer.sender.clone(),
        sent: record.recorded_at,
        status: if record.drill { "Exercise" } else { "Actual" },
        kind,
        source: format!("{} {}", record.rule, record.rule_version),
        restriction: issuer.restriction.clone(),
        note: record.drill.then_some("Diễn tập, không phải sự cố thật. This is a drill."),
        references,
        blocks: [block("vi-VN", |text| &text.vi), block("en-US", |text| &text.en)],
    }
}

fn references(record: &AlertRecord, earlier: &[(u32, Timestamp)], issuer: &Issuer) -> String {
    let earlier: Vec<String> = earlier
        .iter()
        .filter(|(rev, _)| *rev < record.rev)
        .map(|(rev, sent)| {
            let identifier = identifier(record.id.as_str(), *rev);
            format!("{},{identifier},{}", issuer.sender, time(*sent))
        })
        .collect();
    let first = earlier.first().cloned();
    let rest = earlier.iter().skip(1).rev().take(MOST_REFERENCES - 1).rev().cloned();
    first.into_iter().chain(rest).collect::<Vec<_>>().join(" ")
}

fn block(
    record: &AlertRecord,
    around: &Around<'_>,
    issuer: &Issuer,
    language: &'static str,
    pick: fn(&Text) -> &str,
) -> Block {
    let is_over = record.state == AlertState::Normal;
    let named = around.rule.map(|rule| pick(&rule.name)).filter(|name| !name.is_empty());
    let event = named.unwrap_or(record.rule.as_str()).to_owned();
    let said = pick(&record.text);
    let headline = if said.is_empty() { event.clone() } else { said.to_owned() };
    let consequence = around.rule.map(|rule| pick(&rule.response.consequence)).unwrap_or_default();
    let place = place(record, around, pick);
    let parts = [headline.as_str(), &place, consequence];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let description = parts.join("\n");
    Block {
        language,
        category: category(record.field),
        event,
        response: response(record, around.rule),
        urgency: urgency(record, around.rule),
        severity: severity(record.severity),
        effective: record.recorded_at,
        onset: record.started_at,
        expires: expires(record, around.now),
        sender_name: pick(&issuer.name).to_owned(),
        headline,
        description,
        instruction: if is_over { String::new() } else { steps(around.rule, pick) },
        parameters: parameters(record, around.stage),
        area: area(record, around, place),
    }
}

/// Whole hours while it is open, so that the document is the same all through an hour.
fn expires(record: &AlertRecord, now: Timestamp) -> Timestamp {
    if !record.state.is_open() {
        return record.recorded_at.plus_ms(OVER_FOR_MS);
    }
    // Never before it was sent, whatever our clock says.
    let until = now.max(record.recorded_at).plus_ms(OPEN_FOR_MS);
    let past = until.as_millis().rem_euclid(HOUR_MS);
    until.plus_ms((HOUR_MS - past) % HOUR_MS)
}

fn category(field: Field) -> &'static str {
    match field {
        Field::SocioEconomy => "Other",
        Field::Security => "Security",
        Field::Transport => "Transport",
        Field::Environment => "Env",
        Field::PublicServices => "Infra",
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity.level() {
        1 => "Extreme",
        2 => "Severe",
        3 => "Moderate",
        _ => "Minor",
    }
}

/// `Execute`: carry out what the instruction says.
fn response(record: &AlertRecord, rule: Option<&Rule>) -> &'static str {
    let has_steps = rule.is_some_and(|rule| !rule.response.steps.is_empty());
    match (record.holds(), has_steps) {
        (true, true) => "Execute",
        (true, false) => "Monitor",
        (false, _) => "AllClear",
    }
}

fn urgency(record: &AlertRecord, rule: Option<&Rule>) -> &'static str {
    if !record.holds() {
        return "Past";
    }
    match rule.map(|rule| rule.response.within_ms).filter(|ms| *ms > 0) {
        Some(..=IMMEDIATE_MS) => "Immediate",
        Some(..=HOUR_MS) => "Expected",
        Some(_) => "Future",
        None if record.severity == Severity::CRITICAL => "Immediate",
        None if record.severity == Severity::HIGH => "Expected",
        None => "Future",
    }
}

fn steps(rule: Option<&Rule>, pick: fn(&Text) -> &str) -> String {
    let steps = rule.map(|rule| rule.response.steps.as_slice()).unwrap_or_default();
    let steps = steps.iter().map(pick).filter(|step| !step.is_empty());
    let lines: Vec<String> =
        steps.enumerate().map(|(index, step)| format!("{}. {step}", index + 1)).collect();
    lines.join("\n")
}

fn parameters(record: &AlertRecord, stage: Option<u8>) -> Vec<(&'static str, String)> {
    let mut parameters = Vec::new();
    parameters.extend(stage.map(|stage| (STAGE, stage.to_string())));
    parameters.push(("severity", record.severity.level().to_string()));
    parameters.push(("state", record.state.as_str().to_owned()));
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    parameters.extend(finite(record.value).map(|value| ("value", value.to_string())));
    parameters.extend(finite(record.limit).map(|limit| ("limit", limit.to_string())));
    parameters
}

/// The device and its area, as far as they have names.
fn place(record: &AlertRecord, around: &Around<'_>, pick: fn(&Text) -> &str) -> String {
    let names = [around.device.as_ref(), around.area.as_ref()].into_iter().flatten();
    let names: Vec<&str> = names.map(pick).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { record.device.to_string() } else { names.join(", ") }
}

fn area(record: &AlertRecord, around: &Around<'_>, description: String) -> Area {
    let polygons: Vec<String> = around.rings.iter().filter_map(polygon).collect();
    let is_outside = record.area.is_none() && polygons.is_empty();
    let position =
        around.position.filter(|(lat, lon)| is_outside && lat.is_finite() && lon.is_finite());
    let circle = position.map(|(lat, lon)| format!("{lat},{lon} {RADIUS_KM}"));
    Area { description, polygons, circle, code: record.area.as_ref().map(ToString::to_string) }
}

/// Latitude first, the last corner is the first one; none if there are too few corners.
fn polygon(ring: &Ring) -> Option<String> {
    let mut corners: Vec<String> = ring.iter().map(|[lon, lat]| format!("{lat},{lon}")).collect();
    if corners.first() != corners.last() {
        corners.extend(corners.first().cloned());
    }
    (corners.len() >= 4).then(|| corners.join(" "))
}
