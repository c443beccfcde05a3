// SPDX-License-Identifier: GPL-2.0

//! Services.

use crate::attribute::{all, required, u32, uint};
use crate::message::Decode;
use crate::spec::service;
use crate::{address, Address, Drops, Stats};
use netlink_packet_core::DecodeError;
use serde::Serialize;

/// A service: the address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// The address that clients connect to. It names the service.
    pub service_address: Address,
    /// How many processes are registered.
    pub processes: u32,
    /// How many connections the connection table holds for the service.
    pub connections: u64,
    /// What went through the service.
    pub stats: Stats,
    /// What the service refused or dropped.
    pub drops: Drops,
}

impl Decode for Service {
    type Key = Address;

    fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut service_address = None;
        let mut processes = 0;
        let mut connections = 0;
        let mut stats = Stats::default();
        let mut drops = Drops::default();
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                service::SERVICE_ADDRESS => {
                    service_address = Some(address::decode(attribute.value())?);
                }
                service::PROCESSES => processes = u32(&attribute)?,
                service::CONNECTIONS => connections = uint(&attribute)?,
                service::STATS => stats = Stats::decode(attribute.value())?,
                service::DROPS => drops = Drops::decode(attribute.value())?,
                _ => {}
            }
        }
        Ok(Self {
            service_address: required(service_address, "service-address")?,
            processes,
            connections,
            stats,
            drops,
        })
    }

    fn key(&self) -> Address {
        self.service_address
    }
}
