//! Pure: how good the alarms are, against ISA-18.2 (IEC 62682) and EEMUA 191.
//!
//! `episodes` folds the alert log into one small row for each episode, `report` makes figures of the
//! rows of a span, `flood` finds the floods in it, `targets` says how good a figure ought to be,
//! `csv` writes a report as a table.
//!
//! An alert counts from the moment it is first *shown* to operators: neither shelved, suppressed nor
//! out of service. One that never was is a burden to nobody; it is counted apart, with the reason.
//! One that was shown and then shelved or suppressed counts like any other. Drills count apart. All
//! times are those at which Sen recorded a change: what operators saw, when they saw it.

pub mod csv;
pub mod episodes;
mod flood;
pub mod report;
mod targets;

#[cfg(test)]
mod tests;

pub use episodes::{Alarm, Episode, Episodes};
pub use report::{Asked, Figure, Performance, Report, performance};
