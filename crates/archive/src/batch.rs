//! How much one request carries. Pure: two limits.

/// Most lines of one request.
pub const BATCH_ROWS: usize = 5_000;
/// Most bytes of the lines of one request, before gzip; a single longer line goes alone.
pub const BATCH_BYTES: usize = 1024 * 1024;
