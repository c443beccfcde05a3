// SPDX-License-Identifier: GPL-2.0

//! What went through a service or a process.

use crate::attribute::{all, uint};
use crate::spec::stats;
use netlink_packet_core::DecodeError;
use serde::Serialize;

/// Counters of a service or a process, from its registration on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stats {
    /// Connections that were assigned.
    pub connections: u64,
    /// Packets from clients that were given to a process, or that netfilter's input chain has dropped on
    /// their way to it.
    pub packets_in: u64,
    /// Bytes of these packets, IP header included.
    pub bytes_in: u64,
    /// Packets from processes that were sent to clients.
    pub packets_out: u64,
    /// Bytes of these packets, IP header included.
    pub bytes_out: u64,
}

impl Stats {
    /// Decodes the value of the nest.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        let mut stats = Self::default();
        for attribute in all(value) {
            let attribute = attribute?;
            let counter = match attribute.kind() {
                stats::CONNECTIONS => &mut stats.connections,
                stats::PACKETS_IN => &mut stats.packets_in,
                stats::BYTES_IN => &mut stats.bytes_in,
                stats::PACKETS_OUT => &mut stats.packets_out,
                stats::BYTES_OUT => &mut stats.bytes_out,
                _ => continue,
            };
            *counter = uint(&attribute)?;
        }
        Ok(stats)
    }
}
