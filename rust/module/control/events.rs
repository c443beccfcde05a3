// SPDX-License-Identifier: GPL-2.0

//! What is told to whoever listens. With nobody listening, an event costs one look.

use super::{address, process as process_messages, service as service_messages};
use crate::{
    bindings::*, dispatch_net::DispatchNet, process::Process, service::Service, stats::Drop,
    tcp_dispatch_core::AnySocketAddress, wrappers::genetlink::notify,
};
use kernel::prelude::*;

/// A service was added.
pub(crate) const SERVICE_ADDED: u32 = TCP_DISPATCH_CMD_SERVICE_ADD_NTF;
/// A service was changed.
pub(crate) const SERVICE_CHANGED: u32 = TCP_DISPATCH_CMD_SERVICE_SET_NTF;
/// A service was deleted.
pub(crate) const SERVICE_DELETED: u32 = TCP_DISPATCH_CMD_SERVICE_DEL_NTF;
/// A process was registered.
pub(crate) const PROCESS_ADDED: u32 = TCP_DISPATCH_CMD_PROCESS_ADD_NTF;
/// A registration was changed.
pub(crate) const PROCESS_CHANGED: u32 = TCP_DISPATCH_CMD_PROCESS_SET_NTF;
/// A registration has ended.
pub(crate) const PROCESS_DELETED: u32 = TCP_DISPATCH_CMD_PROCESS_DEL_NTF;
/// The last connection of a draining process has ended.
pub(crate) const PROCESS_DRAINED: u32 = TCP_DISPATCH_CMD_PROCESS_DRAINED_NTF;

/// Tells what happened to a service. Process context.
pub(crate) fn service(net: &DispatchNet, event: u32, service: &Service) {
    notify(net.net(), event, GFP_KERNEL, |message| {
        service_messages::put(message, net, service)
    });
}

/// Tells what happened to a process. Process context.
pub(crate) fn process(net: &DispatchNet, event: u32, process: &Process) {
    notify(net.net(), event, GFP_KERNEL, |message| {
        process_messages::put(message, net, process)
    });
}

/// Tells that `count` new connections were refused, the last one that of `client`. Any context.
pub(crate) fn refused(
    net: &DispatchNet,
    service: &Service,
    client: AnySocketAddress,
    reason: Drop,
    count: u64,
) {
    let reason = match reason {
        Drop::ConnectionLimit => tcp_dispatch_refused_TCP_DISPATCH_REFUSED_CONNECTION_LIMIT,
        Drop::Signed => tcp_dispatch_refused_TCP_DISPATCH_REFUSED_SIGNED,
        _ => tcp_dispatch_refused_TCP_DISPATCH_REFUSED_NO_PROCESS,
    };
    notify(
        net.net(),
        TCP_DISPATCH_CMD_REFUSED_NTF,
        GFP_ATOMIC,
        |message| {
            address::put(
                message,
                TCP_DISPATCH_A_REFUSED_SERVICE_ADDRESS,
                service.address(),
            )?;
            address::put(message, TCP_DISPATCH_A_REFUSED_CLIENT_ADDRESS, client)?;
            message.put_u32(TCP_DISPATCH_A_REFUSED_REASON, reason)?;
            message.put_uint(TCP_DISPATCH_A_REFUSED_COUNT, count)
        },
    );
}
