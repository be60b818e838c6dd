//! Pure: alerts as Prometheus and others send them to an Alertmanager (API version 2), made into
//! alerts of ours.

use std::collections::BTreeMap;

use sen_model::{AreaCode, DeviceId, Field, Foreign, Registry, Severity, Text, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// What this system is called in rules: `alertmanager-<alertname>`.
const SYSTEM: &str = "alertmanager";
/// Alerts of one request.
pub const MOST_ALERTS: usize = 1_000;
/// Labels, and annotations, of one alert.
const MOST_LABELS: usize = 64;
/// Longest name of a label, and longest value of a label or an annotation, in characters.
const MOST_NAME: usize = 128;
const MOST_VALUE: usize = 4_096;
/// Longest text that is shown, in characters; the whole of it is among the attributes.
const MOST_TEXT: usize = 300;

/// One alert as it is sent. What is not named here is left out, as Alertmanager does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Told {
    /// What tells it from others; `alertname` names its kind.
    pub labels: BTreeMap<String, String>,
    /// What is to be shown.
    pub annotations: BTreeMap<String, String>,
    /// When it began; if not given, the moment of the request, or the end if that has passed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub starts_at: Option<Timestamp>,
    /// When it ended or will be taken to have ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// Where it comes from.
    #[serde(rename = "generatorURL")]
    pub generator_url: String,
}

/// What is taken where an alert does not say so.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The desk.
    pub field: Field,
    /// How long an alert lasts that does not say when it ends, in milliseconds.
    pub resolve_ms: i64,
    /// The moment of the request.
    pub now: Timestamp,
}

/// Makes an alert of ours; says what is wrong with one that cannot be taken.
pub fn foreign(told: Told, defaults: Defaults, registry: &Registry) -> Result<Foreign, String> {
    let mut labels = told.labels;
    // To Prometheus an empty label is none.
    labels.retain(|_, value| !value.is_empty());
    check(&labels, &told.annotations)?;
    let ended = known(told.ends_at).map(|ends_at| ends_at.min(defaults.now));
    let started_at = known(told.starts_at).or(ended).unwrap_or(defaults.now);
    let ends_at = known(told.ends_at).unwrap_or(defaults.now.plus_ms(defaults.resolve_ms));
    if ends_at < started_at {
        return Err("start time must be before end time".to_owned());
    }
    let name = labels.get("alertname").map_or("alert", String::as_str).to_owned();
    let device = labels.get("device").and_then(|id| DeviceId::new(id).ok());
    let device = device.filter(|id| registry.device(id).is_some());
    let area = labels.get("area").and_then(|code| AreaCode::new(code).ok());
    let area = area.filter(|code| registry.area(code).is_some());
    let of_device = || device.as_ref().and_then(|id| registry.device(id));
    let area = area.or_else(|| of_device().map(|device| device.area.clone()));
    let field = labels.get("field").and_then(|name| field(name));
    let field = field.or_else(|| of_device().map(|device| device.field));
    let severity = severity(labels.get("severity").map(String::as_str));
    let (key, text) = (key(&labels), text(&name, &told.annotations));
    let mut attributes = labels;
    for (name, value) in told.annotations {
        attributes.entry(name).or_insert(value);
    }
    if !told.generator_url.is_empty() {
        attributes.entry("generatorURL".to_owned()).or_insert(told.generator_url);
    }
    let (system, field) = (SYSTEM.to_owned(), field.unwrap_or(defaults.field));
    Ok(Foreign {
        system,
        name,
        key,
        severity,
        field,
        device,
        area,
        started_at,
        ends_at,
        text,
        attributes,
    })
}

/// The key of a command: told again in the same words it is the same command.
pub fn idempotency_key(told: &Foreign) -> String {
    // `Debug` of plain data says everything about it.
    format!("am-{}", hex(&Sha256::digest(format!("{told:?}")), 20))
}

