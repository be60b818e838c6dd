//! The wire: `sen/v1` messages, to and from the model. Nobody else knows how bytes look.
//!
//! How the messages may change over the years: `proto/README.md`.

mod alerts;
mod commands;
mod desk;
mod events;
mod field;
mod handling;
mod oncall;
mod quarantine;
mod readings;
mod summaries;
#[cfg(test)]
mod tests;

/// Generated from `sen/v1/*.proto`.
#[allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
mod v1 {
    include!(concat!(env!("OUT_DIR"), "/sen.v1.rs"));
}

/// Something that can be kept in the log and sent between processes.
///
/// What [`encode`](Wire::encode) wrote, [`decode`](Wire::decode) reads back equal, as long as the
/// value keeps the rules of the model; a value that breaks them (a number that is not finite, a
/// batch without readings) is refused by `decode`.
pub trait Wire: Sized + Send + Sync + 'static {
    /// Appends the encoded value to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value back; never panics on any bytes.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Bytes that are not a value of this type.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a Protobuf message of this type.
    #[error("not a valid message")]
    Protobuf(#[from] prost::DecodeError),
    /// A length that runs over the end of the message.
    #[error("the message is cut short")]
    Truncated,
    /// A message, but with a field that the model refuses.
    #[error("field `{field}` is missing or not valid")]
    Field {
        /// The field, as in the `.proto` file.
        field: &'static str,
    },
}
