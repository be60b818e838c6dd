//! Which lines to send next, so that a line the server refuses costs that line only. Pure: verdicts
//! in, ranges out.
//!
//! Lines go in order. When a request is refused, the first culprit in it is looked for by halves:
//! a half that is taken is written and done with, so that each culprit costs at most log₂(batch)
//! requests beside the refused one, and everything before it is written when it is found.

use std::ops::Range;

use crate::batch::{BATCH_BYTES, BATCH_ROWS};
use crate::line::Refusal;
use crate::row::{Dialect, Row};

/// The lines of some rows, end to end.
pub(crate) struct Lines {
    text: String,
    /// The index of each line's row, and where the line ends.
    rows: Vec<(usize, usize)>,
}

impl Lines {
    /// Encodes what can be encoded; the rest with its reasons.
    pub(crate) fn of(rows: &[Row], dialect: Dialect) -> (Self, Vec<(usize, Refusal)>) {
        let mut lines = Self { text: String::new(), rows: Vec::with_capacity(rows.len()) };
        let mut refused = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            match row.encode(dialect, &mut lines.text) {
                Ok(()) => lines.rows.push((index, lines.text.len())),
                Err(refusal) => refused.push((index, refusal)),
            }
        }
        (lines, refused)
    }

    /// The text of some lines.
    pub(crate) fn text(&self, range: &Range<usize>) -> &str {
        &self.text[self.begin(range.start)..self.begin(range.end)]
    }

    /// The row of a line.
    pub(crate) fn row(&self, line: usize) -> usize {
        self.rows[line].0
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn begin(&self, line: usize) -> usize {
        line.checked_sub(1).map_or(0, |before| self.rows[before].1)
    }

    /// How many lines from `start` fit one request: at least one.
    fn fitting(&self, start: usize, most: usize) -> usize {
        let bytes_before = self.begin(start);
        let rows = self.rows[start..].iter().take(most);
        let fitting = rows.take_while(|(_, end)| end - bytes_before <= BATCH_BYTES).count();
        fitting.max(1)
    }
}

/// What the server said to a range.
pub(crate) enum Verdict {
    /// All of it is written.
    Taken,
    /// At least one line is not wanted, for this reason.
    Refused(String),
    /// The request is too large for the server.
    TooLong,
}

/// Where the writing has come to.
pub(crate) struct Search {
    /// Every line before is written or refused.
    next: usize,
    /// The end of a range that was refused, and why; it is at least two lines on.
    suspect: Option<(usize, String)>,
    /// Most lines in a request.
    most: usize,
    /// The culprits: line and reason.
    pub(crate) refused: Vec<(usize, String)>,
}

impl Search {
    pub(crate) fn new() -> Self {
        Self { next: 0, suspect: None, most: BATCH_ROWS, refused: Vec::new() }
    }

    /// The lines to send now; none when all are done.
    pub(crate) fn next(&self, lines: &Lines) -> Option<Range<usize>> {
        if self.next >= lines.len() {
            return None;
        }
        let length = match &self.suspect {
            Some((end, _)) => (end - self.next) / 2,
            None => lines.fitting(self.next, self.most),
        };
        Some(self.next..self.next + length)
    }

    /// Takes the verdict on the range that [`next`](Self::next) gave.
    pub(crate) fn tell(&mut self, range: Range<usize>, verdict: Verdict) {
        match verdict {
            Verdict::Taken => self.next = range.end,
            Verdict::Refused(reason) => self.suspect = Some((range.end, reason)),
            Verdict::TooLong if range.len() == 1 => {
                self.suspect = Some((range.end, "the server takes no line of this length".into()));
            }
            Verdict::TooLong => {
                self.suspect = None;
                self.most = range.len() / 2;
            }
        }
        // A suspect range of one line is the culprit.
        if let Some((end, reason)) = self.suspect.take() {
            if end - self.next == 1 {
                self.refused.push((self.next, reason));
                self.next = end;
            } else if end > self.next {
                self.suspect = Some((end, reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn lines(count: usize) -> Lines {
        let text = "x\n".repeat(count);
        Lines { text, rows: (0..count).map(|line| (line, 2 * (line + 1))).collect() }
    }

    /// Writes to a server that refuses `culprits` and requests of more than `most` lines.
    fn write(
        lines: &Lines,
        culprits: &BTreeSet<usize>,
        most: usize,
    ) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut search, mut written, mut requests) = (Search::new(), Vec::new(), 0);
        while let Some(range) = search.next(lines) {
            requests += 1;
            let verdict = if range.len() > most {
                Verdict::TooLong
            } else if culprits.range(range.clone()).next().is_some() {
                Verdict::Refused("bad".into())
            } else {
                written.extend(range.clone());
                Verdict::Taken
            };
            search.tell(range, verdict);
        }
        (written, search.refused.into_iter().map(|(line, _)| line).collect(), requests)
    }

    proptest! {
        #[test]
        fn the_culprits_are_found_and_the_rest_is_written(
            count in 1..600_usize, culprits in prop::collection::btree_set(0..600_usize, 0..6), most in 1..700_usize,
        ) {
            let lines = lines(count);
            let culprits: BTreeSet<_> = culprits.into_iter().filter(|line| *line < count).collect();
            let (written, refused, requests) = write(&lines, &culprits, most);
            prop_assert_eq!(&refused, &culprits.iter().copied().collect::<Vec<_>>());
            let rest: Vec<_> = (0..count).filter(|line| !culprits.contains(line)).collect();
            prop_assert_eq!(written, rest);
            // Beside the requests it takes anyway: log₂(batch) and the refused one for each.
            let log = usize::BITS as usize - count.leading_zeros() as usize;
            if most >= count {
                prop_assert!(requests <= 1 + culprits.len() * (log + 2), "{requests}");
            }
        }
    }

    #[test]
    fn one_culprit_of_a_full_batch_costs_thirteen_requests() {
        let lines = lines(BATCH_ROWS);
        let most = (0..BATCH_ROWS).map(|bad| write(&lines, &[bad].into(), BATCH_ROWS).2).max();
        // The refused one, log₂(5000) = 12.3 to find it, the rest.
        assert!(most <= Some(1 + 13 + 1), "{most:?}");
    }

    #[test]
    fn requests_are_bounded_in_bytes_too() {
        let long = BATCH_BYTES / 2 + 1;
        let lines = Lines {
            text: "x".repeat(3 * long),
            rows: vec![(0, long), (1, 2 * long), (2, 3 * long)],
        };
        assert_eq!(Search::new().next(&lines), Some(0..1));
        assert_eq!(lines.fitting(1, 5), 1);
        assert_eq!(lines.text(&(1..2)).len(), long);
    }
}
