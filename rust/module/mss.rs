// SPDX-License-Identifier: GPL-2.0

//! The size of segments.
//!
//! TCP derives it from its route, which leaves by the port device. The way that packets really take
//! comes after that, so its limit is put into the SYNs of both directions, as a router would.

use crate::{
    tcp_dispatch_core::packet::TcpHeader,
    wrappers::{dst::DstRef, inet::Inet},
};

/// The largest segment, in bytes of data, that `route` takes in one packet of family `A`: what a
/// client's SYN may ask for.
pub(crate) fn to_send<A: Inet>(route: DstRef<'_>) -> u16 {
    // Both headers without options, which is what the option leaves out of account, RFC 6691.
    let headers = size_of::<A::Header>() + size_of::<TcpHeader>();
    u16::try_from(route.mtu().saturating_sub(headers as u32)).unwrap_or(u16::MAX)
}

/// The largest segment, in bytes of data, that TCP would ask for of somebody who is reached by
/// `route`: what a SYN-ACK may announce.
pub(crate) fn to_announce(route: DstRef<'_>) -> u16 {
    u16::try_from(route.advertised_mss()).unwrap_or(u16::MAX)
}
