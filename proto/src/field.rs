//! From fields of messages to values of the model, with an error that names the field.

use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::DecodeError;

/// The error for `field`.
pub(crate) fn refused(field: &'static str) -> DecodeError {
    DecodeError::Field { field }
}

/// A checked name such as a device id.
pub(crate) fn name<T: FromStr>(text: &str, field: &'static str) -> Result<T, DecodeError> {
    text.parse().map_err(|_| refused(field))
}

/// A finite number.
pub(crate) fn finite(value: f64, field: &'static str) -> Result<f64, DecodeError> {
    if value.is_finite() { Ok(value) } else { Err(refused(field)) }
}

/// A part that travels as JSON. Empty, and so refused by the reader, if it cannot be written:
/// values of the model always can.
pub(crate) fn written<T: Serialize>(part: &T) -> String {
    serde_json::to_string(part).unwrap_or_default()
}

/// A part that came as JSON.
pub(crate) fn document<T: DeserializeOwned>(
    text: &str,
    field: &'static str,
) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|_| refused(field))
}
