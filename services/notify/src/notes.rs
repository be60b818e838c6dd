//! The on-call log as it stands: stand-ins, absences, browsers, used links. Pure: questions in,
//! records or refusals out; time is an input.

use std::collections::{BTreeMap, BTreeSet};

use sen_model::time::DAY_MS;
use sen_model::{OnCallAnswer, OnCallEntry, OnCallRecord, Text, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::channel::push::are_keys;
use crate::egress::check_url;
use crate::letter::Subscription;
use crate::settings::{OnCall, Push};

/// Stand-ins and absences that stand at a time, at most.
const MOST_NOTES: usize = 2_000;
/// Browsers of one person; the oldest makes room, and one that took a message only for another such.
const MOST_BROWSERS: usize = 10;
/// Longest name and reason, in characters.
const NAME_CHARS: usize = 200;
const REASON_CHARS: usize = 1_000;
/// The longest that a stand-in or an absence may last.
const LONGEST_MS: i64 = 400 * DAY_MS;
/// How long a link works.
pub(crate) const LINK_MS: i64 = DAY_MS;
/// How long what has ended is remembered, for callers who repeat themselves.
const MEMORY_MS: i64 = DAY_MS;

/// The newest record of each entry that stands or has ended lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// By id.
    entries: BTreeMap<String, OnCallRecord>,
    /// The browsers that have taken a message: these are no invention.
    proven: BTreeSet<String>,
}

/// What a question comes to.
#[derive(Debug, PartialEq)]
pub(crate) enum Decision {
    /// Nothing changes.
    Answer(OnCallAnswer),
    /// These are to be written; the first one is the answer.
    Write(Vec<OnCallRecord>),
}

fn refused(vi: &str, en: &str) -> Decision {
    Decision::Answer(OnCallAnswer::Refused(Text::new(vi, en)))
}

/// The id of what follows from a text: the same text twice is one entry.
fn id_of(kind: &str, text: &str) -> String {
    let digest = Sha256::digest(text);
    let hex: String = digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}-{hex}")
}

/// The id of the entry that says that a delivery's link was used.
pub(crate) fn link_id(delivery: &str) -> String {
    format!("link-{delivery}")
}

impl Notes {
    /// Takes the next record of the topic.
    pub(crate) fn fold(&mut self, record: &OnCallRecord) {
        if self.entries.get(&record.id).is_none_or(|known| known.rev < record.rev) {
            self.entries.insert(record.id.clone(), record.clone());
        }
    }

