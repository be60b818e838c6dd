//! Pure: rules over readings without a desk, a log or a clock: to measure what judging costs.

use std::sync::Arc;

use sen_model::{ReadingBatch, Registry, Rule, Timestamp};

use crate::engine::{Engine, Timing};
use crate::memory::Memory;
use crate::transition::Transition;

/// The engine by itself.
pub struct Rehearsal {
    engine: Engine,
    transitions: Vec<Transition>,
}

impl Rehearsal {
    /// Nothing was heard so far.
    pub fn new(rules: &[Rule], registry: Arc<Registry>, now: Timestamp) -> Self {
        let timing = Timing { late_after_ms: 300_000, wait_ms: 0 };
        let engine = Engine::new(rules, registry, timing, Memory::default(), now);
        Self { engine, transitions: Vec::new() }
    }

    /// Judges a packet; gives how many episodes began or ended.
    pub fn judge(&mut self, batch: &ReadingBatch) -> usize {
        self.transitions.clear();
        self.engine.judge(batch, &mut self.transitions);
        self.transitions.len()
    }

    /// How often a rule looked at a value so far.
    pub fn evaluations(&self) -> u64 {
        self.engine.counts().evaluations
    }
}
