// SPDX-License-Identifier: GPL-2.0

//! The kernel's extended acknowledgements (`enum nlmsgerr_attrs`).

use crate::attribute;
use crate::spec::AttributeSet;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;
const NLMSGERR_ATTR_MISS_NEST: u16 = 6;

/// Bytes of a request before a generic netlink family's attributes: the
/// netlink and the generic netlink header.
const GENL_ATTRIBUTES: usize = 20;

/// What the kernel says of a request beside the error number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extack {
    /// An explanation.
    pub(crate) message: Option<String>,
    /// Where in the request the offending attribute starts.
    pub(crate) offset: Option<usize>,
    /// Number of an attribute that is missing.
    pub(crate) missing: Option<u16>,
    /// Where in the request the nest starts that misses it; the message itself
    /// if there is none.
    pub(crate) missing_in: Option<usize>,
}

impl Extack {
    /// Decodes the attributes, as far as they are well formed: an error that
    /// the kernel reports must not be lost over its explanation.
    pub(crate) fn decode(value: &[u8]) -> Self {
        let mut extack = Self::default();
        for attribute in attribute::all(value).filter_map(Result::ok) {
            let number = || attribute::u32(&attribute).ok();
            match attribute.kind() {
                NLMSGERR_ATTR_MSG => {
                    let text = attribute::string(&attribute);
                    extack.message = Some(text).filter(|text| !text.is_empty());
                }
                NLMSGERR_ATTR_OFFS => extack.offset = number().map(|n| n as usize),
                NLMSGERR_ATTR_MISS_TYPE => {
                    extack.missing = number().and_then(|n| n.try_into().ok());
                }
                NLMSGERR_ATTR_MISS_NEST => extack.missing_in = number().map(|n| n as usize),
                _ => {}
            }
        }
        extack
    }

    /// Name of the attribute at `offset` of a request, as in
    /// `process-address.port`, and the set that it holds if it is a nest.
    pub(crate) fn attribute_at(
        request: &[u8],
        offset: usize,
        set: &'static AttributeSet,
    ) -> Option<(String, Option<&'static AttributeSet>)> {
        walk(request, GENL_ATTRIBUTES, request.len(), offset, set)
    }

    /// Name of the offending attribute.
    pub(crate) fn attribute(&self, request: &[u8], set: &'static AttributeSet) -> Option<String> {
        Self::attribute_at(request, self.offset?, set).map(|(name, _)| name)
    }

    /// Name of the missing attribute.
    pub(crate) fn missing(&self, request: &[u8], set: &'static AttributeSet) -> Option<String> {
        let kind = self.missing?;
        let Some(offset) = self.missing_in else {
            return set.get(kind).map(|attribute| attribute.name.to_owned());
        };
        let (nest, set) = Self::attribute_at(request, offset, set)?;
        Some(format!("{nest}.{}", set?.get(kind)?.name))
    }
}

/// Finds the attribute that starts at `offset`, or the deepest that holds it.
fn walk(
    request: &[u8],
    mut start: usize,
    end: usize,
    offset: usize,
    set: &'static AttributeSet,
) -> Option<(String, Option<&'static AttributeSet>)> {
    for attribute in attribute::all(request.get(start..end)?) {
        let attribute = attribute.ok()?;
        let length = usize::from(attribute.length());
        if (start..start + length).contains(&offset) {
            let found = set.get(attribute.kind())?;
            let inner = found
                .nested
                .filter(|_| offset > start)
                .and_then(|nested| walk(request, start + 4, start + length, offset, nested));
            return Some(match inner {
                Some((name, nested)) => (format!("{}.{name}", found.name), nested),
                None => (found.name.to_owned(), found.nested),
            });
        }
        start += length.next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::{bytes, emit};
    use crate::spec::{process, socket_address};
    use crate::{address, Address};
    use proptest::prelude::*;

    /// A process-add as it is sent, its headers left empty.
    fn request() -> Vec<u8> {
        let service: Address = "192.0.2.1:80".parse().unwrap();
        let process: Address = "10.77.0.1:80".parse().unwrap();
        let mut request = vec![0; GENL_ATTRIBUTES];
        request.extend(emit(&[
            address::encode(process::SERVICE_ADDRESS, service),
            address::encode(process::PROCESS_ADDRESS, process),
        ]));
        request
    }

    fn extack(attributes: &[(u16, u32)]) -> Extack {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(kind, value)| bytes(*kind, &value.to_ne_bytes()))
            .collect();
        Extack::decode(&emit(&attributes))
    }

    #[test]
    fn an_offset_is_resolved_to_the_name_of_the_attribute_there() {
        let second_nest = extack(&[(NLMSGERR_ATTR_OFFS, 20 + 20)]);
        assert_eq!(
            second_nest.attribute(&request(), &process::SET).as_deref(),
            Some("process-address")
        );
    }

    #[test]
    fn an_offset_inside_a_nest_is_resolved_to_a_path() {
        let port = extack(&[(NLMSGERR_ATTR_OFFS, 20 + 4 + 8)]);
        assert_eq!(
            port.attribute(&request(), &process::SET).as_deref(),
            Some("service-address.port")
        );
    }

    #[test]
    fn a_missing_attribute_is_named() {
        let missing = extack(&[(NLMSGERR_ATTR_MISS_TYPE, process::PROCESS_ADDRESS.into())]);
        assert_eq!(
            missing.missing(&request(), &process::SET).as_deref(),
            Some("process-address")
        );
    }

    #[test]
    fn an_attribute_that_a_nest_misses_is_named_with_the_nest() {
        let missing = extack(&[
            (NLMSGERR_ATTR_MISS_TYPE, socket_address::PORT.into()),
            (NLMSGERR_ATTR_MISS_NEST, 20 + 20),
        ]);
        assert_eq!(
            missing.missing(&request(), &process::SET).as_deref(),
            Some("process-address.port")
        );
    }

    #[test]
    fn the_explanation_ends_at_its_zero_byte() {
        let value = emit(&[bytes(NLMSGERR_ATTR_MSG, b"no such service\0")]);
        let message = Extack::decode(&value).message;
        assert_eq!(message.as_deref(), Some("no such service"));
    }

    proptest! {
        #[test]
        fn no_extended_acknowledgement_makes_the_decoder_panic(
            value: Vec<u8>,
            offset: u32,
            missing: u32,
            nest: u32,
            request in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = Extack::decode(&value);
            let extack = extack(&[
                (NLMSGERR_ATTR_OFFS, offset),
                (NLMSGERR_ATTR_MISS_TYPE, missing),
                (NLMSGERR_ATTR_MISS_NEST, nest),
            ]);
            let _ = extack.attribute(&request, &process::SET);
            let _ = extack.missing(&request, &process::SET);
        }

        #[test]
        fn every_offset_of_a_request_is_resolved_without_panic(offset in 0usize..80) {
            let _ = Extack::attribute_at(&request(), offset, &process::SET);
        }
    }
}
