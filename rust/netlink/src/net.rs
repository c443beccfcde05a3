// SPDX-License-Identifier: GPL-2.0

//! What holds for a whole network namespace.

use crate::attribute::{self, all, u32, u8, uint, Attribute};
use crate::message::Decode;
use crate::spec::net;
use crate::{address, AddressFamily, Drops, Prefix};
use netlink_packet_core::DecodeError;
use serde::Serialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The dispatch layer of a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Net {
    /// First address of the range that process addresses of IPv4 services are
    /// taken from.
    pub process_prefix: Option<Ipv4Addr>,
    /// The range's prefix length; zero if there is no range.
    pub process_prefix_len: u8,
    /// First address of the range that process addresses of IPv6 services are
    /// taken from.
    pub process_prefix_ipv6: Option<Ipv6Addr>,
    /// The range's prefix length; zero if there is no range.
    pub process_prefix_ipv6_len: u8,
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
    /// The range that process addresses of a family are taken from, if there is
    /// one.
    pub fn prefix(&self, family: AddressFamily) -> Option<Prefix> {
        let (first, len) = match family {
            AddressFamily::Ipv4 => (self.process_prefix?.into(), self.process_prefix_len),
            AddressFamily::Ipv6 => (
                self.process_prefix_ipv6?.into(),
                self.process_prefix_ipv6_len,
            ),
        };
        Prefix::new(first, len).ok()
    }

    /// The ranges that process addresses are taken from: one of a family at
    /// most.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + '_ {
        let families = AddressFamily::ALL.into_iter();
        families.filter_map(|family| self.prefix(family))
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
                net::PROCESS_PREFIX_IPV6 => {
                    let ip = Ipv6Addr::from(attribute::array::<16>(&attribute)?);
                    decoded.process_prefix_ipv6 = (!ip.is_unspecified()).then_some(ip);
                }
                net::PROCESS_PREFIX_IPV6_LEN => decoded.process_prefix_ipv6_len = u8(&attribute)?,
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
    /// The range of IPv4 and that of IPv6. One that is none has a length of
    /// zero alone.
    prefixes: [Option<(Option<IpAddr>, u8)>; 2],
    max_connections: Option<u32>,
}

impl NetSettings {
    /// Take process addresses of the range's family from this range.
    pub fn process_prefix(mut self, prefix: Prefix) -> Self {
        let setting = (Some(prefix.address()), prefix.len());
        self.prefixes[prefix.family() as usize] = Some(setting);
        self
    }

    /// Take process addresses of a family from no range any more.
    pub fn no_process_prefix(mut self, family: AddressFamily) -> Self {
        self.prefixes[family as usize] = Some((None, 0));
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
        let len_kinds = [net::PROCESS_PREFIX_LEN, net::PROCESS_PREFIX_IPV6_LEN];
        for (setting, len_kind) in self.prefixes.into_iter().zip(len_kinds) {
            let Some((first, len)) = setting else {
                continue;
            };
            attributes.extend(first.map(|first| {
                address::encode_ip(net::PROCESS_PREFIX, net::PROCESS_PREFIX_IPV6, first)
            }));
            attributes.push(attribute::bytes(len_kind, &[len]));
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
    use crate::prefix::tests::any_prefix;
    use netlink_packet_core::Nla;
    use proptest::prelude::*;

    fn applied(settings: NetSettings) -> Net {
        Net::decode(&attribute::emit(&settings.encode())).unwrap()
    }

    proptest! {
        #[test]
        fn settings_read_back_as_they_were_set(
            ipv4 in any_prefix(AddressFamily::Ipv4),
            ipv6 in any_prefix(AddressFamily::Ipv6),
            limit: u32,
        ) {
            prop_assume!(!ipv4.address().is_unspecified() && !ipv6.address().is_unspecified());
            let settings = NetSettings::default()
                .process_prefix(ipv4)
                .process_prefix(ipv6)
                .max_connections(limit);
            let net = applied(settings);
            prop_assert_eq!(net.prefix(AddressFamily::Ipv4), Some(ipv4));
            prop_assert_eq!(net.prefix(AddressFamily::Ipv6), Some(ipv6));
            prop_assert_eq!(net.max_connections, limit);
        }

        #[test]
        fn the_range_of_one_family_leaves_that_of_the_other(
            prefix in prop::sample::select(AddressFamily::ALL.as_slice()).prop_flat_map(any_prefix),
        ) {
            prop_assume!(!prefix.address().is_unspecified());
            let settings = NetSettings::default().process_prefix(prefix);
            prop_assert_eq!(settings.encode().len(), 2);
            let set: Vec<_> = applied(settings).prefixes().collect();
            prop_assert_eq!(set, [prefix]);
        }
    }

    #[test]
    fn ending_the_use_of_a_range_sends_a_length_of_zero_alone() {
        let kinds = [net::PROCESS_PREFIX_LEN, net::PROCESS_PREFIX_IPV6_LEN];
        for (family, kind) in AddressFamily::ALL.into_iter().zip(kinds) {
            let settings = NetSettings::default().no_process_prefix(family);
            assert_eq!(applied(settings).prefix(family), None);
            assert_eq!(settings.encode().len(), 1);
            assert_eq!(settings.encode()[0].kind(), kind);
        }
    }

    #[test]
    fn settings_that_change_nothing_send_nothing() {
        assert!(NetSettings::default().encode().is_empty());
    }
}
