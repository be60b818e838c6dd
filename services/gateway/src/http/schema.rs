//! What the nouns of the model look like in JSON, for the OpenAPI document. Tests hold these
//! descriptions against what the nouns really print.
#![expect(dead_code, reason = "described, never made")]

use utoipa::{IntoParams, ToSchema};

pub(crate) use super::handling::{Assignment, Closing, Delivery, Note, Shelving, Suppression};

/// Words in both languages.
#[derive(ToSchema)]
pub(crate) struct Text {
    /// Vietnamese.
    vi: String,
    /// English.
    en: String,
}

/// The newest record of an alert: the whole alert as it is after its last change.
#[derive(ToSchema)]
pub(crate) struct Alert {
    /// The episode.
    id: String,
    /// 1 for the raise, then one more for each change.
    rev: u32,
    /// What happened last: `raised`, `acknowledged`, `cleared`, `superseded`, `assigned`, `noted`,
    /// `shelved`, `unshelved`, `suppressed`, `unsuppressed`, `taken_out`, `put_back`, `reset`,
    /// `closed`, `updated`.
    kind: String,
    /// `unacknowledged`, `acknowledged`, `returned_unacknowledged`, `latched`, `normal`.
    state: String,
    /// The rule that holds.
    rule: String,
    /// Which edition of it.
    rule_version: String,
    /// 1 (critical) to 4 (low).
    severity: u8,
    /// One of the five fields.
    field: String,
    /// The device it is about.
    device: String,
    /// The metric it is about; absent for a device that is silent altogether.
    metric: Option<String>,
    /// The commune of the device, where known.
    area: Option<String>,
    /// The value that decided; absent for absence.
    value: Option<f64>,
    /// The limit of the rule; absent for absence.
    limit: Option<f64>,
    /// When the last change happened.
    #[schema(format = DateTime)]
    event_time: String,
    /// When the condition began to hold.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ceased to hold.
    #[schema(format = DateTime)]
    cleared_at: Option<String>,
    /// When Sen recorded the last change.
    #[schema(format = DateTime)]
    recorded_at: String,
    /// Who took it.
    acknowledgement: Option<Acknowledgement>,
    /// Whether it was found in data that came late.
    late: bool,
    /// What to show.
    text: Text,
    /// Which level of the rule, from 1, the mildest; 0 for a rule without levels.
    level: u8,
    /// What alerts of one cause in one area have in common.
    group: String,
    /// Whether it stays until a person resets it.
    latched: bool,
    /// Whether it has come and gone too often within a minute.
    chattering: bool,
    /// Whether it belongs to a drill.
    drill: bool,
    /// On the shelf.
    shelving: Option<Shelving>,
    /// Suppressed.
    suppression: Option<Suppression>,
    /// The id of the desk's entry by which it is out of service.
    out_of_service: Option<String>,
    /// Who is to see to it.
    assignment: Option<Assignment>,
    /// The last notes, oldest first.
    notes: Option<Vec<Note>>,
    /// How it was closed, if a person did.
    closing: Option<Closing>,
    /// The alerts it is made of; the first ones, where there are many.
    members: Option<Vec<String>>,
    /// What came with it from outside.
    #[schema(value_type = Option<Object>)]
    attributes: (),
}

/// Who took an alert.
#[derive(ToSchema)]
pub(crate) struct Acknowledgement {
    /// The person or screen.
    by: String,
    /// When.
    #[schema(format = DateTime)]
    at: String,
    /// Their note; may be empty.
    note: String,
}

/// A device of the registry.
#[derive(ToSchema)]
pub(crate) struct Device {
    /// Its id in topics.
    id: String,
    /// What people call it.
    name: Text,
    /// What kind of station it is.
    kind: String,
    /// One of the five fields.
    field: String,
    /// The commune it stands in.
    area: String,
    /// Degrees north.
    lat: f64,
    /// Degrees east.
    lon: f64,
    /// How often it reports, in milliseconds.
    interval_ms: i64,
    /// What it measures.
    metrics: Vec<MetricSpec>,
}

/// What a metric of a device means.
#[derive(ToSchema)]
pub(crate) struct MetricSpec {
    /// Its name in payloads.
    metric: String,
    /// What people call it.
    name: Text,
    /// UCUM unit.
    unit: String,
    /// Smallest plausible value.
    min: Option<f64>,
    /// Largest plausible value.
    max: Option<f64>,
}

