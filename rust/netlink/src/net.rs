// SPDX-License-Identifier: GPL-2.0

//! What holds for a whole network namespace.

use crate::attribute::{self, all, u32, u8, uint, Attribute};
use crate::message::Decode;
use crate::spec::net;
use crate::{Drops, Prefix};
use netlink_packet_core::DecodeError;
use serde::Serialize;
use std::net::Ipv4Addr;

/// The dispatch layer of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Net {
    /// First address of the range that process addresses are taken from.
    pub process_prefix: Option<Ipv4Addr>,
    /// The range's prefix length; zero if there is no range.
    pub process_prefix_len: u8,
    /// How many connections the connection table may hold.
    pub max_connections: u32,
    /// How many services there are.
    pub services: u32,
    /// How many connections the connection table holds.
    pub connections: u64,
    /// Packets dropped that belong to no service.
    pub drops: Drops,
}

impl Net {
    /// The range that process addresses are taken from, if there is one.
    pub fn prefix(&self) -> Option<Prefix> {
        Prefix::new(self.process_prefix?, self.process_prefix_len).ok()
    }
}

impl Decode for Net {
    type Key = ();

    fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut decoded = Self::default();
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                net::PROCESS_PREFIX => {
                    let ip = Ipv4Addr::from(attribute::array(&attribute)?);
                    decoded.process_prefix = (!ip.is_unspecified()).then_some(ip);
                }
                net::PROCESS_PREFIX_LEN => decoded.process_prefix_len = u8(&attribute)?,
                net::MAX_CONNECTIONS => decoded.max_connections = u32(&attribute)?,
                net::SERVICES => decoded.services = u32(&attribute)?,
                net::CONNECTIONS => decoded.connections = uint(&attribute)?,
                net::DROPS => decoded.drops = Drops::decode(attribute.value())?,
                _ => {}
            }
        }
        Ok(decoded)
    }

    fn key(&self) {}
}

/// What to change of a namespace; the rest stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetSettings {
    prefix: Option<Option<Prefix>>,
    max_connections: Option<u32>,
}

impl NetSettings {
    /// Take process addresses from this range, or from none.
    pub fn process_prefix(mut self, prefix: Option<Prefix>) -> Self {
        self.prefix = Some(prefix);
        self
    }

    /// Let the connection table hold this many connections.
    pub fn max_connections(mut self, limit: u32) -> Self {
        self.max_connections = Some(limit);
        self
    }

    /// The request's attributes.
    pub(crate) fn encode(&self) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        if let Some(prefix) = self.prefix {
            if let Some(prefix) = prefix {
                let first = prefix.address().octets();
                attributes.push(attribute::bytes(net::PROCESS_PREFIX, &first));
            }
            let len = prefix.map_or(0, |prefix| prefix.len());
            attributes.push(attribute::bytes(net::PROCESS_PREFIX_LEN, &[len]));
        }
        if let Some(limit) = self.max_connections {
            attributes.push(attribute::u32_value(net::MAX_CONNECTIONS, limit));
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn settings_read_back_as_they_were_set(address: u32, len in 1u8..=32, limit: u32) {
            let first = address & (u32::MAX << (32 - u32::from(len)));
            prop_assume!(first != 0);
            let prefix = Prefix::new(first.into(), len).unwrap();
            let settings = NetSettings::default()
                .process_prefix(Some(prefix))
                .max_connections(limit);
            let net = Net::decode(&attribute::emit(&settings.encode())).unwrap();
            prop_assert_eq!(net.prefix(), Some(prefix));
            prop_assert_eq!(net.max_connections, limit);
        }
    }

    #[test]
    fn ending_the_use_of_a_range_sends_a_length_of_zero_alone() {
        let settings = NetSettings::default().process_prefix(None);
        let net = Net::decode(&attribute::emit(&settings.encode())).unwrap();
        assert_eq!(net.prefix(), None);
        assert_eq!(settings.encode().len(), 1);
    }

    #[test]
    fn settings_that_change_nothing_send_nothing() {
        assert!(NetSettings::default().encode().is_empty());
    }
}
