//! From fields of messages to values of the model, with an error that names the field.

use std::str::FromStr;

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
