// SPDX-License-Identifier: GPL-2.0

//! What was refused or dropped, and why.

use crate::attribute::{all, uint};
use crate::spec::drops;
use netlink_packet_core::DecodeError;
use serde::Serialize;

/// Packets that were refused or dropped, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Drops {
    /// New connections refused because no process of the service listens and
    /// has room in its accept queue.
    pub no_process: u64,
    /// New connections refused at the namespace's `max-connections`.
    pub connection_limit: u64,
    /// New connections refused because the client has, from the same port,
    /// a connection of another service to the same process address.
    pub conflict: u64,
    /// Packets dropped because the kernel had no memory for them.
    pub no_memory: u64,
    /// Packets dropped because they came from outside of the computer to
    /// or from a process address.
    pub outside: u64,
    /// Packets from process addresses to the outside that belong to no
    /// connection.
    pub no_connection: u64,
    /// New connections refused because the client signs its segments, by
    /// TCP-MD5 or TCP-AO.
    pub signed: u64,
}

impl Drops {
    /// Decodes the value of the nest.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut drops = Self::default();
        for attribute in all(value) {
            let attribute = attribute?;
            let counter = match attribute.kind() {
                drops::NO_PROCESS => &mut drops.no_process,
                drops::CONNECTION_LIMIT => &mut drops.connection_limit,
                drops::CONFLICT => &mut drops.conflict,
                drops::NO_MEMORY => &mut drops.no_memory,
                drops::OUTSIDE => &mut drops.outside,
                drops::NO_CONNECTION => &mut drops.no_connection,
                drops::SIGNED => &mut drops.signed,
                _ => continue,
            };
            *counter = uint(&attribute)?;
        }
        Ok(drops)
    }

    /// All of them, whatever the reason.
    pub fn total(&self) -> u64 {
        [
            self.no_process,
            self.connection_limit,
            self.conflict,
            self.no_memory,
            self.outside,
            self.no_connection,
            self.signed,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }
}
