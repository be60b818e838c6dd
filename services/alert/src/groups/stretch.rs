//! Pure: when a group holds, as a function of its parts alone: of when they held, and not of the
//! order in which that became known.

use sen_model::{AlertId, DeviceId};

use super::parts::Part;

/// Members a group names, at most: a record must fit into the log.
pub(super) const MOST_MEMBERS: usize = 100;

/// One stretch of event time over which a group holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stretch {
    /// What it is about, where the scope does not say.
    pub(super) device: Option<DeviceId>,
    /// It holds from here: enough parts were raised.
    pub(super) from: i64,
    /// When the condition of the one that made it enough began.
    pub(super) began: i64,
    /// Until when it holds, and when the condition of the part it then lacked had ceased.
    pub(super) until: Option<(i64, i64)>,
    /// The parts, in order of their raise.
    pub(super) members: Vec<AlertId>,
    /// Whether a part that made it enough came late.
    pub(super) late: bool,
}

impl Stretch {
    pub(super) fn take_in(&mut self, id: &AlertId) {
        if self.members.len() < MOST_MEMBERS && !self.members.contains(id) {
            self.members.push(id.clone());
        }
    }

    /// Ends it for want of these parts. A part whose condition had ceased before the last one's
    /// began leaves nothing between: then it ends when that part was cleared.
    pub(super) fn end(&mut self, at: i64, ended: impl Iterator<Item = i64>) {
        let ceased = ended.max().filter(|ceased| (self.began + 1..=at).contains(ceased));
        self.until = Some((at, ceased.unwrap_or(at)));
    }
}

/// A moment at which parts begin or end to hold: all of it is taken in before anything is judged,
/// so that nothing depends on the order within one millisecond.
pub(super) struct Moment {
    pub(super) at: i64,
    pub(super) begin: Vec<usize>,
    pub(super) end: Vec<usize>,
}

impl Moment {
    /// Every such moment, in order; numbers are places in `parts`.
    pub(super) fn all(parts: &[Part]) -> Vec<Self> {
        let begins = parts.iter().enumerate().map(|(n, part)| (part.raised, true, n));
        let ends = parts.iter().enumerate();
        let ends = ends.filter_map(|(n, part)| Some((part.cleared?.0, false, n)));
        let mut edges: Vec<(i64, bool, usize)> = begins.chain(ends).collect();
        edges.sort_unstable();
        let moment = |edges: &[(i64, bool, usize)]| {
            let of = |begin: bool| {
                edges.iter().filter(move |edge| edge.1 == begin).map(|edge| edge.2).collect()
            };
            Some(Self { at: edges.first()?.0, begin: of(true), end: of(false) })
        };
        edges.chunk_by(|a, b| a.0 == b.0).filter_map(moment).collect()
    }

    /// When the conditions of the parts that end here had ceased.
    pub(super) fn ceased<'a>(&'a self, parts: &'a [Part]) -> impl Iterator<Item = i64> + 'a {
        self.end.iter().filter_map(|n| parts[*n].cleared).map(|(_, ceased)| ceased)
    }

    /// Whether what begins here came late.
    pub(super) fn is_late(&self, parts: &[Part]) -> bool {
        self.begin.iter().any(|n| parts[*n].late)
    }
}

/// When at least `least` of the parts hold: of its rules, or of the devices of its one rule.
pub(super) fn counted(parts: &[Part], least: usize, by_device: bool) -> Vec<Stretch> {
    let slots = slots(parts, by_device);
    let mut holding: Vec<Vec<usize>> = vec![Vec::new(); parts.len().max(1 + most(&slots))];
    let mut count = 0;
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut is_on = false;
    for moment in Moment::all(parts) {
        for n in &moment.begin {
            let slot = &mut holding[slots[*n]];
            count += usize::from(slot.is_empty());
            slot.push(*n);
        }
        for n in &moment.end {
            let slot = &mut holding[slots[*n]];
            slot.retain(|other| other != n);
            count -= usize::from(slot.is_empty());
        }
        match (is_on, count >= least, stretches.last_mut()) {
            (false, true, last) => {
                let after = last.and_then(|last| last.until).map(|(until, _)| until);
                stretches.push(begun(parts, &holding, least, &moment, after));
            }
            (true, false, Some(last)) => last.end(moment.at, moment.ceased(parts)),
            (true, true, Some(last)) => {
                moment.begin.iter().for_each(|n| last.take_in(&parts[*n].id));
            }
            _ => {}
        }
        is_on = count >= least;
    }
    stretches
}

/// The number of what each part counts for.
fn slots(parts: &[Part], by_device: bool) -> Vec<usize> {
    let mut devices: Vec<&DeviceId> = parts.iter().map(|part| &part.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let slot = |part: &Part| match by_device {
        true => devices.binary_search(&&part.device).unwrap_or_default(),
        false => part.slot,
    };
    parts.iter().map(slot).collect()
}

fn most(slots: &[usize]) -> usize {
    slots.iter().copied().max().unwrap_or_default()
}

fn begun(
    parts: &[Part],
    holding: &[Vec<usize>],
    least: usize,
    moment: &Moment,
    after: Option<i64>,
) -> Stretch {
    let first = |slot: &Vec<usize>| slot.iter().map(|n| parts[*n].began).min();
    let mut began: Vec<i64> = holding.iter().filter_map(first).collect();
    began.sort_unstable();
    let enough = began.get(least.saturating_sub(1)).copied().unwrap_or(moment.at);
    let mut members: Vec<usize> = holding.iter().flatten().copied().collect();
    members.sort_unstable();
    members.truncate(MOST_MEMBERS);
    Stretch {
        device: None,
        from: moment.at,
        // Ids are made of it: two stretches never begin at the same time.
        began: enough.max(after.unwrap_or(i64::MIN)),
        until: None,
        members: members.into_iter().map(|n| parts[n].id.clone()).collect(),
        late: moment.is_late(parts),
    }
}
