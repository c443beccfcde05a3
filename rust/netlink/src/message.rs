// SPDX-License-Identifier: GPL-2.0

//! Messages of the family, as generic netlink payloads.

use crate::attribute::{self, Attribute};
use crate::spec::{Command, FAMILY_NAME, FAMILY_VERSION};
use netlink_packet_core::{DecodeError, Emitable, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader};
use std::hash::Hash;

/// Something that the family's replies describe.
pub(crate) trait Decode: Sized {
    /// What names the object; a dump that repeats one repeats the object.
    type Key: Eq + Hash;

    /// Decodes a reply's attributes.
    fn decode(value: &[u8]) -> Result<Self, DecodeError>;

    /// The object's name.
    fn key(&self) -> Self::Key;
}

/// A request: an operation and its attributes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) attributes: Vec<Attribute>,
}

impl GenlFamily for Request {
    fn family_name() -> &'static str {
        FAMILY_NAME
    }

    fn command(&self) -> u8 {
        self.command as u8
    }

    fn version(&self) -> u8 {
        FAMILY_VERSION
    }
}

impl Emitable for Request {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

/// A reply of any family, its attributes not decoded.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) attributes: Vec<u8>,
}

impl ParseableParametrized<[u8], GenlHeader> for Reply {
    fn parse_with_param(buffer: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        Ok(Self {
            attributes: buffer.to_vec(),
        })
    }
}

impl Reply {
    /// The value of the first attribute of a kind.
    pub(crate) fn find(&self, kind: u16) -> Option<Vec<u8>> {
        attribute::all(&self.attributes)
            .filter_map(Result::ok)
            .find(|attribute| attribute.kind() == kind)
            .map(|attribute| attribute.value().to_vec())
    }
}
