//! When a rule holds.

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::name::{DeviceId, Metric, RuleId};

/// Which side of a limit is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Wrong at or above the limit (`>=`).
    AtLeast(f64),
    /// Wrong above the limit (`>`).
    Above(f64),
    /// Wrong at or below the limit (`<=`).
    AtMost(f64),
    /// Wrong below the limit (`<`).
    Below(f64),
}

impl Bound {
    /// Whether `value` is on the wrong side.
    pub fn is_broken_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::Above(limit) => value > limit,
            Self::AtMost(limit) => value <= limit,
            Self::Below(limit) => value < limit,
        }
    }

    /// The limit itself.
    pub fn limit(self) -> f64 {
        match self {
            Self::AtLeast(limit)
            | Self::Above(limit)
            | Self::AtMost(limit)
            | Self::Below(limit) => limit,
        }
    }

    /// Whether larger values are worse.
    pub fn is_upper(self) -> bool {
        matches!(self, Self::AtLeast(_) | Self::Above(_))
    }
}

/// A limit with its hysteresis and delays.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The limit and which side of it is wrong.
    pub bound: Bound,
    /// The value at which the episode ends (hysteresis): at or beyond it on the good side.
    /// Absent = as soon as the bound is no longer broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<f64>,
    /// How long the bound must be broken before the alert is raised, in event time.
    #[serde(default)]
    pub for_ms: i64,
    /// How long it must be good before the alert is cleared, in event time.
    #[serde(default)]
    pub clear_for_ms: i64,
}

/// One level of a rule that has several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// How bad this level is.
    pub severity: Severity,
    /// Its own limit.
    pub limit: Limit,
}

/// A number made of the readings of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// How many good readings.
    Count,
    /// Their sum.
    Sum,
    /// Their arithmetic mean.
    Mean,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Largest minus smallest.
    Range,
    /// Population standard deviation.
    Deviation,
    /// The first by event time.
    First,
    /// The last by event time.
    Last,
    /// Median, to the sketch's relative error.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

/// Within what the members of a composite are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One device: several metrics of it.
    Device,
    /// One commune or ward.
    Area,
    /// The whole province.
    Province,
}

/// A named value beside the reading, for an expression: the latest of another series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// How the expression calls it.
    pub name: String,
    /// Whose; absent = the device of the reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Which metric.
    pub metric: Metric,
}

/// When a rule holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// A value on the wrong side of a limit, continuously for `for_ms` of event time.
    Threshold {
        /// The limit.
        limit: Limit,
    },
    /// Several limits of one kind, each an alert of its own severity; a worse one explains the
    /// milder ones.
    Levels {
        /// From the mildest to the worst, at least two.
        levels: Vec<Level>,
    },
    /// The value changes too fast: the difference to the oldest reading not older than `within_ms`,
    /// divided by the time between, in units per `per_ms`.
    Rate {
        /// The limit of the rate; rising is positive.
        limit: Limit,
        /// The unit of time of the limit.
        per_ms: i64,
        /// How far back to look.
        within_ms: i64,
    },
    /// The value changed by too much within a time: the difference to the oldest reading not older
    /// than `within_ms`.
    Delta {
        /// The limit of the difference; rising is positive.
        limit: Limit,
        /// How far back to look.
        within_ms: i64,
    },
    /// The value has not moved for `for_ms` although readings come: a stuck sensor.
    Frozen {
        /// How far it may move and still count as frozen.
        #[serde(default)]
        tolerance: f64,
        /// How long.
        for_ms: i64,
    },
    /// No reading for longer than `missing_ms`; the time Sen itself was down is not counted.
    Absence {
        /// Silence longer than this raises the alert.
        missing_ms: i64,
    },
    /// A statistic over windows of event time, judged when a window is over.
    Window {
        /// Length of a window.
        window_ms: i64,
        /// How often one ends; a divisor of `window_ms`. Equal = windows that touch.
        every_ms: i64,
        /// What is computed.
        statistic: Statistic,
        /// The limit of it; `for_ms` and `clear_for_ms` run from end of window to end of window.
        limit: Limit,
        /// Windows with fewer good readings say nothing.
        #[serde(default)]
        least_count: u64,
    },
    /// An expression (CEL) over the reading, its device, its area and named references is true.
    Expression {
        /// The expression.
        cel: String,
        /// Named values beside the reading.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        references: Vec<Reference>,
        /// How long it must be true.
        #[serde(default)]
        for_ms: i64,
        /// How long it must be false.
        #[serde(default)]
        clear_for_ms: i64,
    },
    /// At least `least` of the parts hold within one scope.
    Composite {
        /// Rules; each holds in a scope while any alert of it is open there.
        of: Vec<RuleId>,
        /// How many of them: 1 = any, all of them = all. With one part: how many devices of it.
        least: u32,
        /// Within what.
        scope: Scope,
        /// How long.
        #[serde(default)]
        for_ms: i64,
    },
    /// At least `least` devices for which a rule holds lie within a distance of one of them and
    /// began within a time.
    Neighbours {
        /// The rule.
        of: RuleId,
        /// How many devices, 2 or more.
        least: u32,
        /// Within which distance of the one in the middle, in metres.
        distance_m: f64,
        /// Within which time their alerts began.
        within_ms: i64,
    },
    /// One rule holds upstream and then another (or the same) downstream.
    Sequence {
        /// The rule that holds first.
        first: RuleId,
        /// The rule that holds then.
        then: RuleId,
        /// How long after.
        within_ms: i64,
        /// Whether the second device must lie downstream of the first (registry: `upstream`).
        #[serde(default)]
        downstream: bool,
    },
    /// Happenings, counted: at least `least` within `within_ms` in one scope.
    Events {
        /// Any of these kinds of event.
        kinds: Vec<String>,
        /// Attributes that must have these values.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attributes: Vec<(String, String)>,
        /// How many.
        least: u32,
        /// Within which event time.
        within_ms: i64,
        /// Count only those that differ in this attribute (`device` = in who reported them).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distinct: Option<String>,
        /// Within what they are counted together.
        scope: Scope,
        /// The alert ends when there was none for so long.
        quiet_ms: i64,
    },
}

/// A part of the day, in minutes after midnight in Vietnam; `from > until` runs over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// From this minute.
    pub from: u16,
    /// Up to but not including this one.
    pub until: u16,
}

impl Hours {
    /// Whether a minute after midnight lies in it.
    pub fn contains(self, minute: i64) -> bool {
        let (from, until) = (i64::from(self.from), i64::from(self.until));
        if from <= until {
            (from..until).contains(&minute)
        } else {
            minute >= from || minute < until
        }
    }
}

/// A part of the year, month and day, both inclusive; `from > until` runs over New Year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Season {
    /// Month and day.
    pub from: (u8, u8),
    /// Month and day.
    pub until: (u8, u8),
}

/// A day of a calendar: year, month, day.
pub type Date = (i16, u8, u8);

/// When a rule is judged at all, by event time in Vietnam (+07:00): every given part must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// Any of these parts of the day; empty = all day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// Any of these weekdays, 1 = Monday to 7 = Sunday; empty = any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<u8>,
    /// Any of these seasons; empty = all year.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seasons: Vec<Season>,
    /// `Some(true)` = on holidays only, `Some(false)` = not on holidays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holidays: Option<bool>,
    /// The holidays, as the rules file lists them, each from its first to its last day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendar: Vec<(Date, Date)>,
}
