//! Pure: what the screens ask for, folded from the log: alerts, the desk, deliveries, latest values,
//! counts.
//!
//! Each fold is fed by one task (`feeds`) with its own reader; applying a record twice changes
//! nothing, so a fold can always be begun again from an earlier offset.

pub mod alerts;
pub mod counts;
pub mod deliveries;
pub mod desk;
pub mod latest;
pub mod screens;

pub use alerts::Alerts;
pub use counts::Counts;
pub use deliveries::Deliveries;
pub use desk::Desk;
pub use latest::Latest;
pub use screens::{Screens, ScreensState};
