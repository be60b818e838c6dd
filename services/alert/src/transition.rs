//! Pure: what the engine tells the desk.

use std::sync::Arc;

use sen_model::{
    AlertId, AreaCode, Bound, Condition, DeviceId, Limit, Metric, Rule, Severity, Timestamp,
};

/// One rule, or one level of a rule that has several, with all that decides its episodes.
#[derive(Clone, Debug)]
pub(crate) struct Edition {
    pub(crate) rule: Arc<Rule>,
    /// That of the rule, then a point and the level if it has levels.
    pub(crate) version: Arc<str>,
    /// From 1, the mildest; 0 for a rule without levels.
    pub(crate) level: u8,
    pub(crate) severity: Severity,
    /// What its values are judged by. Where nobody gave a limit (frozen, expression) it stands for
    /// the yes or no of the condition, with its delays.
    pub(crate) limit: Limit,
}

/// The limit of what is either so (1) or not (0).
const YES_OR_NO: Limit =
    Limit { bound: Bound::AtLeast(1.0), clear: None, for_ms: 0, clear_for_ms: 0 };

impl Edition {
    /// The editions of a rule: one for each of its levels.
    pub(crate) fn all_of(rule: &Rule) -> Vec<Self> {
        let (rule, version) = (Arc::new(rule.clone()), rule.version());
        let one = |limit: Limit| {
            let (rule, severity) = (Arc::clone(&rule), rule.severity);
            vec![Self { rule, version: version.as_str().into(), level: 0, severity, limit }]
        };
        match &rule.condition {
            Condition::Levels { levels } => (1_u8..)
                .zip(levels)
                .map(|(level, of_level)| Self {
                    rule: Arc::clone(&rule),
                    version: format!("{version}.{level}").into(),
                    level,
                    severity: of_level.severity,
                    limit: of_level.limit,
                })
                .collect(),
            Condition::Threshold { limit }
            | Condition::Rate { limit, .. }
            | Condition::Delta { limit, .. }
            | Condition::Window { limit, .. } => one(*limit),
            Condition::Expression { for_ms, clear_for_ms, .. } => {
                one(Limit { for_ms: *for_ms, clear_for_ms: *clear_for_ms, ..YES_OR_NO })
            }
            Condition::Frozen { .. }
            | Condition::Absence { .. }
            | Condition::Composite { .. }
            | Condition::Neighbours { .. }
            | Condition::Sequence { .. }
            | Condition::Events { .. } => one(YES_OR_NO),
        }
    }

    /// The limit that people know of; none where the condition has none.
    pub(crate) fn known_limit(&self) -> Option<f64> {
        match self.rule.condition {
            Condition::Threshold { .. }
            | Condition::Levels { .. }
            | Condition::Rate { .. }
            | Condition::Delta { .. }
            | Condition::Window { .. } => Some(self.limit.bound.limit()),
            _ => None,
        }
    }
}

/// One rule and what it judges: of which an episode is one stretch of time.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) edition: Edition,
    pub(crate) device: DeviceId,
    /// None for a device that is silent altogether.
    pub(crate) metric: Option<Metric>,
    /// Where it is, if the registry cannot know: for the pseudo device of an area.
    pub(crate) area: Option<AreaCode>,
}

impl Subject {
    /// The id of the episode that began at `started_at`.
    pub(crate) fn episode(&self, started_at: Timestamp) -> AlertId {
        let Edition { rule, version, .. } = &self.edition;
        AlertId::of_episode(&rule.id, version, &self.device, self.metric.as_ref(), started_at)
    }
}

/// An episode began or ended.
#[derive(Clone, Debug)]
pub(crate) enum Transition {
    /// The condition holds.
    Raise {
        subject: Subject,
        started_at: Timestamp,
        event_time: Timestamp,
        value: Option<f64>,
        late: bool,
        /// The episodes it is made of.
        members: Vec<AlertId>,
    },
    /// It is made of more episodes; all of them are given.
    Join { subject: Subject, started_at: Timestamp, members: Vec<AlertId> },
    /// It no longer holds.
    Clear {
        subject: Subject,
        started_at: Timestamp,
        ceased_at: Timestamp,
        event_time: Timestamp,
        value: Option<f64>,
    },
}

impl Transition {
    /// Whose episode it is about.
    pub(crate) fn subject(&self) -> &Subject {
        match self {
            Self::Raise { subject, .. }
            | Self::Join { subject, .. }
            | Self::Clear { subject, .. } => subject,
        }
    }

    /// When that episode began.
    pub(crate) fn started_at(&self) -> Timestamp {
        match self {
            Self::Raise { started_at, .. }
            | Self::Join { started_at, .. }
            | Self::Clear { started_at, .. } => *started_at,
        }
    }

    /// The id of that episode.
    pub(crate) fn episode(&self) -> AlertId {
        self.subject().episode(self.started_at())
    }
}
