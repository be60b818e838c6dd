//! Pure: the words of an alert, in both languages, with place, value and limit filled in.

use sen_model::{
    AlertRecord, AreaCode, Bound, Condition, Device, DeviceId, Limit, Metric, Registry, Rule, Text,
    Timestamp,
};

/// Decimals shown, at most: an operator reads 1.62 m, not 1.6180339 m.
const MOST_DECIMALS: usize = 2;

/// Where an alert is and what it is about, in words.
pub(crate) struct Scene<'a> {
    rule: &'a Rule,
    id: &'a DeviceId,
    device: Option<&'a Device>,
    metric: Option<&'a Metric>,
    area: Option<&'a Text>,
}

impl<'a> Scene<'a> {
    /// The scene of a rule about a device, and a metric of it.
    pub(crate) fn new(
        registry: &'a Registry,
        rule: &'a Rule,
        id: &'a DeviceId,
        metric: Option<&'a Metric>,
    ) -> Self {
        let device = registry.device(id);
        let area = device.and_then(|device| registry.area(&device.area)).map(|place| &place.name);
        Self { rule, id, device, metric, area }
    }

    /// The commune of the device.
    pub(crate) fn area(&self) -> Option<AreaCode> {
        self.device.map(|device| device.area.clone())
    }

    /// What to say when the episode begins.
    pub(crate) fn raised(&self, value: Option<f64>, started_at: Timestamp) -> Text {
        self.both(|words, name| {
            let what = match (value, self.limit()) {
                (Some(value), Some(limit)) => self.reading(words, value, limit),
                _ => self.silence(words, started_at),
            };
            format!("{name}: {what} {} {}", words.at, self.place(words))
        })
    }

    /// What to say when it is over: only what is known, which side of this limit it is on now. It
    /// may well be beyond a lower limit still.
    pub(crate) fn cleared(&self, value: Option<f64>) -> Text {
        self.both(|words, name| {
            let what = match (value, self.limit()) {
                (Some(value), Some(limit)) => {
                    format!("{}, {}", self.side(words, value), self.reading(words, value, limit))
                }
                (None, Some(limit)) => self.side(words, self.clear().unwrap_or(limit)).to_owned(),
                _ => words.heard.to_owned(),
            };
            format!("{name}: {what} {} {}", words.at, self.place(words))
        })
    }

    /// On which side of the limit a value is that does not break it. Right at the limit it can be
    /// only where the limit itself is allowed.
    fn side(&self, words: &Words, value: f64) -> &'static str {
        match self.rule.condition {
            Condition::Threshold {
                limit: Limit { bound: Bound::Above(limit) | Bound::Below(limit), .. },
            } if value == limit => words.within,
            Condition::Threshold { limit } if !limit.bound.is_upper() => words.risen,
            _ => words.fallen,
        }
    }

    fn clear(&self) -> Option<f64> {
        match self.rule.condition {
            Condition::Threshold { limit } => limit.clear,
            _ => None,
        }
    }

    fn both(&self, say: impl Fn(&Words, &str) -> String) -> Text {
        Text::new(say(&VIETNAMESE, &self.rule.name.vi), say(&ENGLISH, &self.rule.name.en))
    }

    fn limit(&self) -> Option<f64> {
        match self.rule.condition {
            Condition::Threshold { limit } => Some(limit.bound.limit()),
            _ => None,
        }
    }

    /// "mực nước 1,62 m (ngưỡng 1,60 m)".
    fn reading(&self, words: &Words, value: f64, limit: f64) -> String {
        let spec = self.metric.and_then(|metric| self.device?.metric(metric));
        let unit = spec.map_or(String::new(), |spec| unit(&spec.unit));
        let decimals = decimals(value).max(decimals(limit));
        let (value, limit) = (words.number(value, decimals), words.number(limit, decimals));
        let metric = self.metric_name(words);
        format!("{metric} {value}{unit} ({} {limit}{unit})", words.limit)
    }

    /// "không có số liệu mực nước từ 14:02 23/11".
    fn silence(&self, words: &Words, since: Timestamp) -> String {
        let metric = self.metric.map_or(String::new(), |_| format!(" {}", self.metric_name(words)));
        format!("{}{metric} {} {}", words.silent, words.since, minute(since))
    }

    fn metric_name(&self, words: &Words) -> String {
        let Some(metric) = self.metric else { return String::new() };
        let spec = self.device.and_then(|device| device.metric(metric));
        spec.map_or_else(|| metric.to_string(), |spec| within((words.pick)(&spec.name)))
    }

    fn place(&self, words: &Words) -> String {
        let device = self.device.map_or(self.id.as_str(), |device| (words.pick)(&device.name));
        match self.area {
            Some(area) => format!("{device}, {}", (words.pick)(area)),
            None => device.to_owned(),
        }
    }
}