fn check(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> Result<(), String> {
    if labels.is_empty() {
        return Err("at least one label pair required".to_owned());
    }
    if labels.len() > MOST_LABELS || annotations.len() > MOST_LABELS {
        return Err(format!("more than {MOST_LABELS} labels or annotations"));
    }
    for (name, value) in labels.iter().chain(annotations) {
        if name.is_empty() || name.chars().count() > MOST_NAME {
            return Err(format!("a name of a label must have 1 to {MOST_NAME} characters"));
        }
        if value.chars().count() > MOST_VALUE {
            return Err(format!("`{name}` has more than {MOST_VALUE} characters"));
        }
    }
    Ok(())
}

/// The zero time of Go means that there is none.
fn known(time: Option<Timestamp>) -> Option<Timestamp> {
    time.filter(|time| time.as_millis() > 0)
}

fn severity(label: Option<&str>) -> Severity {
    match label {
        Some("critical" | "page") => Severity::CRITICAL,
        Some("high" | "error") => Severity::HIGH,
        Some("info" | "none" | "low") => Severity::LOW,
        _ => Severity::MEDIUM,
    }
}

fn field(name: &str) -> Option<Field> {
    let every = [
        Field::SocioEconomy,
        Field::Security,
        Field::Transport,
        Field::Environment,
        Field::PublicServices,
    ];
    every.into_iter().find(|field| field.as_str() == name)
}

/// What tells one alert from another: all of its labels, in order.
fn key(labels: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for (name, value) in labels {
        // With their lengths, so that the parts cannot run into each other.
        hash.update(format!("{}:{name}{}:{value}", name.len(), value.len()));
    }
    hex(&hash.finalize(), 16)
}

fn hex(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

fn text(name: &str, annotations: &BTreeMap<String, String>) -> Text {
    let first = |names: [&str; 2]| {
        let given = names.into_iter().filter_map(|name| annotations.get(name));
        given.map(|text| text.trim()).find(|text| !text.is_empty()).map(shortened)
    };
    let en = first(["summary", "description"]).unwrap_or_else(|| shortened(name));
    let vi = first(["summary_vi", "description_vi"]).unwrap_or_else(|| en.clone());
    Text { vi, en }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MOST_TEXT {
        return text.to_owned();
    }
    text.chars().take(MOST_TEXT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    const NOW: Timestamp = Timestamp::from_millis(1_795_417_325_120);

    fn registry() -> Registry {
        let place = sen_model::Place {
            id: "ward-28261".into(),
            name: Text::new("Phường Mỹ Tho", "My Tho ward"),
            kind: sen_model::PlaceKind::Ward,
            lat: 10.35,
            lon: 106.36,
            area_km2: 20.0,
            area: Some(AreaCode::new("28261").unwrap()),
        };
        Registry::new(vec![sample::device("stn-my-tho", "water_level_m")], vec![place])
    }

    fn taken(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Result<Foreign, String> {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let told =
            Told { labels: owned(labels), annotations: owned(annotations), ..Told::default() };
        let defaults = Defaults { field: Field::PublicServices, resolve_ms: 300_000, now: NOW };
        foreign(told, defaults, &registry())
    }

    #[test]
    fn severities_have_their_names() {
        for (label, wanted) in [
            ("critical", 1),
            ("page", 1),
            ("high", 2),
            ("error", 2),
            ("warning", 3),
            ("whatever", 3),
            ("info", 4),
            ("none", 4),
        ] {
            let told = taken(&[("alertname", "X"), ("severity", label)], &[]).unwrap();
            assert_eq!(told.severity.level(), wanted, "{label}");
        }
        assert_eq!(taken(&[("alertname", "X")], &[]).unwrap().severity, Severity::MEDIUM);
    }

    #[test]
    fn an_alert_that_names_no_end_lasts_for_the_resolve_time() {
        let told = taken(&[("alertname", "X"), ("empty", "")], &[]).unwrap();
        assert_eq!((told.started_at, told.ends_at), (NOW, NOW.plus_ms(300_000)));
        assert!(!told.attributes.contains_key("empty"));
        assert_eq!((told.field, told.device, told.area), (Field::PublicServices, None, None));
    }

    #[test]
    fn devices_areas_and_fields_that_are_known_count() {
        let told = taken(&[("a", "b"), ("device", "stn-my-tho")], &[]).unwrap();
        assert_eq!(told.device.unwrap().as_str(), "stn-my-tho");
        assert_eq!((told.area.unwrap().as_str(), told.field), ("28261", Field::Environment));
        let told = taken(&[("device", "unknown-1"), ("area", "28261"), ("field", "security")], &[]);
        let told = told.unwrap();
        assert_eq!((told.device, told.field), (None, Field::Security));
        assert_eq!(told.area.unwrap().as_str(), "28261");
        assert_eq!(taken(&[("area", "99999")], &[]).unwrap().area, None);
    }

    #[test]
    fn the_text_is_the_summary_in_both_languages_where_there_are_both() {
        let of = |annotations: &[(&str, &str)]| {
            taken(&[("alertname", "Đầy"), ("x", "y")], annotations).unwrap().text
        };
        assert_eq!(of(&[]), Text::new("Đầy", "Đầy"));
        assert_eq!(of(&[("description", "full")]), Text::new("full", "full"));
        let both = [("summary", " Disk full "), ("summary_vi", "Đĩa đầy"), ("description", "x")];
        assert_eq!(of(&both), Text::new("Đĩa đầy", "Disk full"));
        let long = "ă".repeat(MOST_TEXT + 1);
        let shown = of(&[("summary", &long)]).vi;
        assert!(shown.chars().count() == MOST_TEXT && shown.ends_with('…'));
    }

    #[test]
    fn the_key_is_that_of_the_labels_and_nothing_else() {
        let one = taken(&[("a", "bc"), ("d", "e")], &[("summary", "x")]).unwrap();
        let same = taken(&[("d", "e"), ("a", "bc")], &[("summary", "y")]).unwrap();
        let other = taken(&[("a", "b"), ("cd", "e")], &[]).unwrap();
        assert_eq!(one.key, same.key);
        assert_ne!(one.key, other.key);
        assert_ne!(idempotency_key(&one), idempotency_key(&same));
        assert_eq!(idempotency_key(&one), idempotency_key(&one.clone()));
    }

    #[test]
    fn what_cannot_be_taken_is_told_as_alertmanager_tells_it() {
        assert_eq!(taken(&[("a", "")], &[]).unwrap_err(), "at least one label pair required");
        let long = "x".repeat(MOST_VALUE + 1);
        assert!(taken(&[("a", &long)], &[]).unwrap_err().contains("`a` has more than"));
        let many: Vec<(String, String)> =
            (0..=MOST_LABELS).map(|n| (format!("l{n}"), "x".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert!(taken(&many, &[]).is_err());
        let told = Told {
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            starts_at: Some(NOW),
            ends_at: Some(NOW.plus_ms(-1)),
            ..Told::default()
        };
        let defaults = Defaults { field: Field::Security, resolve_ms: 1, now: NOW };
        assert!(foreign(told, defaults, &registry()).unwrap_err().contains("before end time"));
    }
}
