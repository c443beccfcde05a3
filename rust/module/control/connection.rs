// SPDX-License-Identifier: GPL-2.0

//! Operations on connections.

use super::{
    address::{self, Given},
    prefix, service,
};
use crate::{
    assign,
    bindings::*,
    connection::{ByClient, Connection, ConnectionRef, InsertError},
    dispatch_net::DispatchNet,
    family::Family,
    tcp_dispatch_core::{AnySocketAddress, Ipv4Address, Ipv6Address, Prefix, Tuple},
    wrappers::{
        dst::DstRef,
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
const CLIENT_PREFIX_IPV6: u32 = TCP_DISPATCH_A_CONNECTION_CLIENT_PREFIX_IPV6;
const LAST_FILTER: u32 = CLIENT_PREFIX_IPV6;

/// The client's and another address of a request, of one family.
enum Name<'a> {
    V4(Tuple<Ipv4Address>, Given<'a>),
    V6(Tuple<Ipv6Address>, Given<'a>),
}

/// What names a connection: client to service, or client to process, as the attribute of type `to`
/// has it.
///
/// # Errors
///
/// `EAFNOSUPPORT` if the two are of different families.
fn name<'a>(attributes: &RequestAttributes<'a>, to: u32) -> Result<Name<'a>> {
    let client = address::require(attributes, CLIENT)?;
    let to = address::require(attributes, to)?;
    match (client.address, to.address) {
        (AnySocketAddress::V4(from), AnySocketAddress::V4(to)) => {
            Ok(Name::V4(Tuple::new(from, to), client))
        }
        (AnySocketAddress::V6(from), AnySocketAddress::V6(to)) => {
            Ok(Name::V6(Tuple::new(from, to), client))
        }
        _ => {
            let why = c"not of the other address's family";
            let extack = attributes.extack();
            Err(extack.attribute(EAFNOSUPPORT, client.attribute, why))
        }
    }
}

fn add(request: Request<'_>) -> Result {
    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(PROCESS);
    match name(&attributes, SERVICE)? {
        Name::V4(tuple, client) => add_of_family(net, &attributes, tuple, client),
        Name::V6(tuple, client) => add_of_family(net, &attributes, tuple, client),
    }
}

fn add_of_family<A: Family>(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
    tuple: Tuple<A>,
    client: Given<'_>,
) -> Result {
    let refuse =
        |error, attribute, message| Err(attributes.extack().attribute(error, attribute, message));
    // The control lock keeps service and process registered meanwhile.
    let control = net.control();
    let service = service::find(&control, attributes, SERVICE)?;
    let name = address::require(attributes, PROCESS)?;
    if !client.address.is_service_address() || net.is_process_address(client.address, &Guard::new())
    {
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
    let connection = Connection::new(tuple.source(), tuple.destination(), process.clone(), 0)?;
    if connection
        .route(net.net(), 0, &Guard::new())
        .is_some_and(DstRef::is_to_many)
    {
        return refuse(
            EADDRNOTAVAIL,
            client.attribute,
            c"the address of many, not of a client",
        );
    }
    connection.reserve();
    let guard = Guard::new();
    match net.insert(&connection, &guard) {
        Ok(()) => {
            assign::assigned(net, &connection, &guard);
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

/// The connection of a client to a service or a process, as the attribute of type `to` has it.
fn find<'rcu, A: Family>(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
    tuple: &Tuple<A>,
    client: Given<'_>,
    to: u32,
    guard: &'rcu Guard,
) -> Result<ConnectionRef<'rcu, A>> {
    let table = &A::of(net).connections;
    let (found, why) = match to {
        PROCESS => (
            table.find_by_process(tuple, guard),
            c"the client has no connection to this process by a service",
        ),
        _ => (
            table.find_by_client(tuple, guard),
            c"the client has no connection to this service",
        ),
    };
    let extack = attributes.extack();
    found.ok_or_else(|| extack.attribute(ENOENT, client.attribute, why))
}

fn del(request: Request<'_>) -> Result {
    fn of_family<A: Family>(
        net: &DispatchNet,
        attributes: &RequestAttributes<'_>,
        tuple: Tuple<A>,
        client: Given<'_>,
    ) -> Result {
        let guard = Guard::new();
        net.remove(find(net, attributes, &tuple, client, SERVICE, &guard)?);
        Ok(())
    }

    let net = DispatchNet::of(request.net(), &Guard::new());
    let attributes = request.attributes(SERVICE);
    match name(&attributes, SERVICE)? {
        Name::V4(tuple, client) => of_family(net, &attributes, tuple, client),
        Name::V6(tuple, client) => of_family(net, &attributes, tuple, client),
    }
}

fn get(mut request: Request<'_>) -> Result {
    fn of_family<A: Family>(
        request: &mut Request<'_>,
        attributes: &RequestAttributes<'_>,
        tuple: Tuple<A>,
        client: Given<'_>,
        to: u32,
    ) -> Result {
        let net = DispatchNet::of(request.net(), &Guard::new());
        let connection = find(net, attributes, &tuple, client, to, &Guard::new())?
            .upgrade()
            .ok_or(ENOENT)?;
        request.reply(|message| put(message, net, &connection))
    }

    let attributes = request.attributes(PROCESS);
    let to = match (attributes.get(SERVICE), attributes.get(PROCESS)) {
        (Some(_), Some(process)) => {
            let why = c"a connection is named by its service or by its process, not by both";
            return Err(attributes.extack().attribute(EINVAL, process, why));
        }
        (None, Some(_)) => PROCESS,
        _ => SERVICE,
    };
    match name(&attributes, to)? {
        Name::V4(tuple, client) => of_family(&mut request, &attributes, tuple, client, to),
        Name::V6(tuple, client) => of_family(&mut request, &attributes, tuple, client, to),
    }
}

/// Which table a dump walks through, in the first of its positions.
const IPV4: u64 = 0;
const IPV6: u64 = 1;

fn start(dump: &mut Dump<'_>) -> Result {
    let net = DispatchNet::of(dump.net(), &Guard::new());
    dump.start_walk(net.ipv4.connections.walkable())
}

fn done(dump: &mut Dump<'_>) -> Result {
    match dump.positions() {
        (IPV4, _) => dump.end_walk::<ByClient<Ipv4Address>>(),
        _ => dump.end_walk::<ByClient<Ipv6Address>>(),
    }
    Ok(())
}

fn dump(dump: &mut Dump<'_>) -> Result {
    let net = DispatchNet::of(dump.net(), &Guard::new());
    let filter = Filter::read(&dump.attributes(LAST_FILTER))?;
    if let (IPV4, _) = dump.positions() {
        if !dump_family::<Ipv4Address>(dump, net, &filter) {
            return Ok(());
        }
        dump.end_walk::<ByClient<Ipv4Address>>();
        dump.set_positions(IPV6, 0);
        dump.start_walk(net.ipv6.connections.walkable())?;
    }
    if dump.has_walk() {
        dump_family::<Ipv6Address>(dump, net, &filter);
    }
    Ok(())
}

/// Adds the connections of a family. `false` if this part is full.
fn dump_family<A: Family>(dump: &mut Dump<'_>, net: &DispatchNet, filter: &Filter) -> bool {
    let walk = dump.walk::<ByClient<A>>();
    let mut section = walk.section();
    loop {
        // A resize makes the walk meet entries twice. That changes the generation.
        if section.resized() {
            dump.interrupted();
        }
        let Some(connection) = section.peek() else {
            return true;
        };
        if filter.lets_through(net, &connection)
            && !dump.message(TCP_DISPATCH_CMD_CONNECTION_GET, |message| {
                put(message, net, &connection)
            })
        {
            // It comes first in the next part.
            return false;
        }
        section.next();
    }
}

/// A range of clients.
enum Clients {
    V4(Prefix<Ipv4Address>),
    V6(Prefix<Ipv6Address>),
}

/// Which connections a dump is to have.
struct Filter {
    service: Option<AnySocketAddress>,
    process: Option<AnySocketAddress>,
    clients: Option<Clients>,
    state: Option<u32>,
}

impl Filter {
    fn read(attributes: &RequestAttributes<'_>) -> Result<Self> {
        let ipv6 = attributes.get(CLIENT_PREFIX_IPV6);
        if let (Some(_), Some(ipv6)) = (attributes.get(CLIENT_PREFIX), ipv6) {
            let why = c"clients are of a range of IPv4 or of one of IPv6, not of both";
            return Err(attributes.extack().attribute(EINVAL, ipv6, why));
        }
        let clients = if ipv6.is_some() {
            prefix::get::<16>(attributes, CLIENT_PREFIX_IPV6, CLIENT_PREFIX_LEN)?
                .map(|given| Clients::V6(given.prefix))
        } else {
            prefix::get::<4>(attributes, CLIENT_PREFIX, CLIENT_PREFIX_LEN)?
                .map(|given| Clients::V4(given.prefix))
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
    fn lets_through<A: Family>(&self, net: &DispatchNet, connection: &Connection<A>) -> bool {
        let service = A::any(connection.service_address());
        let process = A::any(connection.process_address());
        let client = A::any(connection.client());
        self.service.is_none_or(|wanted| service == wanted)
            && self.process.is_none_or(|wanted| process == wanted)
            && self
                .clients
                .as_ref()
                .is_none_or(|wanted| match (wanted, client) {
                    (Clients::V4(wanted), AnySocketAddress::V4(client)) => {
                        wanted.contains(client.ip)
                    }
                    (Clients::V6(wanted), AnySocketAddress::V6(client)) => {
                        wanted.contains(client.ip)
                    }
                    _ => false,
                })
            && self
                .state
                .is_none_or(|wanted| state(net, connection) == wanted)
    }
}

/// The state of a connection's socket, as a number of the specification's.
fn state<A: Family>(net: &DispatchNet, connection: &Connection<A>) -> u32 {
    sock::socket_state(net.net(), connection.to_process(), connection.iif)
        .unwrap_or(tcp_dispatch_tcp_state_TCP_DISPATCH_TCP_STATE_NONE)
}

fn put<A: Family>(message: &mut Message, net: &DispatchNet, connection: &Connection<A>) -> Result {
    address::put(message, CLIENT, A::any(connection.client()))?;
    address::put(message, SERVICE, A::any(connection.service_address()))?;
    address::put(message, PROCESS, A::any(connection.process_address()))?;
    message.put_u32(TCP_DISPATCH_A_CONNECTION_STATE, state(net, connection))?;
    message.put_uint(TCP_DISPATCH_A_CONNECTION_AGE, connection.age() as u64)
}
