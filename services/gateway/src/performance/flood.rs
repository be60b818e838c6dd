//! Pure: when more alerts came than a person can handle.
//!
//! A flood begins with the tenth new alert within ten minutes (ISA-18.2, EEMUA 191) and ends when
//! fewer than five came within the last ten.

use sen_model::Timestamp;
use sen_model::time::MINUTE_MS;

/// Over which time new alerts are counted, in milliseconds.
pub(super) const WINDOW_MS: i64 = 10 * MINUTE_MS;
/// As many begin a flood.
const BEGINS_AT: usize = 10;
/// Fewer end it.
const ENDS_BELOW: usize = 5;

/// The floods among alerts shown at these times, in order; one that goes on ends at `until`.
pub(super) fn floods(shown: &[Timestamp], until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    // Only when one comes, or is ten minutes old, can a flood begin or end.
    let mut moments: Vec<Timestamp> =
        shown.iter().flat_map(|at| [*at, at.plus_ms(WINDOW_MS)]).filter(|at| *at < until).collect();
    moments.sort_unstable();
    moments.dedup();
    let (mut floods, mut begun) = (Vec::new(), None);
    let (mut came, mut went) = (0, 0);
    for now in moments {
        came += shown[came..].iter().take_while(|at| **at <= now).count();
        went += shown[went..].iter().take_while(|at| at.plus_ms(WINDOW_MS) <= now).count();
        let recent = came - went;
        if recent >= BEGINS_AT {
            begun.get_or_insert(now);
        } else if recent < ENDS_BELOW {
            floods.extend(begun.take().map(|begun| (begun, now)));
        }
    }
    floods.extend(begun.map(|begun| (begun, until)));
    floods
}
