//! Pure: one rule first, then another (or the same), at a device farther down the same water or
//! road where the rule asks for it.
//!
//! What came first may be over when the other begins: a wave passes. It must have begun earlier,
//! by no more than the rule allows.

use sen_model::{DeviceId, Registry};

use super::parts::Part;
use super::stretch::{MOST_MEMBERS, Stretch};

/// Stations followed upstream, at most: a chain that is longer runs in a circle.
const MOST_STEPS: usize = 64;
/// The places of the two rules among the parts.
pub(super) const FIRST: usize = 0;
pub(super) const THEN: usize = 1;

/// What a sequence asks for.
pub(super) struct Order<'a> {
    pub(super) registry: &'a Registry,
    pub(super) within_ms: i64,
    pub(super) downstream: bool,
    /// Whether both rules are one: then every part counts for both.
    pub(super) is_one_rule: bool,
}

impl Order<'_> {
    /// When it holds, at the devices where it came then.
    pub(super) fn stretches(&self, parts: &[Part]) -> Vec<Stretch> {
        let then = parts.iter().filter(|part| self.is_one_rule || part.slot == THEN);
        let mut found: Vec<Stretch> = then.filter_map(|then| self.stretch(parts, then)).collect();
        found.sort_by(|a, b| (&a.device, a.from).cmp(&(&b.device, b.from)));
        let mut joined: Vec<Stretch> = Vec::with_capacity(found.len());
        for next in found {
            match joined.last_mut() {
                Some(last) if overlap(last, &next) => join(last, &next),
                _ => joined.push(next),
            }
        }
        joined
    }

    fn stretch(&self, parts: &[Part], then: &Part) -> Option<Stretch> {
        let upstream = self.downstream.then(|| upstream_of(self.registry, &then.device));
        let leads = |first: &&Part| {
            let ahead_ms = then.began.saturating_sub(first.began);
            (self.is_one_rule || first.slot == FIRST)
                && (1..=self.within_ms).contains(&ahead_ms)
                && upstream.as_ref().is_none_or(|upstream| upstream.contains(&&first.device))
                && !(self.is_one_rule && first.device == then.device)
        };
        let firsts: Vec<&Part> = parts.iter().filter(leads).collect();
        let known = firsts.iter().map(|first| first.raised).min()?;
        let from = then.raised.max(known);
        if then.cleared.is_some_and(|(cleared, _)| cleared <= from) {
            return None;
        }
        let completing = firsts.iter().copied().chain([then]).filter(|part| part.raised == from);
        let members = firsts.iter().copied().chain([then]).map(|part| part.id.clone());
        Some(Stretch {
            device: Some(then.device.clone()),
            from,
            began: then.began,
            until: then.cleared,
            members: members.take(MOST_MEMBERS).collect(),
            late: completing.into_iter().any(|part| part.late),
        })
    }
}

/// Several levels of a rule may hold at one device at the same time.
fn overlap(earlier: &Stretch, later: &Stretch) -> bool {
    let reaches = earlier.until.is_none_or(|(until, _)| later.from <= until);
    earlier.device == later.device && reaches
}

fn join(earlier: &mut Stretch, later: &Stretch) {
    later.members.iter().for_each(|id| earlier.take_in(id));
    earlier.until = earlier.until.zip(later.until).map(|(one, other)| one.max(other));
}

/// Every device upstream of one, the nearest first.
fn upstream_of<'a>(registry: &'a Registry, device: &DeviceId) -> Vec<&'a DeviceId> {
    let next = |id: &DeviceId| registry.device(id)?.relations.upstream.as_ref();
    let chain = std::iter::successors(next(device), |id| next(id));
    chain.take(MOST_STEPS).collect()
}
