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
/// How often an advice is told anew because other alerts speak for the same stage, at most.
const AGAIN_MS: i64 = 60_000;

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
    /// Tells the advice at once if it is for another stage than before, and after a while if other
    /// alerts speak for it; takes it back if there is none.
    pub(super) fn advise(&mut self, now: Timestamp, out: &mut Records) {
        let id = EntryId::from_text(ADVICE);
        let given = self.entries.get(&id).filter(|record| record.open);
        let told = given.and_then(|record| match &record.entry {
            Entry::StageAdvice { stage, alerts } => Some((*stage, alerts, record.at)),
            _ => None,
        });
        let worst = self.speaking.worst();
        let is_settled = match (&worst, told) {
            (None, None) => true,
            (Some((stage, alerts)), Some((before, named, at))) => {
                let is_early = now.since_ms(at).abs() < AGAIN_MS;
                *stage == before && (alerts == named || is_early)
            }
            _ => false,
        };
        if is_settled {
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
