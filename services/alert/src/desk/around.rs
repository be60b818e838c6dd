//! Pure: what the desk knows beside its logs: devices and what they depend on, and the rules in
//! force.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sen_model::{AlertRecord, Condition, Device, DeviceId, Registry, Rule, RuleId};

/// Devices a chain of dependencies is followed through, at most.
const MOST_ABOVE: usize = 16;

/// The surroundings of the desk.
#[derive(Debug, Default)]
pub(crate) struct Around {
    pub(super) registry: Arc<Registry>,
    rules: HashMap<RuleId, Rule>,
    /// What a device depends on, the nearest first.
    above: HashMap<DeviceId, Vec<DeviceId>>,
    /// What depends on a device.
    below: HashMap<DeviceId, Vec<DeviceId>>,
    /// How long an alert may be shelved, in milliseconds.
    pub(super) shelve_most_ms: i64,
}

impl Around {
    /// The devices of a registry, without rules so far.
    pub(crate) fn new(registry: Arc<Registry>, shelve_most_ms: i64) -> Self {
        let chains = registry.devices().filter(|device| !device.relations.is_empty());
        let reached: HashMap<DeviceId, Vec<DeviceId>> =
            chains.map(|device| (device.id.clone(), reach(device, &registry))).collect();
        // Two that depend on each other explain nothing: else each would hide the other.
        let is_mutual = |upper: &DeviceId, lower: &DeviceId| {
            upper == lower || reached.get(upper).is_some_and(|above| above.contains(lower))
        };
        let mut above = reached.clone();
        let mut below: HashMap<DeviceId, Vec<DeviceId>> = HashMap::new();
        for (lower, uppers) in &mut above {
            uppers.retain(|upper| !is_mutual(upper, lower));
            for upper in uppers {
                below.entry(upper.clone()).or_default().push(lower.clone());
            }
        }
        below.values_mut().for_each(|lowers| lowers.sort());
        Self { registry, rules: HashMap::new(), above, below, shelve_most_ms }
    }

    /// Other rules are in force.
    pub(super) fn take_rules(&mut self, rules: &[Rule]) {
        self.rules = rules.iter().map(|rule| (rule.id.clone(), rule.clone())).collect();
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values()
    }

    /// The rule of an alert, in the edition in force.
    pub(super) fn rule(&self, alert: &AlertRecord) -> Option<&Rule> {
        self.rules.get(&alert.rule)
    }

    /// Whether a rule is in force.
    pub(super) fn has_rule(&self, id: &RuleId) -> bool {
        self.rules.contains_key(id)
    }

    /// What a device depends on, the nearest first.
    pub(super) fn above(&self, device: &DeviceId) -> &[DeviceId] {
        self.above.get(device).map_or(&[], Vec::as_slice)
    }

    /// What depends on a device.
    pub(super) fn below(&self, device: &DeviceId) -> &[DeviceId] {
        self.below.get(device).map_or(&[], Vec::as_slice)
    }

    /// Whether an alert says that something is silent.
    pub(super) fn is_absence(&self, alert: &AlertRecord) -> bool {
        let condition = self.rule(alert).map(|rule| &rule.condition);
        matches!(condition, Some(Condition::Absence { .. }))
    }

    /// Whether an alert counts others that hold together.
    pub(super) fn is_composite(&self, alert: &AlertRecord) -> bool {
        let condition = self.rule(alert).map(|rule| &rule.condition);
        matches!(condition, Some(Condition::Composite { .. }))
    }

    /// Whether an alert counts happenings, which nobody measures the end of.
    pub(super) fn is_of_events(&self, alert: &AlertRecord) -> bool {
        let condition = self.rule(alert).map(|rule| &rule.condition);
        matches!(condition, Some(Condition::Events { .. }))
    }

    /// Whether an alert about a device explains the silence of what depends on that device.
    pub(super) fn explains(&self, alert: &AlertRecord) -> bool {
        self.is_absence(alert) || self.rule(alert).is_some_and(|rule| rule.explains)
    }

    /// The stage of the province an alert speaks for.
    pub(super) fn stage(&self, alert: &AlertRecord) -> Option<u8> {
        self.rule(alert)?.stage
    }
}

/// Everything a device depends on, through whatever lies between, the nearest first.
fn reach(device: &Device, registry: &Registry) -> Vec<DeviceId> {
    let mut reached: Vec<DeviceId> = Vec::new();
    let mut seen: HashSet<&DeviceId> = HashSet::from([&device.id]);
    let mut edge: Vec<&DeviceId> = device.relations.depends_on().collect();
    while !edge.is_empty() && reached.len() < MOST_ABOVE {
        let mut further = Vec::new();
        for id in edge {
            if !seen.insert(id) {
                continue;
            }
            reached.push(id.clone());
            further.extend(registry.device(id).into_iter().flat_map(|d| d.relations.depends_on()));
        }
        edge = further;
    }
    reached
}
