//! What every service stands on and no domain knows.
//!
//! [`config`] (layers, every problem at once), [`clock`] (time as an input), [`shutdown`] and
//! [`tasks`] (structured running and stopping), [`backoff`] (one retry policy), [`call`] (bounded
//! request and reply), [`telemetry`] (logs and metrics).

pub mod backoff;
pub mod call;
pub mod clock;
pub mod config;
pub mod health;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;

pub use clock::Clock;
pub use config::Problem;
pub use health::Health;
pub use shutdown::Shutdown;
pub use tasks::Tasks;
