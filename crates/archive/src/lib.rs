//! External time-series servers as an archive beside the working store.

pub mod line;
