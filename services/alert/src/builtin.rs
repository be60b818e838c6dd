//! Pure: the rule that the centre brings along. It stands in no file and on no list.

use sen_model::{
    Bound, Condition, DeviceId, Field, Limit, Metric, Rule, RuleId, Selector, Severity, Standing,
    Text,
};

/// Its id, the device that beats, and what that measures.
pub(crate) const PROBE: &str = "sen-probe";
const BEAT: &str = "beat";

/// The dead man's rule: a device beats 1 and 0 in turn, so that this rule on trial raises and clears
/// with every beat. Its records prove the whole way from the wire to the log.
pub(crate) fn probe() -> Option<Rule> {
    let selector = Selector {
        devices: vec![DeviceId::new(PROBE).ok()?],
        metrics: vec![Metric::new(BEAT).ok()?],
        ..Selector::default()
    };
    let limit = Limit { bound: Bound::AtLeast(1.0), clear: None, for_ms: 0, clear_for_ms: 0 };
    let name = Text::new("Nhịp kiểm tra của trung tâm", "The centre's test beat");
    let (id, field) = (RuleId::new(PROBE).ok()?, Field::PublicServices);
    let condition = Condition::Threshold { limit };
    let rule = Rule::new(id, name, field, Severity::LOW, selector, condition);
    Some(Rule { standing: Standing::Shadow, ..rule })
}
