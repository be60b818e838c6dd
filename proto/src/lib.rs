//! The wire: `sen/v1` messages, to and from the model. Nobody else knows how bytes look.

/// Something that can be kept in the log and sent between processes.
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
    /// A message, but with a field that the model refuses.
    #[error("field `{field}` is missing or not valid")]
    Field {
        /// The field, as in the `.proto` file.
        field: &'static str,
    },
}
