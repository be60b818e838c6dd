//! Pure: turns records of the alert log into the frames of one connection, with no hole between
//! them.
//!
//! What a screen is told of, by `alert`, by the range of a `skip`, or by where it began, covers
//! every offset exactly once and in order. Offsets it is not shown (outside its view, or damaged on
//! disk) become one `skip` for each run of them.

use std::sync::Arc;

use sen_model::AlertRecord;

use crate::view::View;
use crate::wire::FromServer;

/// The position of one connection in the alert log.
#[derive(Clone, Debug)]
pub struct Sequencer {
    view: View,
    /// The last offset the screen was told of.
    told: u64,
    /// The last offset that was looked at; those between the two are still to be skipped.
    passed: u64,
}

impl Sequencer {
    /// A connection whose screen knows of everything up to `told`.
    pub fn new(view: View, told: u64) -> Self {
        Self { view, told, passed: told }
    }

    /// Takes the record at `offset`; returns the frames to be sent, in order. Records at or below
    /// what was passed are ignored, so that no mistake of a reader can make the sequence go back.
    pub fn take(&mut self, offset: u64, record: &Arc<AlertRecord>) -> [Option<FromServer>; 2] {
        if offset <= self.passed {
            return [None, None];
        }
        if !self.view.shows(record) {
            self.passed = offset;
            return [None, None];
        }
        let skip = self.settle(offset - 1);
        let alert = FromServer::Alert { seq: offset, prev: self.told, record: Arc::clone(record) };
        self.told = offset;
        self.passed = offset;
        [skip, Some(alert)]
    }

    /// Ends a batch: nothing up to `read_to` is left to be read, so what was not shown is skipped
    /// now and the screen knows that it is up to date.
    pub fn settle(&mut self, read_to: u64) -> Option<FromServer> {
        self.passed = self.passed.max(read_to);
        if self.passed == self.told {
            return None;
        }
        let skip = FromServer::Skip { prev: self.told, to: self.passed };
        self.told = self.passed;
        Some(skip)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use sen_model::Field;

    use super::*;
    use crate::sample;

    /// A screen as `docs/live-protocol.md` wants it, which says no as soon as a promise is broken.
    #[derive(Default)]
    struct Screen {
        last: u64,
        shown: BTreeMap<u64, u32>,
    }

    impl Screen {
        fn apply(&mut self, frame: &FromServer) {
            match frame {
                FromServer::Alert { seq, prev, record } => {
                    assert_eq!(*prev, self.last, "a hole");
                    assert_eq!(*seq, prev + 1, "an alert stands for one offset only");
                    self.shown.insert(*seq, record.rev);
                    self.last = *seq;
                }
                FromServer::Skip { prev, to } => {
                    assert_eq!(*prev, self.last, "a hole");
                    assert!(to > prev, "a skip goes forward");
                    self.last = *to;
                }
                other => panic!("{other:?} is not of the sequencer"),
            }
        }
    }

    /// What one offset of the log may hold.
    #[derive(Clone, Debug)]
    enum Stored {
        Record(Field),
        Damaged,
    }

    fn log() -> impl Strategy<Value = Vec<Stored>> {
        let stored = prop_oneof![
            3 => Just(Stored::Record(Field::Environment)),
            3 => Just(Stored::Record(Field::Transport)),
            1 => Just(Stored::Damaged),
        ];
        proptest::collection::vec(stored, 0..40)
    }

    proptest! {
        /// W2, W3, W10 and the server's half of W4, over any log, any batches, any reconnects.
        #[test]
        fn covers_every_offset_once(
            log in log(),
            batches in proptest::collection::vec((1usize..9, any::<bool>()), 0..60),
            view in prop_oneof![Just(View::All), Just(View::Of(Field::Environment))],
        ) {
            let mut screen = Screen::default();
            let mut sequencer = Sequencer::new(view, 0);
            let mut next = 1usize;
            for (size, reconnects) in batches {
                if reconnects {
                    // Whatever was in flight is lost; the screen resumes from what it knows.
                    sequencer = Sequencer::new(view, screen.last);
                    next = screen.last as usize + 1;
                }
                let end = (next + size).min(log.len() + 1);
                for offset in next..end {
                    if let Stored::Record(field) = log[offset - 1] {
                        let record = Arc::new(sample::alert("a", 1, field));
                        let frames = sequencer.take(offset as u64, &record);
                        frames.iter().flatten().for_each(|frame| screen.apply(frame));
                    }
                }
                // The connection may be cut before the batch is settled, so settle only sometimes.
                if size % 3 != 0 {
                    sequencer.settle(end as u64 - 1).iter().for_each(|frame| screen.apply(frame));
                }
                next = end;
            }
            for offset in next..=log.len() {
                if let Stored::Record(field) = log[offset - 1] {
                    let record = Arc::new(sample::alert("a", 1, field));
                    let frames = sequencer.take(offset as u64, &record);
                    frames.iter().flatten().for_each(|frame| screen.apply(frame));
                }
            }
            sequencer.settle(log.len() as u64).iter().for_each(|frame| screen.apply(frame));
            prop_assert_eq!(screen.last, log.len() as u64);
            let wanted: Vec<u64> = (1..=log.len())
                .filter(|at| match log[at - 1] {
                    Stored::Record(field) => view.admits(Some(field)),
                    Stored::Damaged => false,
                })
                .map(|at| at as u64)
                .collect();
            prop_assert_eq!(screen.shown.into_keys().collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn a_reader_that_goes_back_changes_nothing() {
        let record = Arc::new(sample::alert("a", 1, Field::Environment));
        let mut sequencer = Sequencer::new(View::All, 5);
        assert_eq!(sequencer.take(5, &record), [None, None]);
        assert!(sequencer.take(6, &record)[1].is_some());
        assert_eq!(sequencer.take(6, &record), [None, None]);
        assert_eq!(sequencer.settle(3), None);
    }
}
