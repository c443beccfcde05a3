// SPDX-License-Identifier: GPL-2.0

//! Tracepoints, see `bindings/trace.h`: `tcp_dispatch:tcp_dispatch_assign` and
//! `tcp_dispatch:tcp_dispatch_expire`. Not traced, each costs a jump that isn't taken, and filling in
//! three addresses.

use crate::{bindings, tcp_dispatch_core::AnySocketAddress};

/// As `struct sockaddr_in6`, or as `struct sockaddr_in` in its place.
fn raw(address: AnySocketAddress) -> bindings::sockaddr_in6 {
    let mut raw = bindings::sockaddr_in6::default();
    match address {
        AnySocketAddress::V4(address) => {
            let v4 = bindings::sockaddr_in {
                sin_family: bindings::AF_INET as u16,
                sin_port: u16::from_ne_bytes(address.port),
                sin_addr: bindings::in_addr {
                    s_addr: u32::from_ne_bytes(address.ip),
                },
                ..Default::default()
            };
            const { assert!(size_of::<bindings::sockaddr_in>() <= size_of::<bindings::sockaddr_in6>()) };
            // SAFETY: There is room, and both are aligned alike.
            unsafe {
                core::ptr::from_mut(&mut raw)
                    .cast::<bindings::sockaddr_in>()
                    .write(v4)
            };
        }
        AnySocketAddress::V6(address) => {
            raw.sin6_family = bindings::AF_INET6 as u16;
            raw.sin6_port = u16::from_ne_bytes(address.port);
            raw.sin6_addr.in6_u.u6_addr8 = address.ip;
        }
    }
    raw
}

/// A connection was assigned. Any context.
pub(crate) fn assigned(
    client: AnySocketAddress,
    service: AnySocketAddress,
    process: AnySocketAddress,
) {
    // SAFETY: The function reads three addresses.
    unsafe {
        bindings::tcp_dispatch_trace_assigned(&raw(client), &raw(service), &raw(process));
    }
}

/// A connection's entry has ended. Any context.
pub(crate) fn expired(
    client: AnySocketAddress,
    service: AnySocketAddress,
    process: AnySocketAddress,
) {
    // SAFETY: The function reads three addresses.
    unsafe {
        bindings::tcp_dispatch_trace_expired(&raw(client), &raw(service), &raw(process));
    }
}
