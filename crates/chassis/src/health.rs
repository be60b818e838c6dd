//! Whether the parts of this process, and those elsewhere that it is told of, can do their work, in
//! words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts, each with its trouble, if any.
pub type Report = BTreeMap<String, Option<String>>;

/// What each part last said of itself; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    own: BTreeMap<&'static str, Option<String>>,
    elsewhere: Report,
}

impl Health {
    /// Nothing said yet: not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// `part` works.
    pub fn well(&self, part: &'static str) {
        self.parts().own.insert(part, None);
    }

    /// `part` does not work, and why.
    pub fn ill(&self, part: &'static str, why: impl Into<String>) {
        self.parts().own.insert(part, Some(why.into()));
    }

    /// What parts in other processes last said, in place of what was told before.
    pub fn told(&self, elsewhere: Report) {
        self.parts().elsewhere = elsewhere;
    }

    /// Whether `part` last said that it does not work, here or elsewhere; a part that said nothing
    /// is not ill.
    pub fn is_ill(&self, part: &str) -> bool {
        let parts = self.parts();
        let (own, elsewhere) = (parts.own.get(part), parts.elsewhere.get(part));
        [own, elsewhere].into_iter().flatten().any(Option::is_some)
    }

    /// Every part of this process with its trouble, if any.
    pub fn own_report(&self) -> Report {
        self.parts().own.iter().map(|(part, said)| ((*part).to_owned(), said.clone())).collect()
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
}
