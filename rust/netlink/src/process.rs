// SPDX-License-Identifier: GPL-2.0

//! Processes.

use crate::attribute::{all, required, uint};
use crate::message::Decode;
use crate::spec::process;
use crate::{address, Address, Drops, Stats};
use netlink_packet_core::DecodeError;
use serde::Serialize;

/// A process: a listener on an address of its own, registered for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// The service that the process serves.
    pub service_address: Address,
    /// The address that the process listens on.
    pub process_address: Address,
    /// How many connections the connection table holds for the process.
    pub connections: u64,
    /// What went to the process and came from it.
    pub stats: Stats,
    /// What was dropped on its way to or from the process, or was not assigned to it.
    pub drops: Drops,
}

impl Decode for Process {
    type Key = (Address, Address);

    fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut service_address = None;
        let mut process_address = None;
        let mut connections = 0;
        let mut stats = Stats::default();
        let mut drops = Drops::default();
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                process::SERVICE_ADDRESS => {
                    service_address = Some(address::decode(attribute.value())?);
                }
                process::PROCESS_ADDRESS => {
                    process_address = Some(address::decode(attribute.value())?);
                }
                process::CONNECTIONS => connections = uint(&attribute)?,
                process::STATS => stats = Stats::decode(attribute.value())?,
                process::DROPS => drops = Drops::decode(attribute.value())?,
                _ => {}
            }
        }
        Ok(Self {
            service_address: required(service_address, "service-address")?,
            process_address: required(process_address, "process-address")?,
            connections,
            stats,
            drops,
        })
    }

    fn key(&self) -> Self::Key {
        (self.service_address, self.process_address)
    }
}
