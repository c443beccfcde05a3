// SPDX-License-Identifier: GPL-2.0

//! Operations on connections.

use super::{address, service};
use crate::{
    assign,
    bindings::*,
    connection::{ByClient, Connection, ConnectionRef, InsertError},
    dispatch_net::DispatchNet,
    tcp_dispatch_core::{Prefix, SocketAddress, Tuple},
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
const CLIENT_PREFIX: u32 = TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX;
const CLIENT_PREFIX_LEN: u32 = TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX_LEN;

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
    let Some(process) = control.process(&service, name.address) else {
        return refuse(
            ENOENT,
            name.attribute,
            c"no such process is registered for this service",
        );
    };
    let connection = Connection::new(client.address, service.address(), process.clone(), 0)?;
    connection.reserve();
    match net.insert(connection.clone()) {
        Ok(()) => {
            assign::assigned(net, &connection, &Guard::new());
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
    net.remove(connection);
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
    let filter = Filter::read(&dump.attributes(CLIENT_PREFIX_LEN))?;
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
        if filter.lets_through(net, &connection)
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

/// Which connections a dump is to have.
struct Filter {
    service: Option<SocketAddress>,
    process: Option<SocketAddress>,
    clients: Option<Prefix>,
    state: Option<u32>,
}

impl Filter {
    fn read(attributes: &RequestAttributes<'_>) -> Result<Self> {
        let first = attributes.get(CLIENT_PREFIX);
        let len = attributes.get(CLIENT_PREFIX_LEN);
        let clients = if first.is_some() || len.is_some() {
            let first = attributes.require(CLIENT_PREFIX)?;
            let len = attributes.require(CLIENT_PREFIX_LEN)?;
            let clients = Prefix::new(first.be32(), len.u8()).ok_or_else(|| {
                let why = c"not the first address of a range of this length";
                attributes.extack().attribute(EINVAL, first, why)
            })?;
            Some(clients)
        } else {
            None
        };
        Ok(Self {
            service: address::get(attributes, SERVICE)?.map(|given| given.address),
            process: address::get(attributes, PROCESS)?.map(|given| given.address),
            clients,
            state: attributes
                .get(TCP_DISPATCH_A_CONNECTION_STATE)
                .map(|given| given.u32()),
        })
    }

    /// The state comes last, since it is asked of TCP.
    fn lets_through(&self, net: &DispatchNet, connection: &Connection) -> bool {
        let (service, process) = (connection.service_address(), connection.process_address());
        self.service.is_none_or(|wanted| service == wanted)
            && self.process.is_none_or(|wanted| process == wanted)
            && self
                .clients
                .is_none_or(|wanted| wanted.contains(connection.client().ip))
            && self
                .state
                .is_none_or(|wanted| state(net, connection) == wanted)
    }
}

/// The state of a connection's socket, as a number of the specification's.
fn state(net: &DispatchNet, connection: &Connection) -> u32 {
    sock::socket_state(net.net(), connection.to_process(), connection.iif)
        .unwrap_or(tcp_dispatch_tcp_state_TCP_DISPATCH_TCP_STATE_NONE)
}

fn put(message: &mut Message, net: &DispatchNet, connection: &Connection) -> Result {
    address::put(message, CLIENT, connection.client())?;
    address::put(message, SERVICE, connection.service_address())?;
    address::put(message, PROCESS, connection.process_address())?;
    message.put_u32(TCP_DISPATCH_A_CONNECTION_STATE, state(net, connection))?;
    message.put_uint(TCP_DISPATCH_A_CONNECTION_AGE, connection.age() as u64)
}
