//! Pure: stretches cut to the hours, days and seasons in which a rule is judged.

use sen_model::Timestamp;
use sen_model::condition::When;

use super::stretch::Stretch;
use crate::schedule::{covers, next_edge};

/// Edges of the schedule within one stretch, at most: more than a year of the busiest schedule.
/// What lasts longer is taken to go on as it was then.
const MOST_EDGES: usize = 4_000;

/// The parts of the stretches within the schedule, as far as event time has come.
pub(super) fn cut(stretches: Vec<Stretch>, when: &When, now: i64) -> Vec<Stretch> {
    stretches.into_iter().flat_map(|stretch| pieces(stretch, when, now)).collect()
}

fn pieces(stretch: Stretch, when: &When, now: i64) -> Vec<Stretch> {
    let time = Timestamp::from_millis;
    let end = stretch.until.map_or(now.saturating_add(1), |(until, _)| until);
    let edges = std::iter::successors(Some(stretch.from), |at| {
        Some(next_edge(when, time(*at)).as_millis()).filter(|edge| *edge < end)
    });
    let mut pieces: Vec<Stretch> = Vec::new();
    let mut is_on = false;
    for edge in edges.take(MOST_EDGES) {
        let is_covered = covers(when, time(edge));
        match (is_on, is_covered, pieces.last_mut()) {
            (false, true, _) if edge == stretch.from => pieces.push(stretch.clone()),
            (false, true, _) => {
                pieces.push(Stretch { from: edge, began: edge, late: false, ..stretch.clone() });
            }
            (true, false, Some(piece)) => piece.until = Some((edge, edge)),
            _ => {}
        }
        is_on = is_covered;
    }
    pieces
}
