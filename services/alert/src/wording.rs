//! Pure: the words of an alert, in both languages, with place, value and limit filled in.

mod language;

use sen_model::{
    AlertRecord, AreaCode, Bound, Condition, Device, DeviceId, Limit, Metric, Registry, Text,
    Timestamp,
};

use crate::schedule;
use crate::scope::Place;
use crate::transition::{Edition, Subject};
use language::{ENGLISH, VIETNAMESE, Words, decimals, minute, roman, unit, within};

/// Where an alert is and what it is about, in words.
pub(crate) struct Scene<'a> {
    edition: &'a Edition,
    id: &'a DeviceId,
    device: Option<&'a Device>,
    metric: Option<&'a Metric>,
    code: Option<&'a AreaCode>,
    area: Option<&'a Text>,
}

impl<'a> Scene<'a> {
    /// The scene of a rule about a device, and a metric of it.
    pub(crate) fn new(registry: &'a Registry, subject: &'a Subject) -> Self {
        let Subject { edition, device: id, metric, .. } = subject;
        let device = registry.device(id);
        let code = subject.area.as_ref().or_else(|| Some(&device?.area));
        let area = code.and_then(|code| registry.area(code)).map(|place| &place.name);
        Self { edition, id, device, metric: metric.as_ref(), code, area }
    }

    /// The commune it is about, or in which its device stands.
    pub(crate) fn area(&self) -> Option<AreaCode> {
        self.code.cloned()
    }

    /// What to say when the episode begins.
    pub(crate) fn raised(&self, value: Option<f64>, started_at: Timestamp) -> Text {
        self.both(|words| match value {
            Some(value) => self.breach(words, value),
            None => self.silence(words, started_at),
        })
    }

    /// What to say when it is over: only what is known, which side of this limit it is on now. It
    /// may well be beyond a lower limit still.
    pub(crate) fn cleared(&self, value: Option<f64>, event_time: Timestamp) -> Text {
        let when = self.edition.rule.when.as_ref();
        let is_outside = when.is_some_and(|when| !schedule::covers(when, event_time));
        self.both(|words| {
            let end = if is_outside { words.outside } else { self.end(words, value) };
            match value {
                Some(value) => format!("{end}, {}", self.now(words, value)),
                None => end.to_owned(),
            }
        })
    }

