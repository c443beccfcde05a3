// SPDX-License-Identifier: GPL-2.0

//! Operations on processes.

use super::{address, counters, permission, registration, service};
use crate::{
    abort,
    bindings::*,
    dispatch_net::{ControlGuard, DispatchNet},
    plan::MAX_PROCESSES,
    process::{Owner, Process, State},
    wrappers::{
        genetlink::{doit, dumpit, Dump, Message, Request, RequestAttributes},
        rcu::RcuArc,
    },
};
use kernel::{
    prelude::*,
    sync::{atomic::ordering, rcu::Guard},
};

doit!(tcp_dispatch_nl_process_add_doit, add);
doit!(tcp_dispatch_nl_process_set_doit, set);
doit!(tcp_dispatch_nl_process_del_doit, del);
doit!(tcp_dispatch_nl_process_get_doit, get);
dumpit!(tcp_dispatch_nl_process_get_dumpit, dump);

const SERVICE: u32 = TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS;
const NAME: u32 = TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS;

/// As many as a service may have, in words.
const FULL: &CStr = c"the service has 1024 processes, as many as it may have";
const _: () = assert!(MAX_PROCESSES == 1024);

fn add(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(TCP_DISPATCH_A_PROCESS_PIDFD);
    let extack = attributes.extack();
    let mut control = net.control();
    let service = service::find(&control, &attributes, SERVICE)?;
    let name = address::require(&attributes, NAME)?;
    let refuse = |error, message| Err(extack.attribute(error, name.attribute, message));
    if !name.address.is_of_family_of(&service.address()) {
        return refuse(EAFNOSUPPORT, c"not of the service's address family");
    }
    if !net.has_process_prefix(name.address, &Guard::new()) {
        return refuse(
            EADDRNOTAVAIL,
            c"the namespace has no range of process addresses yet",
        );
    }
    if !net.is_process_address(name.address, &Guard::new()) {
        return refuse(
            EADDRNOTAVAIL,
            c"not of the namespace's range of process addresses",
        );
    }
    let registrant = permission::to_register(&request, &attributes, &service, &name)?;
    let registration = registration::read(&request, &attributes, registrant)?;
    match control.add_process(&service, name.address, registration) {
        Err(EEXIST) => refuse(EEXIST, c"registered for this service already"),
        Err(ENOSPC) => refuse(ENOSPC, FULL),
        Err(ESRCH) => Err(registration::dead(&attributes)),
        other => other,
    }
}

/// The process that the request names.
fn find(control: &ControlGuard<'_>, attributes: &RequestAttributes<'_>) -> Result<RcuArc<Process>> {
    let service = service::find(control, attributes, SERVICE)?;
    let name = address::require(attributes, NAME)?;
    control.process(&service, name.address).ok_or_else(|| {
        attributes.extack().attribute(
            ENOENT,
            name.attribute,
            c"no such process is registered for this service",
        )
    })
}

fn set(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(TCP_DISPATCH_A_PROCESS_CPUS);
    let mut control = net.control();
    let process = find(&control, &attributes)?;
    permission::to_change(&request, &attributes, &process)?;

    let cpus = registration::cpus(&attributes)?;
    let state = registration::state(&attributes)?;
    let timeout = attributes.get(TCP_DISPATCH_A_PROCESS_DRAIN_TIMEOUT);
    if let Some(timeout) = timeout.filter(|_| state != Some(State::Draining)) {
        return Err(attributes.extack().attribute(
            EINVAL,
            timeout,
            c"there is a time to drain only with the state draining",
        ));
    }
    if let Some(cpus) = cpus {
        process.cpus.replace(cpus);
    }
    if let Some(weight) = registration::weight(&attributes) {
        process.set_weight(weight);
    }
    if let Some(state) = state {
        let sweep = net.sweeps.load(ordering::Relaxed);
        process.set_state(state, timeout.map(|timeout| timeout.u32()), sweep);
    }
    control.process_changed(&process)?;
    drop(control);
    if state == Some(State::Down) {
        abort::connections_of(net, &process)?;
    }
    Ok(())
}

fn del(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let mut control = net.control();
    let process = find(&control, &attributes)?;
    permission::to_change(&request, &attributes, &process)?;
    control.remove_process(&process)
}

fn get(mut request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let process = find(&net.control(), &attributes)?;
    request.reply(|message| put(message, net, &process))
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
        for process in &service.whole_plan()?.processes {
            if service.id == after_service && process.id <= after_process {
                continue;
            }
            if !dump.message(TCP_DISPATCH_CMD_PROCESS_GET, |message| {
                put(message, net, process)
            }) {
                return Ok(());
            }
            dump.set_positions(service.id, process.id);
        }
    }
    Ok(())
}

/// Puts what there is to say of a process.
pub(super) fn put(message: &mut Message, net: &DispatchNet, process: &Process) -> Result {
    address::put(message, SERVICE, process.service.address())?;
    address::put(message, NAME, process.address)?;
    message.put_uint(TCP_DISPATCH_A_PROCESS_CONNECTIONS, process.connections())?;
    counters::put_stats(message, TCP_DISPATCH_A_PROCESS_STATS, &process.stats)?;
    counters::put_drops(message, TCP_DISPATCH_A_PROCESS_DROPS, &process.drops)?;
    message.put_u32(TCP_DISPATCH_A_PROCESS_WEIGHT, process.weight().into())?;
    message.put_u32(TCP_DISPATCH_A_PROCESS_STATE, process.state() as u32)?;
    if let Some(left) = process.time_left() {
        message.put_u32(TCP_DISPATCH_A_PROCESS_DRAIN_TIMEOUT, left)?;
    }
    put_cpus(message, process)?;
    match process.owner {
        Owner::None => put_owner(message, tcp_dispatch_owner_TCP_DISPATCH_OWNER_NONE)?,
        Owner::Socket(_) => put_owner(message, tcp_dispatch_owner_TCP_DISPATCH_OWNER_SOCKET)?,
        Owner::Pid { number, .. } => {
            put_owner(message, tcp_dispatch_owner_TCP_DISPATCH_OWNER_PID)?;
            message.put_u32(TCP_DISPATCH_A_PROCESS_PID, number)?;
        }
    }
    if let Some(user) = process.registrant {
        message.put_u32(TCP_DISPATCH_A_PROCESS_UID, user.number(net.net()))?;
    }
    if let Some(listener) = process.listener_for_anybody(net.net(), &Guard::new()) {
        let (queue, max) = (listener.accept_queue, listener.accept_queue_max);
        message.put_u32(TCP_DISPATCH_A_PROCESS_ACCEPT_QUEUE, queue)?;
        message.put_u32(TCP_DISPATCH_A_PROCESS_ACCEPT_QUEUE_MAX, max)?;
    }
    Ok(())
}

fn put_owner(message: &mut Message, owner: u32) -> Result {
    message.put_u32(TCP_DISPATCH_A_PROCESS_OWNER, owner)
}

fn put_cpus(message: &mut Message, process: &Process) -> Result {
    let cpus = process
        .cpus
        .read(&Guard::new())
        .and_then(|cpus| cpus.upgrade());
    match cpus {
        Some(cpus) => message.put_string(TCP_DISPATCH_A_PROCESS_CPUS, cpus.text()),
        None => Ok(()),
    }
}
