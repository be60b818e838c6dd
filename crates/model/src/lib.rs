//! The nouns of Sen: values only, with no I/O, no async and no clock.
//!
//! Read in the order of a reading's life: [`name`] (who and what), [`time`] (when), [`reading`]
//! and [`event`] (what was heard), [`quarantine`] (what could not be taken), [`registry`] (what we
//! know of devices and places; [`registry_file`] reads it), [`rule`], [`condition`] and [`alert`] (what is
//! wrong), [`command`] and [`desk`] (what people do about it), [`oncall`] (who is
//! called), [`backtest`] (what other rules would have found); [`partial`] and [`sketch`] are the aggregate of a
//! window, [`tier`] how long windows are.

pub mod alert;
pub mod backtest;
pub mod command;
pub mod condition;
pub mod desk;
pub mod event;
pub mod name;
pub mod oncall;
pub mod partial;
pub mod progress;
pub mod quarantine;
pub mod reading;
pub mod registry;
pub mod registry_file;
pub mod rule;
pub mod sketch;
pub mod text;
pub mod tier;
pub mod time;
mod trace_key;

pub use alert::{AlertId, AlertRecord, AlertState, Cause, Change, Severity};
pub use backtest::{BacktestAnswer, BacktestAsk, BacktestReport};
pub use command::{Act, Changed, Command, CommandOutcome, DeskAct, Foreign, Order};
pub use condition::{Bound, Condition, Level, Limit};
pub use desk::{DeskRecord, Entry, EntryId, Reach};
pub use event::Event;
pub use name::{AreaCode, DeviceId, InvalidName, Metric, RuleId, SeriesKey};
pub use oncall::{Delivery, DeliveryState, OnCallAnswer, OnCallAsk, OnCallEntry, OnCallRecord};
pub use partial::{Extremes, Moment, Partial};
pub use progress::Progress;
pub use quarantine::{Quarantined, RejectReason};
pub use reading::{Quality, Reading, ReadingBatch};
pub use registry::{Device, Field, MetricSpec, Place, PlaceKind, Registry, Relations};
pub use rule::{Response, Rule, Selector, Standing};
pub use sketch::Sketch;
pub use text::Text;
pub use tier::Tier;
pub use time::Timestamp;
