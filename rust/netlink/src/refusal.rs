// SPDX-License-Identifier: GPL-2.0

//! Connections that are refused: what the client sees, and why.

use crate::attribute::{all, required, u32, uint};
use crate::names::names;
use crate::spec::refused;
use crate::{address, Address};
use netlink_packet_core::DecodeError;
use serde::Serialize;

names! {
    /// What a client sees whose connection no process can take.
    Refusal "refusal" {
        /// What TCP does in its place: a reset if nobody listens, nothing if
        /// all accept queues are full, so that the client tries again.
        Tcp = 0 "tcp",
        /// A reset.
        Reset = 1 "reset",
        /// Nothing, so that the client tries again.
        Retry = 2 "retry",
    }
}

names! {
    /// Why a new connection was refused.
    RefusedReason "reason" {
        /// No process of the service can take it.
        NoProcess = 0 "no-process",
        /// The namespace's connection table is full.
        ConnectionLimit = 1 "connection-limit",
        /// The client signs its segments, by TCP-MD5 or TCP-AO.
        Signed = 2 "signed",
    }
}

/// New connections of a service that were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refused {
    /// The service that refused them.
    pub service_address: Address,
    /// The client of the last one.
    pub client_address: Address,
    /// Why it was refused.
    pub reason: RefusedReason,
    /// How many there were since the last event of the service.
    pub count: u64,
}

impl Refused {
    /// Decodes an event's attributes.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut service_address = None;
        let mut client_address = None;
        let mut reason = None;
        let mut count = 0;
        for attribute in all(value) {
            let attribute = attribute?;
            match attribute.kind() {
                refused::SERVICE_ADDRESS => {
                    service_address = Some(address::decode(attribute.value())?);
                }
                refused::CLIENT_ADDRESS => {
                    client_address = Some(address::decode(attribute.value())?);
                }
                refused::REASON => reason = Some(u32(&attribute)?.into()),
                refused::COUNT => count = uint(&attribute)?,
                _ => {}
            }
        }
        Ok(Self {
            service_address: required(service_address, "service-address")?,
            client_address: required(client_address, "client-address")?,
            reason: required(reason, "reason")?,
            count,
        })
    }
}