/// A rule in force.
#[derive(ToSchema)]
pub(crate) struct Rule {
    /// Its id, stable over edits.
    id: String,
    /// What the alert is called.
    name: Text,
    /// One of the five fields.
    field: String,
    /// 1 (critical) to 4 (low).
    severity: u8,
    /// Which series it judges.
    #[schema(value_type = Object)]
    r#match: (),
    /// When it holds.
    #[schema(value_type = Object)]
    condition: (),
    /// Where the limit comes from.
    source: String,
    /// The unit that must act.
    owner: Text,
    /// What the operator is expected to do.
    response: Response,
    /// When it is judged at all; absent = always.
    #[schema(value_type = Option<Object>)]
    when: (),
    /// Whether a returned episode waits for a person; absent = by its severity.
    needs_acknowledgement: Option<bool>,
    /// Whether an acknowledged alert stays until a person resets it.
    latched: bool,
    /// `in_force`, `shadow` or `part`.
    standing: String,
    /// What alerts of several rules are rolled up by.
    cause: Option<String>,
    /// Whether its alert about a device explains the silence of what depends on it.
    explains: bool,
    /// The stage of the province its open alerts speak for.
    stage: Option<u8>,
}

/// What the operator is expected to do.
#[derive(ToSchema)]
pub(crate) struct Response {
    /// One step after the other.
    steps: Vec<Text>,
    /// What happens if nobody acts.
    consequence: Text,
    /// How soon somebody must have acknowledged, in milliseconds.
    within_ms: i64,
}

/// A happening reported by a system or a person.
#[derive(ToSchema)]
pub(crate) struct Event {
    /// The reporter's id of it.
    id: String,
    /// Who reported it.
    device: String,
    /// What kind of happening.
    kind: String,
    /// When it happened.
    #[schema(format = DateTime)]
    event_time: String,
    /// When Sen heard of it.
    #[schema(format = DateTime)]
    received_at: String,
    /// What the reporter wrote; never markup.
    text: String,
    /// Anything else, as text.
    #[schema(value_type = Object)]
    attributes: (),
}

/// Something that was not taken.
#[derive(ToSchema)]
pub(crate) struct Quarantined {
    /// When Sen heard it.
    #[schema(format = DateTime)]
    received_at: String,
    /// Where it came in.
    source: String,
    /// The client, as it named itself.
    client: String,
    /// The topic or path.
    topic: String,
    /// The stable name of the reason.
    reason: String,
    /// What was wrong, in words.
    detail: String,
    /// The beginning of the payload, as text.
    payload: String,
    /// How long the payload was, in bytes.
    payload_bytes: u64,
}

/// Which series, out of many. Of one parameter several values are "or", given several times or with
/// commas; different parameters are "and".
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Chosen {
    /// `device/metric`; not with the others.
    #[param(example = "air-28261/pm25_ug_m3")]
    series: Option<Vec<String>>,
    /// What is measured.
    metric: Option<Vec<String>>,
    /// The 5-digit code of the commune, or `all` of them.
    area: Option<Vec<String>>,
    /// One of the five fields.
    field: Option<Vec<String>>,
    /// The kind of station.
    kind: Option<Vec<String>>,
    /// What reports.
    device: Option<Vec<String>>,
}

/// A reading of one of many series.
#[derive(ToSchema)]
pub(crate) struct ReadingRow {
    /// What reports.
    device: String,
    /// What it measures.
    metric: String,
    /// When it was measured.
    #[schema(format = DateTime)]
    event_time: String,
    /// When it was heard; null of a curve made of summaries.
    #[schema(format = DateTime)]
    received_at: Option<String>,
    /// The value.
    value: f64,
    /// `good`, `suspect` or `bad`.
    quality: String,
    /// Of a curve: `raw`, or the tier it is made of.
    tier: Option<String>,
}

