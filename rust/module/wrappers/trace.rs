// SPDX-License-Identifier: GPL-2.0

//! Tracepoints, see `bindings/trace.h`: `tcp_dispatch:tcp_dispatch_assign` and
//! `tcp_dispatch:tcp_dispatch_expire`. Not traced, each costs a jump that isn't taken, and filling in
//! three addresses.

use crate::{bindings, tcp_dispatch_core::SocketAddress};

fn raw(address: SocketAddress) -> bindings::sockaddr_in {
    let mut raw = bindings::sockaddr_in {
        sin_family: bindings::AF_INET as u16,
        sin_port: u16::from_ne_bytes(address.port),
        ..Default::default()
    };
    raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip);
    raw
}

/// A connection was assigned. Any context.
pub(crate) fn assigned(client: SocketAddress, service: SocketAddress, process: SocketAddress) {
    // SAFETY: The function reads three addresses.
    unsafe {
        bindings::tcp_dispatch_trace_assigned(&raw(client), &raw(service), &raw(process));
    }
}

/// A connection's entry has ended. Any context.
pub(crate) fn expired(client: SocketAddress, service: SocketAddress, process: SocketAddress) {
    // SAFETY: The function reads three addresses.
    unsafe {
        bindings::tcp_dispatch_trace_expired(&raw(client), &raw(service), &raw(process));
    }
}