    /// Forgets what ended a while ago.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.entries.retain(|_, record| {
            let until = match &record.entry {
                OnCallEntry::Override { until, .. } | OnCallEntry::Absence { until, .. } => *until,
                OnCallEntry::Redeemed { .. } => record.at.plus_ms(LINK_MS),
                OnCallEntry::Push { .. } => Timestamp::from_millis(i64::MAX),
            };
            let ended = if record.open { until } else { record.at };
            ended.plus_ms(MEMORY_MS) > now
        });
        self.proven.retain(|id| self.entries.get(id).is_some_and(|record| record.open));
    }

    /// A browser has taken a message.
    pub(crate) fn took(&mut self, entry: &str) {
        if self.entries.contains_key(entry) && !self.proven.contains(entry) {
            self.proven.insert(entry.to_owned());
        }
    }

    /// What stands, by id.
    pub(crate) fn open(&self) -> BTreeMap<String, OnCallRecord> {
        let open = self.entries.iter().filter(|(_, record)| record.open);
        open.map(|(id, record)| (id.clone(), record.clone())).collect()
    }

    /// The browsers of a person, the newest first.
    pub(crate) fn browsers(&self, of: &str) -> Vec<Subscription> {
        let mut records: Vec<&OnCallRecord> = self.entries.values().filter(|r| r.open).collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.at));
        let browser = |record: &OnCallRecord| match &record.entry {
            OnCallEntry::Push { person, endpoint, p256dh, auth } if person == of => {
                Some(Subscription {
                    entry: record.id.clone(),
                    endpoint: endpoint.clone(),
                    p256dh: p256dh.clone(),
                    auth: auth.clone(),
                })
            }
            _ => None,
        };
        records.into_iter().filter_map(browser).collect()
    }

    /// Whether the link of a delivery was used.
    pub(crate) fn is_redeemed(&self, delivery: &str) -> bool {
        self.entries.contains_key(&link_id(delivery))
    }

    /// The record by which an entry ends.
    pub(crate) fn ended(&self, id: &str, by: &str, at: Timestamp) -> Option<OnCallRecord> {
        let known = self.entries.get(id).filter(|known| known.open)?;
        let (rev, by) = (known.rev + 1, by.to_owned());
        Some(OnCallRecord { rev, open: false, by, at, ..known.clone() })
    }

    /// Somebody wants something noted. The same key twice is noted once.
    pub(crate) fn change(
        &self,
        on: &OnCall,
        key: &str,
        by: String,
        at: Timestamp,
        entry: OnCallEntry,
    ) -> Decision {
        if let Err(refusal) = check(on, &by, at, &entry) {
            return refusal;
        }
        if let OnCallEntry::Push { person, endpoint, .. } = &entry {
            return self.subscribe(person, endpoint, by, at, &entry);
        }
        let id = id_of("note", key);
        if let Some(known) = self.entries.get(&id) {
            if known.entry == entry {
                return Decision::Answer(OnCallAnswer::Changed(Box::new(known.clone())));
            }
            return refused(
                "Khóa này đã dùng cho một thay đổi khác.",
                "This key was used for another change.",
            );
        }
        let stands = |record: &&OnCallRecord| {
            record.open
                && !matches!(record.entry, OnCallEntry::Push { .. } | OnCallEntry::Redeemed { .. })
        };
        if self.entries.values().filter(stands).count() >= MOST_NOTES {
            return refused(
                "Đã có quá nhiều thay đổi lịch trực: hãy hủy bớt những mục cũ.",
                "There are too many changes of the rota: cancel some that are no longer needed.",
            );
        }
        Decision::Write(vec![OnCallRecord { id, rev: 1, open: true, by, at, entry }])
    }

    /// A browser is known by its endpoint: it may come again, with new keys or another person.
    fn subscribe(
        &self,
        person: &str,
        endpoint: &str,
        by: String,
        at: Timestamp,
        entry: &OnCallEntry,
    ) -> Decision {
        let id = id_of("push", endpoint);
        let known = self.entries.get(&id);
        if let Some(known) = known.filter(|known| known.open && known.entry == *entry) {
            return Decision::Answer(OnCallAnswer::Changed(Box::new(known.clone())));
        }
        let rev = known.map_or(0, |known| known.rev) + 1;
        let mut records =
            vec![OnCallRecord { id: id.clone(), rev, open: true, by, at, entry: entry.clone() }];
        let mut others = self.browsers(person);
        others.retain(|browser| browser.entry != id);
        let is_proven = |browser: &Subscription| self.proven.contains(&browser.entry);
        others.sort_by_key(|browser| !is_proven(browser));
        for (nth, browser) in others.iter().enumerate() {
            // Anybody can invent a browser: it does not take the place of one that works.
            let places = if is_proven(browser) { MOST_BROWSERS } else { MOST_BROWSERS - 1 };
            if nth >= places {
                records.extend(self.ended(&browser.entry, "sen", at));
            }
        }
        Decision::Write(records)
    }

    /// Somebody takes an entry back.
    pub(crate) fn cancel(&self, on: &OnCall, id: &str, by: &str, at: Timestamp) -> Decision {
        if on.entries.iter().any(|entry| entry.id == id) {
            return refused(
                "Mục này nằm trong oncall.toml: hãy sửa ở đó.",
                "This entry stands in oncall.toml: change it there.",
            );
        }
        match self.entries.get(id) {
            Some(known) if matches!(known.entry, OnCallEntry::Redeemed { .. }) => {
                Decision::Answer(OnCallAnswer::Unknown)
            }
            None => Decision::Answer(OnCallAnswer::Unknown),
            Some(known) => match self.ended(id, by, at) {
                Some(record) => Decision::Write(vec![record]),
                // It was taken back before.
                None => Decision::Answer(OnCallAnswer::Changed(Box::new(known.clone()))),
            },
        }
    }
}

fn check(on: &OnCall, by: &str, at: Timestamp, entry: &OnCallEntry) -> Result<(), Decision> {
    let is_name = |name: &str| !name.trim().is_empty() && name.chars().count() <= NAME_CHARS;
    if !is_name(by) {
        return Err(refused("Hãy cho biết ai yêu cầu.", "Say who asks."));
    }
    let person = match entry {
        OnCallEntry::Override { person, .. }
        | OnCallEntry::Absence { person, .. }
        | OnCallEntry::Push { person, .. } => person,
        OnCallEntry::Redeemed { .. } => {
            return Err(refused("Không thể tự ghi mục này.", "This cannot be noted by hand."));
        }
    };
    if !on.people.contains_key(person) {
        return Err(refused("Không có người này.", "There is no such person."));
    }
    match entry {
        OnCallEntry::Override { team, from, until, .. } => {
            if !on.teams.iter().any(|known| known.id == *team) {
                return Err(refused("Không có nhóm này.", "There is no such team."));
            }
            check_times(*from, *until, at)
        }
        OnCallEntry::Absence { from, until, reason, .. } => {
            if reason.chars().count() > REASON_CHARS {
                return Err(refused("Lý do quá dài.", "The reason is too long."));
            }
            check_times(*from, *until, at)
        }
        OnCallEntry::Push { endpoint, p256dh, auth, .. } => {
            let is_right =
                |push: &Push| check_url(endpoint, &push.allow).is_ok() && are_keys(p256dh, auth);
            if on.push.as_ref().is_some_and(is_right) {
                return Ok(());
            }
            Err(refused(
                "Không nhận được đăng ký thông báo này.",
                "This push subscription cannot be used.",
            ))
        }
        OnCallEntry::Redeemed { .. } => Ok(()),
    }
}

fn check_times(from: Timestamp, until: Timestamp, now: Timestamp) -> Result<(), Decision> {
    if from >= until || until <= now || until.since_ms(from) > LONGEST_MS {
        return Err(refused(
            "Thời gian không hợp lệ: phải kết thúc sau khi bắt đầu, ở tương lai, trong vòng 400 ngày.",
            "These times do not do: it must end after its beginning, in the future, within 400 days.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
