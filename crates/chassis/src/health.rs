//! Whether the parts of this process, and those elsewhere that it is told of, can do their work, in
//! words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Parts, each with its trouble, if any.
pub type Report = BTreeMap<String, Option<String>>;

/// What each part last said of itself; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<Parts>>,
    speaker: Arc<Speaker>,
}

#[derive(Debug, Default)]
struct Parts {
    own: BTreeMap<String, BTreeMap<u64, Option<String>>>,
    elsewhere: Report,
    speakers: u64,
}

/// One who speaks for parts: what it said is forgotten when it is gone.
#[derive(Debug, Default)]
struct Speaker {
    number: u64,
    parts: Weak<Mutex<Parts>>,
}

impl Health {
    /// Nothing said yet: not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// For work that may end before the process does, or that is done several times over: what it
    /// says hides nothing that others say of the same part, and is forgotten with the last clone.
    pub fn for_a_while(&self) -> Self {
        let mut parts = self.parts();
        parts.speakers += 1;
        let speaker = Speaker { number: parts.speakers, parts: Arc::downgrade(&self.parts) };
        Self { parts: Arc::clone(&self.parts), speaker: Arc::new(speaker) }
    }

    /// `part` works.
    pub fn well(&self, part: &str) {
        self.say(part, None);
    }

    /// `part` does not work, and why.
    pub fn ill(&self, part: &str, why: impl Into<String>) {
        self.say(part, Some(why.into()));
    }

    fn say(&self, part: &str, said: Option<String>) {
        let mut parts = self.parts();
        parts.own.entry(part.to_owned()).or_default().insert(self.speaker.number, said);
    }

    /// What parts in other processes last said, in place of what was told before.
    pub fn told(&self, elsewhere: Report) {
        self.parts().elsewhere = elsewhere;
    }

    /// Whether `part` last said that it does not work, here or elsewhere; a part that said nothing
    /// is not ill.
    pub fn is_ill(&self, part: &str) -> bool {
        let parts = self.parts();
        let own = parts.own.get(part).into_iter().flat_map(BTreeMap::values);
        own.chain(parts.elsewhere.get(part)).any(Option::is_some)
    }

    /// Every part of this process with its trouble, if any.
    pub fn own_report(&self) -> Report {
        let trouble = |by: &BTreeMap<u64, Option<String>>| by.values().flatten().next().cloned();
        self.parts().own.iter().map(|(part, by)| (part.clone(), trouble(by))).collect()
    }

    /// Every part with its trouble, if any, here and elsewhere.
    pub fn report(&self) -> Report {
        let mut all = self.own_report();
        for (part, said) in &self.parts().elsewhere {
            let known = all.entry(part.clone()).or_default();
            *known = known.take().or_else(|| said.clone());
        }
        all
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        locked(&self.parts)
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        let Some(parts) = self.parts.upgrade() else { return };
        locked(&parts).own.retain(|_, by| {
            by.remove(&self.number);
            !by.is_empty()
        });
    }
}

fn locked(parts: &Mutex<Parts>) -> MutexGuard<'_, Parts> {
    parts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_ill_where_it_says_so_here_or_elsewhere() {
        let health = Health::new();
        health.well("store");
        health.told(Report::from([
            ("store".to_owned(), Some("full".to_owned())),
            ("ingest".to_owned(), None),
        ]));
        assert!(health.is_ill("store") && !health.is_ill("ingest") && !health.is_ill("alert"));
        assert_eq!(health.report()["store"].as_deref(), Some("full"));
        assert_eq!(health.own_report(), Report::from([("store".to_owned(), None)]));
        health.told(Report::new());
        assert!(!health.is_ill("store"), "what is gone is not ill");
    }

    #[test]
    fn what_was_said_for_a_while_is_forgotten_with_who_said_it() {
        let health = Health::new();
        let (first, second) = (health.for_a_while(), health.for_a_while());
        first.ill("archive", "away");
        second.well("archive");
        assert!(health.is_ill("archive"), "one who is well hides nobody's trouble");
        assert_eq!(health.own_report()["archive"].as_deref(), Some("away"));
        let again = first.clone();
        drop(first);
        assert!(health.is_ill("archive"), "there is one left who said so");
        drop(again);
        assert_eq!(health.own_report(), Report::from([("archive".to_owned(), None)]));
        drop(second);
        assert_eq!(health.own_report(), Report::new());
        health.well("archive");
        assert_eq!(health.report(), Report::from([("archive".to_owned(), None)]));
    }
}
