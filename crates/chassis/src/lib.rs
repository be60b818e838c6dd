//! What every service stands on and no domain knows.
//!
//! [`config`] (layers, every problem at once), [`clock`] (time as an input), [`shutdown`] and
//! [`tasks`] (structured running and stopping), [`backoff`] (one retry policy), [`call`] (bounded
//! request and reply), [`telemetry`] (logs and metrics), [`admin`] (the doors for machines),
//! [`trace`] (the way of one packet in many).

pub mod admin;
pub mod backoff;
pub mod call;
pub mod clock;
pub mod config;
pub mod health;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;
pub mod trace;

pub use admin::Admin;
pub use clock::Clock;
pub use config::Problem;
pub use health::Health;
pub use shutdown::Shutdown;
pub use tasks::Tasks;
pub use trace::Traces;
