//! Pure: what commands were answered, by their keys, so that asking twice does a thing once.

use std::collections::{HashMap, VecDeque};

use sen_model::{CommandOutcome, Order};

/// Keys of commands whose answers are remembered.
pub(super) const MOST_ANSWERS: usize = 5_000;

/// What a key was used for, and what became of it.
#[derive(Debug)]
struct Answer {
    order: Order,
    outcome: CommandOutcome,
}

/// The last answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    by_key: HashMap<String, Answer>,
    /// Their keys, oldest first.
    keys: VecDeque<String>,
}

impl Answers {
    /// The answer a key got before; another order under the same key is refused.
    pub(super) fn earlier(&self, key: &str, order: &Order) -> Option<CommandOutcome> {
        let earlier = self.by_key.get(key)?;
        let is_same = earlier.order == *order;
        Some(if is_same { earlier.outcome.clone() } else { CommandOutcome::KeyReused })
    }

    /// Remembers an answer.
    pub(super) fn remember(&mut self, key: &str, order: Order, outcome: CommandOutcome) {
        self.keys.push_back(key.to_owned());
        self.by_key.insert(key.to_owned(), Answer { order, outcome });
        while self.keys.len() > MOST_ANSWERS {
            if let Some(oldest) = self.keys.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        debug_assert_eq!(self.keys.len(), self.by_key.len());
        self.keys.len()
    }
}
