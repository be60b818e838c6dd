//! Pure: the province's stage, 1 to 5 after the levels of disaster risk. A person sets it; the rules
//! only advise: the worst stage that an open alert speaks for, as long as people are shown it.

use std::collections::BTreeSet;

use sen_model::{AlertId, AlertRecord, Entry, EntryId, Timestamp};

use super::Desk;
use super::around::Around;
use super::entries::SEN;
use crate::records::Records;

/// The id of the entry that a person sets.
pub(super) const STAGE: &str = "stage";
/// The id of the entry of the advice.
const ADVICE: &str = "stage-advice";
/// The stages there are.
pub(super) const STAGES: std::ops::RangeInclusive<u8> = 1..=5;
/// Alerts an advice names, at most.
const MOST_NAMED: usize = 20;

/// The alerts that speak for a stage, the highest last.
#[derive(Debug, Default)]
pub(super) struct Speaking(BTreeSet<(u8, Timestamp, AlertId)>);

impl Speaking {
    /// An alert is now as `new` says; before it was as `old` says.
    pub(super) fn change(&mut self, around: &Around, old: Option<&AlertRecord>, new: &AlertRecord) {
        let Some(stage) = around.stage(new) else { return };
        if let Some(old) = old {
            self.0.remove(&(stage, old.started_at, old.id.clone()));
        }
        if new.holds() && new.is_shown() {
            self.0.insert((stage, new.started_at, new.id.clone()));
        }
    }

    /// The worst stage they speak for, and those that do.
    fn worst(&self) -> Option<(u8, Vec<AlertId>)> {
        let (worst, _, _) = self.0.last()?;
        let named = self.0.iter().filter(|(stage, _, _)| stage == worst).take(MOST_NAMED);
        Some((*worst, named.map(|(_, _, id)| id.clone()).collect()))
    }
}

impl Desk {
    /// Tells the advice if it is for another stage than before; takes it back if there is none.
    pub(super) fn advise(&mut self, now: Timestamp, out: &mut Records) {
        let id = EntryId::from_text(ADVICE);
        let given = self.entries.get(&id).filter(|record| record.open);
        let stage_given = given.and_then(|record| match record.entry {
            Entry::StageAdvice { stage, .. } => Some(stage),
            _ => None,
        });
        let worst = self.speaking.worst();
        if worst.as_ref().map(|(stage, _)| *stage) == stage_given {
            return;
        }
        let record = match (worst, given) {
            (Some((stage, alerts)), _) => {
                let advice = Entry::StageAdvice { stage, alerts };
                self.entries.next(id, true, SEN, now, advice)
            }
            (None, Some(given)) => self.entries.next(id, false, SEN, now, given.entry.clone()),
            (None, None) => return,
        };
        self.enter(record, out);
    }
}
