// SPDX-License-Identifier: GPL-2.0

//! Operations on what holds for the whole namespace.

use super::counters;
use crate::{
    bindings::*,
    dispatch_net::DispatchNet,
    tcp_dispatch_core::Prefix,
    wrappers::{
        genetlink::{doit, Request},
        l3_rx_handler::L3RxHandler,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

doit!(tcp_dispatch_nl_net_get_doit, get);
doit!(tcp_dispatch_nl_net_set_doit, set);

fn get(mut request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let services = net.control().services().len();
    request.reply(|message| {
        let prefix = net.process_prefix();
        if !prefix.is_empty() {
            message.put_be(TCP_DISPATCH_A_NET_PROCESS_PREFIX, prefix.ip())?;
            message.put_u8(TCP_DISPATCH_A_NET_PROCESS_PREFIX_LEN, prefix.len())?;
        }
        let table = &net.connections;
        message.put_u32(TCP_DISPATCH_A_NET_MAX_CONNECTIONS, table.limit())?;
        message.put_u32(TCP_DISPATCH_A_NET_SERVICES, services as u32)?;
        message.put_uint(TCP_DISPATCH_A_NET_CONNECTIONS, table.len())?;
        counters::put_drops(message, TCP_DISPATCH_A_NET_DROPS, &net.drops)
    })
}

fn set(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(TCP_DISPATCH_A_NET_MAX_CONNECTIONS);
    let extack = attributes.extack();
    let length = attributes.get(TCP_DISPATCH_A_NET_PROCESS_PREFIX_LEN);
    let first = attributes.get(TCP_DISPATCH_A_NET_PROCESS_PREFIX);
    let prefix = match (first, length) {
        (None, None) => None,
        (_, Some(length)) if length.u8() == 0 => Some((Prefix::EMPTY, length)),
        _ => {
            let first = attributes.require(TCP_DISPATCH_A_NET_PROCESS_PREFIX)?;
            let length = attributes.require(TCP_DISPATCH_A_NET_PROCESS_PREFIX_LEN)?;
            let prefix = Prefix::new(first.be32(), length.u8()).ok_or_else(|| {
                extack.attribute(
                    EINVAL,
                    first,
                    c"not the first address of a range of this length",
                )
            })?;
            Some((prefix, first))
        }
    };

    let mut control = net.control();
    if let Some((prefix, attribute)) = prefix {
        control
            .set_process_prefix(prefix)
            .map_err(|error| match error {
                EBUSY => extack.attribute(
                    EBUSY,
                    attribute,
                    c"a process is registered whose address is not of this range",
                ),
                EADDRINUSE => extack.attribute(
                    EADDRINUSE,
                    attribute,
                    c"the address of a service is of this range",
                ),
                other => other,
            })?;
    }
    if let Some(limit) = attributes.get(TCP_DISPATCH_A_NET_MAX_CONNECTIONS) {
        net.connections.set_limit(limit.u32());
    }
    drop(control);
    if prefix.is_some() {
        L3RxHandler::<DispatchNet>::update(request.net());
    }
    Ok(())
}