    /// How the condition ended.
    fn end(&self, words: &Words, value: Option<f64>) -> &'static str {
        match self.edition.rule.condition {
            Condition::Threshold { .. } | Condition::Levels { .. } | Condition::Window { .. } => {
                let limit = &self.edition.limit;
                let good = limit.clear.unwrap_or(limit.bound.limit());
                side(words, value.unwrap_or(good), limit)
            }
            Condition::Rate { .. } | Condition::Delta { .. } => words.within,
            Condition::Frozen { .. } => words.moves,
            Condition::Expression { .. } => words.untrue,
            Condition::Composite { .. }
            | Condition::Neighbours { .. }
            | Condition::Sequence { .. } => words.apart,
            Condition::Events { .. } => words.quiet,
            Condition::Absence { .. } => words.heard,
        }
    }

    /// What is wrong: "mực nước 1,62 m (ngưỡng 1,60 m)".
    fn breach(&self, words: &Words, value: f64) -> String {
        let shown = self.now(words, value);
        match self.edition.rule.condition {
            Condition::Frozen { for_ms, .. } => {
                let metric = self.metric_name(words);
                let (value, long) = (self.plain(words, value), words.duration(for_ms));
                format!("{metric} {} {value} {} {long}", words.stuck, words.all_the_time)
            }
            Condition::Expression { .. } => format!("{shown}, {}", words.holds),
            Condition::Composite { .. } => format!("{value} {}", words.together),
            Condition::Neighbours { .. } => format!("{value} {}", words.beside),
            Condition::Sequence { downstream: true, .. } => words.downstream.to_owned(),
            Condition::Sequence { .. } => words.in_turn.to_owned(),
            Condition::Events { within_ms, .. } => {
                let long = words.duration(within_ms);
                format!("{value} {} {} {long}", words.happenings, words.in_time)
            }
            _ => shown,
        }
    }

    /// The value with all that belongs to it.
    fn now(&self, words: &Words, value: f64) -> String {
        let metric = self.metric_name(words);
        let limit = self.edition.limit.bound.limit();
        match self.edition.rule.condition {
            Condition::Rate { per_ms, .. } => {
                let per = words.per(per_ms);
                format!("{metric} {}", self.change(words, (value, limit), &per, &per))
            }
            Condition::Delta { within_ms, .. } => {
                let reach = format!(" {} {}", words.in_time, words.duration(within_ms));
                format!("{metric} {}", self.change(words, (value, limit), &reach, ""))
            }
            Condition::Window { window_ms, statistic, .. } => {
                let of = words.statistic(statistic, &words.duration(window_ms));
                format!("{metric} {of} {}", self.against(words, value, limit))
            }
            Condition::Threshold { .. } | Condition::Levels { .. } => {
                format!("{metric} {}", self.against(words, value, limit))
            }
            _ => format!("{metric} {}", self.plain(words, value)),
        }
    }

    /// "tăng 0,42 m trong 1 giờ (ngưỡng 0,30 m)": a change is told by its direction, and without
    /// its sign where the limit has the same one.
    fn change(
        &self,
        words: &Words,
        (value, limit): (f64, f64),
        of_value: &str,
        of_limit: &str,
    ) -> String {
        let direction = if value < 0.0 { words.falls } else { words.rises };
        let shown_limit = if value * limit > 0.0 { limit.abs() } else { limit };
        let unit = self.unit();
        let digits = decimals(value).max(decimals(limit));
        let (value, limit) = (words.number(value.abs(), digits), words.number(shown_limit, digits));
        format!("{direction} {value}{unit}{of_value} ({} {limit}{unit}{of_limit})", words.limit)
    }

    /// "1,62 m (ngưỡng 1,60 m)".
    fn against(&self, words: &Words, value: f64, limit: f64) -> String {
        let unit = self.unit();
        let digits = decimals(value).max(decimals(limit));
        let (value, limit) = (words.number(value, digits), words.number(limit, digits));
        format!("{value}{unit} ({} {limit}{unit})", words.limit)
    }

    fn plain(&self, words: &Words, value: f64) -> String {
        format!("{}{}", words.number(value, decimals(value)), self.unit())
    }

    fn unit(&self) -> String {
        let spec = self.metric.and_then(|metric| self.device?.metric(metric));
        let counts = matches!(
            self.edition.rule.condition,
            Condition::Window { statistic: sen_model::condition::Statistic::Count, .. }
        );
        spec.filter(|_| !counts).map_or(String::new(), |spec| unit(&spec.unit))
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
        let device = match self.device {
            Some(device) => (words.pick)(&device.name),
            None if Place::is_province(self.id) => words.province,
            None => self.id.as_str(),
        };
        match self.area {
            Some(area) if Place::is_pseudo(self.id) => (words.pick)(area).to_owned(),
            Some(area) => format!("{device}, {}", (words.pick)(area)),
            None => device.to_owned(),
        }
    }

    /// "Báo động lũ Mỹ Tho, mức II: … tại Trạm Mỹ Tho, phường Mỹ Tho".
    fn both(&self, say: impl Fn(&Words) -> String) -> Text {
        let Edition { rule, level, .. } = self.edition;
        let whole = |words: &Words| {
            let level = match level {
                0 => String::new(),
                level => format!(", {} {}", words.level, roman(*level)),
            };
            let name = (words.pick)(&rule.name);
            format!("{name}{level}: {} {} {}", say(words), words.at, self.place(words))
        };
        Text::new(whole(&VIETNAMESE), whole(&ENGLISH))
    }
}

/// On which side of the limit a value is that does not break it. Right at the limit it can be
/// only where the limit itself is allowed.
fn side(words: &Words, value: f64, limit: &Limit) -> &'static str {
    match limit.bound {
        Bound::Above(bound) | Bound::Below(bound) if value == bound => words.within,
        bound if !bound.is_upper() => words.risen,
        _ => words.fallen,
    }
}

/// Why nobody watches the condition of an open episode any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwatched {
    /// Its rule was changed or removed.
    RuleChanged,
    /// Its rule is as it was: its device left the registry, or a crash took what upheld it.
    Lost,
}

/// What to say when nobody watches the condition of an open episode any more.
pub(crate) fn withdrawn(record: &AlertRecord, why: Unwatched) -> Text {
    let (vi, en) = match why {
        Unwatched::RuleChanged => {
            ("Quy tắc đã thay đổi, không còn theo dõi.", "The rule has changed, no longer watched.")
        }
        Unwatched::Lost => (
            "Không còn căn cứ để theo dõi tiếp, quy tắc không đổi.",
            "Nothing upholds it any more, the rule is as it was.",
        ),
    };
    Text::new(format!("{vi} {}", record.text.vi), format!("{en} {}", record.text.en))
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

#[cfg(test)]
mod tests;
