// SPDX-License-Identifier: GPL-2.0

//! Services.

use crate::attribute::{self, all, required, u32, u8};
use crate::message::Decode;
use crate::spec::service;
use crate::traffic::Kinds;
use crate::{address, Address, AddressFamily, Prefix, Refusal, Scheduler, Traffic};
use netlink_packet_core::DecodeError;
use serde::Serialize;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Number of a user or group that nobody is.
pub(crate) const NOBODY: u32 = u32::MAX;

const TRAFFIC: Kinds = Kinds {
    connections: service::CONNECTIONS,
    stats: service::STATS,
    drops: service::DROPS,
};

/// A service: the address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Service {
    /// The address that clients connect to. It names the service.
    pub service_address: Address,
    /// How many processes are registered.
    pub processes: u32,
    /// What the service has and had to do.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How a process is chosen.
    pub scheduler: Scheduler,
    /// What clients see whom no process can take.
    pub refusal: Refusal,
    /// For how many seconds after a client's last new connection its next one
    /// goes to the same process. Zero is not at all.
    pub affinity_timeout: u32,
    /// The prefix length of what counts as one client's addresses.
    pub affinity_prefix_len: u8,
    /// The user that may register processes, if there is one.
    pub registrant_uid: Option<u32>,
    /// The group whose members may register processes, if there is one.
    pub registrant_gid: Option<u32>,
    /// First address of the range that registrants of an IPv4 service may take
    /// process addresses from.
    pub registrant_prefix: Option<Ipv4Addr>,
    /// The same of an IPv6 service.
    pub registrant_prefix_ipv6: Option<Ipv6Addr>,
    /// The range's prefix length; zero if there is no range.
    pub registrant_prefix_len: u8,
}

impl Service {
    /// A service as it is added without settings.
    pub fn new(service_address: Address) -> Self {
        Self {
            service_address,
            processes: 0,
            traffic: Traffic::default(),
            scheduler: Scheduler::Rr,
            refusal: Refusal::Tcp,
            affinity_timeout: 0,
            affinity_prefix_len: AddressFamily::of(service_address.ip()).bits(),
            registrant_uid: None,
            registrant_gid: None,
            registrant_prefix: None,
            registrant_prefix_ipv6: None,
            registrant_prefix_len: 0,
        }
    }

    /// The range that registrants may take process addresses from, if there is
    /// one.
    pub fn registrant_range(&self) -> Option<Prefix> {
        let first = match (self.registrant_prefix, self.registrant_prefix_ipv6) {
            (Some(first), _) => first.into(),
            (None, Some(first)) => first.into(),
            (None, None) => return None,
        };
        Prefix::new(first, self.registrant_prefix_len).ok()
    }
}

impl Decode for Service {
    type Key = Address;

    fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let (mut name, mut affinity_prefix_len) = (None, None);
        let mut decoded = Self::new(address::UNKNOWN);
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                service::SERVICE_ADDRESS => name = Some(address::decode(attribute.value())?),
                service::PROCESSES => decoded.processes = u32(&attribute)?,
                service::SCHEDULER => decoded.scheduler = u32(&attribute)?.into(),
                service::REFUSAL => decoded.refusal = u32(&attribute)?.into(),
                service::AFFINITY_TIMEOUT => decoded.affinity_timeout = u32(&attribute)?,
                service::AFFINITY_PREFIX_LEN => affinity_prefix_len = Some(u8(&attribute)?),
                service::REGISTRANT_UID => decoded.registrant_uid = somebody(u32(&attribute)?),
                service::REGISTRANT_GID => decoded.registrant_gid = somebody(u32(&attribute)?),
                service::REGISTRANT_PREFIX => {
                    let ip = Ipv4Addr::from(attribute::array(&attribute)?);
                    decoded.registrant_prefix = (!ip.is_unspecified()).then_some(ip);
                }
                service::REGISTRANT_PREFIX_IPV6 => {
                    let ip = Ipv6Addr::from(attribute::array::<16>(&attribute)?);
                    decoded.registrant_prefix_ipv6 = (!ip.is_unspecified()).then_some(ip);
                }
                service::REGISTRANT_PREFIX_LEN => decoded.registrant_prefix_len = u8(&attribute)?,
                _ => decoded.traffic.take(&attribute, &TRAFFIC)?,
            }
        }
        decoded.service_address = required(name, "service-address")?;
        let whole = AddressFamily::of(decoded.service_address.ip()).bits();
        decoded.affinity_prefix_len = affinity_prefix_len.unwrap_or(whole);
        Ok(decoded)
    }

    fn key(&self) -> Address {
        self.service_address
    }
}

/// A user or group, unless the number is nobody's.
fn somebody(number: u32) -> Option<u32> {
    (number != NOBODY).then_some(number)
}
