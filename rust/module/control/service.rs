// SPDX-License-Identifier: GPL-2.0

//! Operations on services.

use super::{address, counters, settings};
use crate::{
    bindings::*,
    dispatch_net::{ControlGuard, DispatchNet},
    plan::Settings,
    service::Service,
    wrappers::{
        genetlink::{doit, dumpit, Dump, Message, Request, RequestAttributes},
        rcu::RcuArc,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

doit!(tcp_dispatch_nl_service_add_doit, add);
doit!(tcp_dispatch_nl_service_del_doit, del);
doit!(tcp_dispatch_nl_service_set_doit, set);
doit!(tcp_dispatch_nl_service_get_doit, get);
dumpit!(tcp_dispatch_nl_service_get_dumpit, dump);

const NAME: u32 = TCP_DISPATCH_A_SERVICE_SERVICE_ADDRESS;

/// The service that the attribute of type `attribute` names.
pub(super) fn find(
    control: &ControlGuard<'_>,
    attributes: &RequestAttributes<'_>,
    attribute: u32,
) -> Result<RcuArc<Service>> {
    let name = address::require(attributes, attribute)?;
    control.service(name.address).ok_or_else(|| {
        attributes.extack().attribute(
            ENOENT,
            name.attribute,
            c"there is no service at this address",
        )
    })
}

fn add(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(settings::LAST);
    let name = address::require(&attributes, NAME)?;
    let settings = settings::read(net, &attributes, name.address, Settings::DEFAULT)?;
    let refuse = |error, message| {
        Err(attributes
            .extack()
            .attribute(error, name.attribute, message))
    };
    if !name.address.is_service_address() {
        return refuse(EADDRNOTAVAIL, c"not an address that clients can connect to");
    }
    let mut control = net.control();
    if net.is_process_address(name.address, &Guard::new()) {
        return refuse(
            EADDRINUSE,
            c"the address is of the range of process addresses",
        );
    }
    match control.add_service(name.address, settings) {
        Err(EEXIST) => refuse(EEXIST, c"there is a service at this address already"),
        other => other,
    }
}

fn set(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(settings::LAST);
    let mut control = net.control();
    let service = find(&control, &attributes, NAME)?;
    let settings = service.whole_plan()?.settings;
    let settings = settings::read(net, &attributes, service.address(), settings)?;
    control.set_service(&service, settings)
}

fn del(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let mut control = net.control();
    let service = find(&control, &attributes, NAME)?;
    control.remove_service(service.address())
}

fn get(mut request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(NAME);
    let service = find(&net.control(), &attributes, NAME)?;
    request.reply(|message| put(message, net, &service))
}

fn dump(dump: &mut Dump<'_>) -> Result {
    let net = DispatchNet::of(dump.net(), &Guard::new());
    let control = net.control();
    dump.set_generation(control.generation());
    let (after, _) = dump.positions();
    let services = control.services();
    let next = services.partition_point(|service| service.id <= after);
    for service in services.iter().skip(next) {
        if !dump.message(TCP_DISPATCH_CMD_SERVICE_GET, |message| {
            put(message, net, service)
        }) {
            break;
        }
        dump.set_positions(service.id, 0);
    }
    Ok(())
}

/// Puts what there is to say of a service.
pub(super) fn put(message: &mut Message, net: &DispatchNet, service: &Service) -> Result {
    let plan = service.whole_plan()?;
    address::put(message, NAME, service.address())?;
    message.put_u32(
        TCP_DISPATCH_A_SERVICE_PROCESSES,
        plan.processes.len() as u32,
    )?;
    message.put_uint(TCP_DISPATCH_A_SERVICE_CONNECTIONS, service.connections())?;
    counters::put_stats(message, TCP_DISPATCH_A_SERVICE_STATS, &service.stats)?;
    counters::put_drops(message, TCP_DISPATCH_A_SERVICE_DROPS, &service.drops)?;
    settings::put(message, net, service.address(), &plan.settings)
}