/// Readings of many series.
#[derive(ToSchema)]
pub(crate) struct ManyReadings {
    /// How many series.
    series: usize,
    /// UCUM units by metric, where the registry knows them.
    #[schema(value_type = Object)]
    units: (),
    /// Series after series, each by event time.
    items: Vec<ReadingRow>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// One window: its start, and what was asked of it. Without a good reading values are null.
#[derive(ToSchema)]
pub(crate) struct Window {
    /// Of one of many series.
    device: Option<String>,
    /// Of all series of an area.
    area: Option<String>,
    /// Of all series of a field.
    field: Option<String>,
    /// Of all series of a kind.
    kind: Option<String>,
    /// What is measured; where there are many series.
    metric: Option<String>,
    /// Its first instant.
    #[schema(format = DateTime)]
    start: String,
    /// All its readings.
    count: Option<u64>,
    /// Those that are good.
    good_count: Option<u64>,
    /// Those that are good, of all: 0 to 1; null if there is none.
    good_share: Option<f64>,
    sum: Option<f64>,
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    /// By event time.
    first: Option<f64>,
    /// By event time.
    last: Option<f64>,
    /// The standard deviation, of a population.
    stddev: Option<f64>,
    /// Percentiles are within 1 % of the value; any number from 0 to 100 may stand after the p.
    p50: Option<f64>,
    /// As `p50`.
    p95: Option<f64>,
}

/// Windows of one series.
#[derive(ToSchema)]
pub(crate) struct Windows {
    /// The tier they are made of: `1m`, `15m`, `1h`, `1d`.
    tier: String,
    /// How long they are.
    step: String,
    /// UCUM unit, where the registry knows the metric.
    unit: Option<String>,
    /// In order of time.
    items: Vec<Window>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

/// Windows of many series.
#[derive(ToSchema)]
pub(crate) struct ManyWindows {
    /// The tier they are made of: `1m`, `15m`, `1h`, `1d`.
    tier: String,
    /// How long they are.
    step: String,
    /// What is one line.
    by: String,
    /// How many series they are of.
    series: usize,
    /// UCUM units by metric, where the registry knows them.
    #[schema(value_type = Object)]
    units: (),
    /// Line after line, each in order of time.
    items: Vec<Window>,
    /// The cursor of the next page; null on the last one.
    next: Option<String>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sample;
    use sen_model::Field;
    use serde_json::Value;
    use utoipa::PartialSchema;

    /// Every key that is printed is described, and every key that must be there is.
    pub(crate) fn holds<D: PartialSchema>(printed: &impl serde::Serialize) {
        let printed = serde_json::to_value(printed).unwrap();
        let schema = serde_json::to_value(D::schema()).unwrap();
        for key in printed.as_object().unwrap().keys() {
            assert!(schema["properties"].get(key).is_some(), "`{key}` is not described: {schema}");
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            assert!(printed.get(key).is_some(), "`{key}` is described as always there: {printed}");
        }
    }

    #[test]
    fn the_descriptions_say_what_is_printed() {
        let mut full = sample::alert("a", 3, Field::Environment);
        full.area = Some(sen_model::AreaCode::new("28261").unwrap());
        let at = full.event_time;
        full.acknowledgement =
            Some(sen_model::alert::Acknowledgement { by: "Lan".into(), at, note: String::new() });
        holds::<Acknowledgement>(full.acknowledgement.as_ref().unwrap());
        full = sample::handled(full);
        holds::<Alert>(&full);
        holds::<Shelving>(full.shelving.as_ref().unwrap());
        holds::<Suppression>(full.suppression.as_ref().unwrap());
        holds::<Assignment>(full.assignment.as_ref().unwrap());
        holds::<Note>(&full.notes[0]);
        holds::<Closing>(full.closing.as_ref().unwrap());
        holds::<Delivery>(&sample::delivery("d", 1, "a", "lan"));
        holds::<Response>(&sample::rule("flood").response);
        let mut bare = sample::alert("a", 1, Field::Environment);
        (bare.metric, bare.value, bare.limit) = (None, None, None);
        holds::<Alert>(&bare);
        holds::<Text>(&bare.text);
        holds::<Device>(&sample::device("stn-my-tho", "water_level_m"));
        holds::<MetricSpec>(&sample::device("stn-my-tho", "water_level_m").metrics[0]);
        holds::<Rule>(&sample::rule("flood"));
        holds::<Event>(&sample::event("cam-01", "e1"));
        holds::<Quarantined>(&sample::refused("gw-1", "plant/7"));
    }
}
