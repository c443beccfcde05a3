// SPDX-License-Identifier: GPL-2.0

//! Processes.

use crate::attribute::{all, required, string, u32};
use crate::message::Decode;
use crate::spec::process;
use crate::traffic::Kinds;
use crate::{address, Address, Owner, ProcessState, Traffic};
use netlink_packet_core::DecodeError;
use serde::Serialize;

const TRAFFIC: Kinds = Kinds {
    connections: process::CONNECTIONS,
    stats: process::STATS,
    drops: process::DROPS,
};

/// A process: a listener on an address of its own, registered for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Process {
    /// The service that the process serves.
    pub service_address: Address,
    /// The address that the process listens on.
    pub process_address: Address,
    /// What the process has and had to do. Its drops are what was dropped on
    /// its way to or from the process, or was not assigned to it.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How many new connections it gets, compared with others. Zero is none.
    pub weight: u16,
    /// Whether it gets new connections.
    pub state: ProcessState,
    /// While it drains: in how many milliseconds what is left is reset, if
    /// that was asked for.
    pub drain_timeout: Option<u32>,
    /// The CPUs that it runs on, as a list such as `0-3,8`. Empty is none.
    pub cpus: String,
    /// Whom the registration belongs to.
    pub owner: Owner,
    /// The owner's number in the PID namespace of who asks, if the owner is a
    /// process; zero if it has none there.
    pub pid: Option<u32>,
    /// The user who registered the process, if it was a registrant of the
    /// service: then only listeners of this user get connections.
    pub uid: Option<u32>,
    /// How many connections wait to be accepted, if anybody listens.
    pub accept_queue: Option<u32>,
    /// How many may wait, if anybody listens.
    pub accept_queue_max: Option<u32>,
}

impl Process {
    /// A process as it is registered without settings.
    pub fn new(service_address: Address, process_address: Address) -> Self {
        Self {
            service_address,
            process_address,
            traffic: Traffic::default(),
            weight: 1,
            state: ProcessState::Active,
            drain_timeout: None,
            cpus: String::new(),
            owner: Owner::None,
            pid: None,
            uid: None,
            accept_queue: None,
            accept_queue_max: None,
        }
    }

    /// Whether anybody listens on its address.
    pub fn listens(&self) -> bool {
        self.accept_queue_max.is_some()
    }
}

impl Decode for Process {
    type Key = (Address, Address);

    fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let (mut service, mut listener) = (None, None);
        let mut decoded = Self::new(address::UNKNOWN, address::UNKNOWN);
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                process::SERVICE_ADDRESS => service = Some(address::decode(attribute.value())?),
                process::PROCESS_ADDRESS => listener = Some(address::decode(attribute.value())?),
                process::WEIGHT => {
                    decoded.weight = u32(&attribute)?
                        .try_into()
                        .map_err(|_| DecodeError::from("a weight is beyond 65535"))?;
                }
                process::STATE => decoded.state = u32(&attribute)?.into(),
                process::DRAIN_TIMEOUT => decoded.drain_timeout = Some(u32(&attribute)?),
                process::CPUS => decoded.cpus = string(&attribute),
                process::OWNER => decoded.owner = u32(&attribute)?.into(),
                process::PID => decoded.pid = Some(u32(&attribute)?),
                process::UID => decoded.uid = Some(u32(&attribute)?),
                process::ACCEPT_QUEUE => decoded.accept_queue = Some(u32(&attribute)?),
                process::ACCEPT_QUEUE_MAX => decoded.accept_queue_max = Some(u32(&attribute)?),
                _ => decoded.traffic.take(&attribute, &TRAFFIC)?,
            }
        }
        decoded.service_address = required(service, "service-address")?;
        decoded.process_address = required(listener, "process-address")?;
        Ok(decoded)
    }

    fn key(&self) -> Self::Key {
        (self.service_address, self.process_address)
    }
}
