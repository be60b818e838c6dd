//! Variable-length integers and floats in byte strings, and a checksum around them. Pure: total on
//! any input, since what is read may be damaged.

/// Appends an unsigned integer, seven bits a byte, low bits first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer so that small magnitudes of either sign are short.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i128) {
    put_varint(out, ((value << 1) ^ (value >> 127)) as u128);
}

/// Appends a float, bit by bit.
pub(crate) fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Reads what the `put_` functions wrote; `None` once the bytes are not such.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// At the beginning of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes are left: a bound for counts read from damaged input.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next unsigned integer.
    pub(crate) fn varint(&mut self) -> Option<u128> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let bits = u128::from(byte & 0x7f);
            if shift == 126 && bits > 0b11 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// The next unsigned integer, as a smaller type.
    pub(crate) fn number<T: TryFrom<u128>>(&mut self) -> Option<T> {
        T::try_from(self.varint()?).ok()
    }

    /// The next signed integer.
    pub(crate) fn zigzag(&mut self) -> Option<i128> {
        let value = self.varint()?;
        Some((value >> 1) as i128 ^ -((value & 1) as i128))
    }

    /// The next float.
    pub(crate) fn f64(&mut self) -> Option<f64> {
        let bits = self.take(8)?.try_into().ok()?;
        Some(f64::from_bits(u64::from_le_bytes(bits)))
    }
}

/// Puts the CRC-32C of `body` before it.
pub(crate) fn with_checksum(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 4);
    out.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    out.extend_from_slice(body);
    out
}

/// The body behind its checksum; `None` if they do not fit.
pub(crate) fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (sum, body) = bytes.split_at_checked(4)?;
    (sum == crc32c::crc32c(body).to_le_bytes()).then_some(body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_come_back(unsigned in any::<u128>(), signed in any::<i128>()) {
            let mut out = Vec::new();
            for value in [unsigned, 0, 127, 128, u128::MAX] {
                put_varint(&mut out, value);
            }
            for value in [signed, 0, -1, i128::MIN, i128::MAX] {
                put_zigzag(&mut out, value);
            }
            let mut cursor = Cursor::new(&out);
            for value in [unsigned, 0, 127, 128, u128::MAX] {
                prop_assert_eq!(cursor.varint(), Some(value));
            }
            for value in [signed, 0, -1, i128::MIN, i128::MAX] {
                prop_assert_eq!(cursor.zigzag(), Some(value));
            }
            prop_assert!(cursor.is_at_end());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut cursor = Cursor::new(&bytes);
            while cursor.varint().is_some() {}
            let mut flipped = with_checksum(&bytes);
            prop_assert_eq!(checked(&flipped), Some(&bytes[..]));
            let last = flipped.len() - 1;
            flipped[last] ^= 1;
            prop_assert_eq!(checked(&flipped), None);
        }
    }
}
