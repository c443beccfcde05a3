// SPDX-License-Identifier: GPL-2.0

//! Operations on connections.

use super::{address, service};
use crate::{
    bindings::*,
    connection::{ByClient, Connection, ConnectionRef, InsertError},
    dispatch_net::DispatchNet,
    tcp_dispatch_core::Tuple,
    wrappers::{
        genetlink::{around_dump, doit, dumpit, Dump, Message, Request, RequestAttributes},
        sock,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

doit!(tcp_dispatch_nl_connection_add_doit, add);
doit!(tcp_dispatch_nl_connection_del_doit, del);
doit!(tcp_dispatch_nl_connection_get_doit, get);
around_dump!(tcp_dispatch_nl_connection_get_start, start);
dumpit!(tcp_dispatch_nl_connection_get_dumpit, dump);
around_dump!(tcp_dispatch_nl_connection_get_done, done);

const CLIENT: u32 = TCP_DISPATCH_A_CONNECTION_CLIENT_ADDRESS;
const SERVICE: u32 = TCP_DISPATCH_A_CONNECTION_SERVICE_ADDRESS;
const PROCESS: u32 = TCP_DISPATCH_A_CONNECTION_PROCESS_ADDRESS;

fn add(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(PROCESS);
    let client = address::require(&attributes, CLIENT)?;
    let refuse =
        |error, attribute, message| Err(attributes.extack().attribute(error, attribute, message));
    // The control lock keeps service and process registered meanwhile.
    let control = net.control();
    let service = service::find(&control, &attributes, SERVICE)?;
    let name = address::require(&attributes, PROCESS)?;
    if !client.address.is_service_address() || net.process_prefix().contains(client.address.ip) {
        return refuse(
            EADDRNOTAVAIL,
            client.attribute,
            c"not an address that a client can have",
        );
    }
    let process = service
        .registered(&Guard::new())
        .iter()
        .find(|process| process.address == name.address)
        .cloned();
    let Some(process) = process else {
        return refuse(
            ENOENT,
            name.attribute,
            c"no such process is registered for this service",
        );
    };
    let connection = Connection::new(client.address, service.address(), process.clone(), 0)?;
    match net.insert(connection) {
        Ok(()) => {
            process.stats.connection();
            service.stats.connection();
            Ok(())
        }
        Err(InsertError::Exists) => refuse(
            EEXIST,
            client.attribute,
            c"the client has this connection already",
        ),
        Err(InsertError::Conflict) => refuse(
            EADDRINUSE,
            name.attribute,
            c"the client has a connection of another service to this process",
        ),
        Err(InsertError::Limit) => Err(attributes
            .extack()
            .message(ENOSPC, c"the connection table is full, see max-connections")),
        Err(InsertError::NoMemory) => Err(ENOMEM),
    }
}

/// The connection that the request names.
fn find<'rcu>(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
    guard: &'rcu Guard,
) -> Result<ConnectionRef<'rcu>> {
    let client = address::require(attributes, CLIENT)?;
    let service = address::require(attributes, SERVICE)?;
    let tuple = Tuple::new(client.address, service.address);
    net.connections
        .find_by_client(&tuple, guard)
        .ok_or_else(|| {
            attributes.extack().attribute(
                ENOENT,
                client.attribute,
                c"the client has no connection to this service",
            )
        })
}

fn del(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(SERVICE);
    let guard = Guard::new();
    let connection = find(net, &attributes, &guard)?;
    net.connections.remove(connection);
    Ok(())
}

fn get(mut request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(SERVICE);
    let connection = find(net, &attributes, &Guard::new())?
        .upgrade()
        .ok_or(ENOENT)?;
    request.reply(|message| put(message, net, &connection))
}

fn start(dump: &mut Dump<'_>) -> Result {
    let net = DispatchNet::of(dump.net(), &Guard::new());
    dump.start_walk(net.connections.walkable())
}

fn done(dump: &mut Dump<'_>) -> Result {
    dump.end_walk::<ByClient>();
    Ok(())
}

fn dump(dump: &mut Dump<'_>) -> Result {
    let net = DispatchNet::of(dump.net(), &Guard::new());
    let attributes = dump.attributes(PROCESS);
    let service = address::get(&attributes, SERVICE)?.map(|given| given.address);
    let process = address::get(&attributes, PROCESS)?.map(|given| given.address);
    let walk = dump.walk::<ByClient>();
    let mut section = walk.section();
    loop {
        // A resize makes the walk meet entries twice. That changes the generation.
        if section.resized() {
            dump.interrupted();
        }
        let Some(connection) = section.peek() else {
            return Ok(());
        };
        let wanted = service.is_none_or(|service| connection.service_address() == service)
            && process.is_none_or(|process| connection.process_address() == process);
        if wanted
            && !dump.message(TCP_DISPATCH_CMD_CONNECTION_GET, |message| {
                put(message, net, &connection)
            })
        {
            // It comes first in the next part.
            return Ok(());
        }
        section.next();
    }
}

fn put(message: &mut Message, net: &DispatchNet, connection: &Connection) -> Result {
    address::put(message, CLIENT, connection.client())?;
    address::put(message, SERVICE, connection.service_address())?;
    address::put(message, PROCESS, connection.process_address())?;
    let state = sock::socket_state(net.net(), connection.to_process(), connection.iif);
    message.put_u32(
        TCP_DISPATCH_A_CONNECTION_STATE,
        state.unwrap_or(tcp_dispatch_tcp_state_TCP_DISPATCH_TCP_STATE_NONE),
    )?;
    let age = connection.created.elapsed().as_millis().max(0);
    message.put_uint(TCP_DISPATCH_A_CONNECTION_AGE, age as u64)
}
