// SPDX-License-Identifier: GPL-2.0

//! The size of segments.
//!
//! TCP derives it from its route, which leaves by the port device. The way that packets really take
//! comes after that, so its limit is put into the SYNs of both directions, as a router would.

use crate::{
    dispatch_net::DispatchNet,
    tcp_dispatch_core::packet::TcpHeader,
    wrappers::{dst::DstRef, inet::Inet, sk_buff::Segment},
};
use kernel::prelude::*;

/// Both headers without options, which is what the option leaves out of account, RFC 6691.
const fn headers<A: Inet>() -> u32 {
    (size_of::<A::Header>() + size_of::<TcpHeader>()) as u32
}

/// Lowers what a client's SYN asks for to what `route` takes in one packet.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn limit_to_send<A: Inet>(
    net: &DispatchNet,
    segment: &mut Segment<'_, A>,
    route: DstRef<'_>,
) -> Result {
    let mtu = route.mtu();
    limit(net, segment, mtu.saturating_sub(headers::<A>()))
}

/// Lowers what a SYN-ACK announces to what TCP would announce to somebody who is reached by `route`.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn limit_to_announce<A: Inet>(
    net: &DispatchNet,
    segment: &mut Segment<'_, A>,
    route: DstRef<'_>,
) -> Result {
    limit(net, segment, route.advertised_mss())
}

/// Lowers what a SYN says to `largest` bytes of data. The port's limit needs no look at the options:
/// TCP keeps to it.
fn limit<A: Inet>(net: &DispatchNet, segment: &mut Segment<'_, A>, largest: u32) -> Result {
    if largest >= net.port_mtu().saturating_sub(headers::<A>()) {
        return Ok(());
    }
    segment.clamp_mss(u16::try_from(largest).unwrap_or(u16::MAX))
}
