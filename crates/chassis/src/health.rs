//! Whether the parts of this process can do their work, in words.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What each part last said of itself; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Health {
    /// Nothing said yet: not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// `part` works.
    pub fn well(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, None);
    }

    /// `part` does not work, and why.
    pub fn ill(&self, part: &'static str, why: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, Some(why.into()));
    }

    /// Whether `part` last said that it does not work; a part that said nothing is not ill.
    pub fn is_ill(&self, part: &str) -> bool {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.get(part).is_some_and(Option::is_some)
    }

    /// Every part with its trouble, if any.
    pub fn report(&self) -> BTreeMap<&'static str, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
