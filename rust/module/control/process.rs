// SPDX-License-Identifier: GPL-2.0

//! Operations on processes.

use super::{address, counters, service};
use crate::{
    bindings::*,
    dispatch_net::DispatchNet,
    process::Process,
    wrappers::genetlink::{doit, dumpit, Dump, Message, Request},
};
use kernel::{
    prelude::*,
    sync::{atomic::ordering, rcu::Guard},
};

doit!(tcp_dispatch_nl_process_add_doit, add);
doit!(tcp_dispatch_nl_process_del_doit, del);
doit!(tcp_dispatch_nl_process_get_doit, get);
dumpit!(tcp_dispatch_nl_process_get_dumpit, dump);

const SERVICE: u32 = TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS;
const NAME: u32 = TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS;

fn add(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let mut control = net.control();
    let service = service::find(&control, &attributes, SERVICE)?;
    let name = address::require(&attributes, NAME)?;
    let refuse = |error, message| {
        Err(attributes
            .extack()
            .attribute(error, name.attribute, message))
    };
    let prefix = net.process_prefix();
    if prefix.is_empty() {
        return refuse(
            EADDRNOTAVAIL,
            c"the namespace has no range of process addresses yet",
        );
    }
    if !prefix.contains(name.address.ip) {
        return refuse(
            EADDRNOTAVAIL,
            c"not of the namespace's range of process addresses",
        );
    }
    match control.add_process(service, name.address) {
        Err(EEXIST) => refuse(EEXIST, c"registered for this service already"),
        other => other,
    }
}

const NOT_REGISTERED: &CStr = c"no such process is registered for this service";

fn del(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let mut control = net.control();
    let service = service::find(&control, &attributes, SERVICE)?;
    let name = address::require(&attributes, NAME)?;
    control
        .remove_process(&service, name.address)
        .map_err(|error| match error {
            ENOENT => attributes
                .extack()
                .attribute(ENOENT, name.attribute, NOT_REGISTERED),
            other => other,
        })
}

fn get(mut request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let service = service::find(&net.control(), &attributes, SERVICE)?;
    let name = address::require(&attributes, NAME)?;
    let process = service
        .registered(&Guard::new())
        .iter()
        .find(|process| process.address == name.address)
        .cloned()
        .ok_or_else(|| {
            attributes
                .extack()
                .attribute(ENOENT, name.attribute, NOT_REGISTERED)
        })?;
    request.reply(|message| put(message, &process))
}

/// Services stand in the order of their ids, and so do the processes of a service: a part goes on
/// behind the process that the one before ended with, whatever came or went meanwhile.
fn dump(dump: &mut Dump<'_>) -> Result {
    let net = DispatchNet::of(dump.net(), &Guard::new());
    let attributes = dump.attributes(SERVICE);
    let control = net.control();
    dump.set_generation(control.generation());
    let only = match attributes.get(SERVICE) {
        Some(_) => Some(service::find(&control, &attributes, SERVICE)?),
        None => None,
    };
    let (after_service, after_process) = dump.positions();
    let services = control.services();
    let next = services.partition_point(|service| service.id < after_service);
    for service in services.iter().skip(next) {
        if only.as_ref().is_some_and(|only| !only.ptr_eq(service)) {
            continue;
        }
        let guard = Guard::new();
        for process in service.registered(&guard) {
            if service.id == after_service && process.id <= after_process {
                continue;
            }
            if !dump.message(TCP_DISPATCH_CMD_PROCESS_GET, |message| {
                put(message, process)
            }) {
                return Ok(());
            }
            dump.set_positions(service.id, process.id);
        }
    }
    Ok(())
}

fn put(message: &mut Message, process: &Process) -> Result {
    address::put(message, SERVICE, process.service.address())?;
    address::put(message, NAME, process.address)?;
    let connections = process.connections.load(ordering::Relaxed).max(0);
    message.put_uint(TCP_DISPATCH_A_PROCESS_CONNECTIONS, connections as u64)?;
    counters::put_stats(message, TCP_DISPATCH_A_PROCESS_STATS, &process.stats)?;
    counters::put_drops(message, TCP_DISPATCH_A_PROCESS_DROPS, &process.drops)
}
