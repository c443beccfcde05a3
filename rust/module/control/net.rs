// SPDX-License-Identifier: GPL-2.0

//! Operations on what holds for the whole namespace.

use super::{counters, prefix};
use crate::{
    bindings::*,
    dispatch_net::{ControlGuard, DispatchNet},
    family::Family,
    wrappers::{
        genetlink::{doit, Request, RequestAttributes},
        l3_rx_handler::L3RxHandler,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

doit!(tcp_dispatch_nl_net_get_doit, get);
doit!(tcp_dispatch_nl_net_set_doit, set);

const IPV4: u32 = TCP_DISPATCH_A_NET_PROCESS_PREFIX;
const IPV4_LEN: u32 = TCP_DISPATCH_A_NET_PROCESS_PREFIX_LEN;
const IPV6: u32 = TCP_DISPATCH_A_NET_PROCESS_PREFIX_IPV6;
const IPV6_LEN: u32 = TCP_DISPATCH_A_NET_PROCESS_PREFIX_IPV6_LEN;

fn get(mut request: Request<'_>) -> Result {
    let guard = Guard::new();
    let net = DispatchNet::of(request.net(), &guard);
    let (ipv4, ipv6) = (
        net.ipv4.process_prefix(&guard),
        net.ipv6.process_prefix(&guard),
    );
    drop(guard);
    let services = net.control().services().len();
    request.reply(|message| {
        prefix::put(message, IPV4, IPV4_LEN, ipv4)?;
        prefix::put(message, IPV6, IPV6_LEN, ipv6)?;
        let count = &net.connection_count;
        message.put_u32(TCP_DISPATCH_A_NET_MAX_CONNECTIONS, count.limit())?;
        message.put_u32(TCP_DISPATCH_A_NET_SERVICES, services as u32)?;
        message.put_uint(TCP_DISPATCH_A_NET_CONNECTIONS, count.get())?;
        counters::put_drops(message, TCP_DISPATCH_A_NET_DROPS, &net.drops)
    })
}

fn set(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(IPV6_LEN);
    let ipv4 = prefix::get_or_none::<4>(&attributes, IPV4, IPV4_LEN)?;
    let ipv6 = prefix::get_or_none::<16>(&attributes, IPV6, IPV6_LEN)?;

    let mut control = net.control();
    if let Some(given) = &ipv4 {
        set_prefix(&mut control, &attributes, given)?;
    }
    if let Some(given) = &ipv6 {
        set_prefix(&mut control, &attributes, given)?;
    }
    if let Some(limit) = attributes.get(TCP_DISPATCH_A_NET_MAX_CONNECTIONS) {
        net.connection_count.set_limit(limit.u32());
    }
    drop(control);
    if ipv4.is_some() || ipv6.is_some() {
        L3RxHandler::<DispatchNet>::update(request.net());
    }
    Ok(())
}

fn set_prefix<const N: usize>(
    control: &mut ControlGuard<'_>,
    attributes: &RequestAttributes<'_>,
    given: &prefix::Given<'_, N>,
) -> Result
where
    [u8; N]: Family,
{
    let why = |error, why| attributes.extack().attribute(error, given.attribute, why);
    control
        .set_process_prefix(given.prefix)
        .map_err(|error| match error {
            EBUSY => why(
                EBUSY,
                c"a process is registered whose address is not of this range",
            ),
            EADDRINUSE => why(EADDRINUSE, c"the address of a service is of this range"),
            other => other,
        })
}