/// What to say when a rule was changed or removed under an open episode.
pub(crate) fn withdrawn(record: &AlertRecord) -> Text {
    Text::new(
        format!("Quy tắc đã thay đổi, không còn theo dõi. {}", record.text.vi),
        format!("The rule has changed, no longer watched. {}", record.text.en),
    )
}

/// What to say when a newer alert of the same rule and series stands in the place of this one.
pub(crate) fn superseded(record: &AlertRecord) -> Text {
    Text::new(
        format!("Được thay bằng cảnh báo mới. {}", record.text.vi),
        format!("Replaced by a newer alert. {}", record.text.en),
    )
}

/// What to say when an alert gives way because the list is full.
pub(crate) fn displaced(record: &AlertRecord) -> Text {
    Text::new(
        format!("Rút khỏi danh sách vì có quá nhiều cảnh báo. {}", record.text.vi),
        format!("Taken off the list, which is full. {}", record.text.en),
    )
}

/// The words of one language.
struct Words {
    pick: fn(&Text) -> &str,
    at: &'static str,
    limit: &'static str,
    fallen: &'static str,
    risen: &'static str,
    within: &'static str,
    silent: &'static str,
    since: &'static str,
    heard: &'static str,
    has_decimal_comma: bool,
}

const VIETNAMESE: Words = Words {
    pick: |text| &text.vi,
    at: "tại",
    limit: "ngưỡng",
    fallen: "đã xuống dưới ngưỡng",
    risen: "đã tăng lên trên ngưỡng",
    within: "đã về trong ngưỡng",
    silent: "không có số liệu",
    since: "từ",
    heard: "đã có số liệu trở lại",
    has_decimal_comma: true,
};

const ENGLISH: Words = Words {
    pick: |text| &text.en,
    at: "at",
    limit: "limit",
    fallen: "has fallen below the limit",
    risen: "has risen above the limit",
    within: "is within the limit again",
    silent: "no readings",
    since: "since",
    heard: "readings again",
    has_decimal_comma: false,
};

impl Words {
    fn number(&self, number: f64, decimals: usize) -> String {
        let text = format!("{number:.decimals$}");
        if self.has_decimal_comma { text.replace('.', ",") } else { text }
    }
}

/// How many decimals a number needs, up to the most that are shown.
fn decimals(number: f64) -> usize {
    let text = format!("{number:.MOST_DECIMALS$}");
    let fraction = text.rsplit('.').next().unwrap_or_default();
    fraction.trim_end_matches('0').len()
}

/// A UCUM unit as people write it, with the space before it; nothing for pure numbers.
fn unit(ucum: &str) -> String {
    let shown = match ucum {
        "" | "1" => return String::new(),
        "Cel" => "°C",
        "ug/m3" => "µg/m³",
        "mg/m3" => "mg/m³",
        "m3/s" => "m³/s",
        "MBy" => "MB",
        "%" => return "%".to_owned(),
        other if other.starts_with('[') => return String::new(),
        other if other.starts_with('{') && other.ends_with('}') => return String::new(),
        other => &other.replace(['{', '}'], ""),
    };
    format!(" {shown}")
}

/// A name within a sentence: "Mực nước" becomes "mực nước", but "VN_AQI" and "PM2.5" stay.
fn within(name: &str) -> String {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => name.to_owned(),
    }
}

/// Hour and day in Vietnam: `14:02 23/11`.
fn minute(time: Timestamp) -> String {
    let text = time.to_string();
    if !text.contains('T') {
        return text;
    }
    match (text.get(11..16), text.get(8..10), text.get(5..7)) {
        (Some(minute), Some(day), Some(month)) => format!("{minute} {day}/{month}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_decimals_they_need() {
        for (number, count, vi) in [
            (1.6, 1, "1,6"),
            (151.0, 0, "151"),
            (1.618, 2, "1,62"),
            (-0.5, 1, "-0,5"),
            (1e9, 0, "1000000000"),
        ] {
            assert_eq!(decimals(number), count, "{number}");
            assert_eq!(VIETNAMESE.number(number, count), vi);
        }
    }

    #[test]
    fn units_and_times_are_what_people_read() {
        for (ucum, shown) in [
            ("m", " m"),
            ("1", ""),
            ("{lamps}", ""),
            ("[pH]", ""),
            ("{VND}/kg", " VND/kg"),
            ("Cel", " °C"),
            ("MBy", " MB"),
            ("%", "%"),
        ] {
            assert_eq!(unit(ucum), shown);
        }
        for (name, shown) in
            [("Mực nước", "mực nước"), ("VN_AQI", "VN_AQI"), ("pH", "pH"), ("", "")]
        {
            assert_eq!(within(name), shown);
        }
        let time: Timestamp = "2026-11-23T07:02:05Z".parse().unwrap();
        assert_eq!(minute(time), "14:02 23/11");
        assert!(minute(Timestamp::from_millis(i64::MAX)).ends_with("ms"));
    }
}
