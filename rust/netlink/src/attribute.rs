// SPDX-License-Identifier: GPL-2.0

//! Encoding and decoding of single attributes.

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NlaBuffer, NlasIterator, NLA_F_NESTED,
};

/// An attribute to send.
pub(crate) type Attribute = DefaultNla;
/// An attribute that was received.
pub(crate) type Received<'a> = NlaBuffer<&'a [u8]>;

/// An attribute whose value is given as bytes.
pub(crate) fn bytes(kind: u16, value: &[u8]) -> Attribute {
    DefaultNla::new(kind, value.to_vec())
}

/// An attribute of type `u32`.
pub(crate) fn u32_value(kind: u16, value: u32) -> Attribute {
    bytes(kind, &value.to_ne_bytes())
}

/// An attribute of type `string`. The kernel wants the zero byte at its end.
pub(crate) fn string_value(kind: u16, value: &str) -> Attribute {
    let mut value = value.as_bytes().to_vec();
    value.push(0);
    bytes(kind, &value)
}

/// A nest. The kernel's strict validation wants the flag.
pub(crate) fn nest(kind: u16, attributes: &[Attribute]) -> Attribute {
    DefaultNla::new(kind | NLA_F_NESTED, emit(attributes))
}

/// The wire form of attributes in a row.
pub(crate) fn emit(attributes: &[Attribute]) -> Vec<u8> {
    let mut value = vec![0; attributes.buffer_len()];
    attributes.emit(&mut value);
    value
}

/// All attributes in a row, to the first that is malformed.
pub(crate) fn all(value: &[u8]) -> NlasIterator<&[u8]> {
    NlasIterator::new(value)
}

/// A value of exactly N bytes.
pub(crate) fn array<const N: usize>(attribute: &Received<'_>) -> Result<[u8; N], DecodeError> {
    <[u8; N]>::try_from(attribute.value()).map_err(|_| {
        DecodeError::from(format!(
            "attribute {} has {} bytes instead of {N}",
            attribute.kind(),
            attribute.value_length()
        ))
    })
}

/// A value of type `u8`.
pub(crate) fn u8(attribute: &Received<'_>) -> Result<u8, DecodeError> {
    array(attribute).map(u8::from_ne_bytes)
}

/// A value of type `u32`.
pub(crate) fn u32(attribute: &Received<'_>) -> Result<u32, DecodeError> {
    array(attribute).map(u32::from_ne_bytes)
}

/// A value of type `uint`: 4 bytes where they suffice, else 8.
pub(crate) fn uint(attribute: &Received<'_>) -> Result<u64, DecodeError> {
    match attribute.value_length() {
        4 => u32(attribute).map(u64::from),
        _ => array(attribute).map(u64::from_ne_bytes),
    }
}

/// A value of type `string`, to its zero byte.
pub(crate) fn string(attribute: &Received<'_>) -> String {
    let text = attribute.value().split(|byte| *byte == 0).next();
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

/// The value of an attribute that a reply must have.
pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::from(format!("the reply has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode_uint(value: &[u8]) -> Result<u64, DecodeError> {
        let encoded = emit(&[bytes(1, value)]);
        let attribute = all(&encoded).next().unwrap()?;
        uint(&attribute)
    }

    proptest! {
        #[test]
        fn a_uint_is_4_or_8_bytes_long(short: u32, long: u64) {
            prop_assert_eq!(decode_uint(&short.to_ne_bytes()).unwrap(), u64::from(short));
            prop_assert_eq!(decode_uint(&long.to_ne_bytes()).unwrap(), long);
        }

        #[test]
        fn a_uint_of_any_other_length_is_refused(value in prop::collection::vec(any::<u8>(), 0..16)) {
            prop_assume!(value.len() != 4 && value.len() != 8);
            prop_assert!(decode_uint(&value).is_err());
        }

        #[test]
        fn attributes_come_out_as_they_went_in(
            attributes in prop::collection::vec((1u16..0x3fff, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let sent: Vec<_> = attributes.iter().map(|(kind, value)| bytes(*kind, value)).collect();
            let encoded = emit(&sent);
            let received: Vec<_> = all(&encoded)
                .map(|a| a.map(|a| (a.kind(), a.value().to_vec())))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(received, attributes);
        }
    }
}
