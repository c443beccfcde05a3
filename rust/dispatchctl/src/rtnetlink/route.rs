// SPDX-License-Identifier: GPL-2.0

//! Routes.

use super::{wire, Rtnetlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use tcp_dispatch_netlink::{AddressFamily, Error, Prefix};

/// Number of the table that local addresses are in.
pub const TABLE_LOCAL: u32 = 255;

/// What a route does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Its destination is an address of this computer.
    Local,
    /// It leaves by the route's device.
    Device,
    /// It goes nowhere.
    Unreachable,
}

/// A route, as far as the tool cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The family of its destinations.
    pub family: AddressFamily,
    /// The table that it is in.
    pub table: u32,
    /// The destinations that it is for; none for a default route.
    pub destination: Option<Prefix>,
    /// What it does.
    pub kind: RouteKind,
    /// Number of its device; zero if it has none.
    pub device: u32,
    /// Of several routes for a destination, the one with the lowest is taken.
    pub metric: u32,
    /// Who made it.
    pub protocol: RouteProtocol,
}

impl Route {
    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        let (kind, scope) = match self.kind {
            RouteKind::Local => (RouteType::Local, RouteScope::Host),
            RouteKind::Device => (RouteType::Unicast, RouteScope::Link),
            RouteKind::Unreachable => (RouteType::Unreachable, RouteScope::Universe),
        };
        message.header = RouteHeader {
            address_family: wire(self.family),
            destination_prefix_length: self.destination.map_or(0, |prefix| prefix.len()),
            table: u8::try_from(self.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
            protocol: self.protocol,
            scope,
            kind,
            ..RouteHeader::default()
        };
        let destination = self.destination.map(|prefix| {
            let first = RouteAddress::from(prefix.address());
            RouteAttribute::Destination(first)
        });
        message.attributes.extend(destination);
        message.attributes.push(RouteAttribute::Table(self.table));
        let device = (self.device != 0).then_some(RouteAttribute::Oif(self.device));
        let metric = (self.metric != 0).then_some(RouteAttribute::Priority(self.metric));
        message.attributes.extend(device.into_iter().chain(metric));
        message
    }
}

impl Rtnetlink {
    /// A family's local, device and unreachable routes of a table, or those of all tables that
    /// `protocol` made.
    pub fn routes(
        &mut self,
        family: AddressFamily,
        table: Option<u32>,
        protocol: Option<RouteProtocol>,
    ) -> Result<Vec<Route>, Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = wire(family);
        message.header.protocol = protocol.unwrap_or_default();
        message.attributes.extend(table.map(RouteAttribute::Table));
        let answer = match self.dump(RouteNetlinkMessage::GetRoute(message)) {
            // A table without routes does not exist.
            Err(error) if error.errno() == Some(Errno::ENOENT as i32) => return Ok(Vec::new()),
            answer => answer?,
        };
        let routes = answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(message) => read(family, message),
            _ => None,
        });
        // Kernels before 5.0 do not filter.
        Ok(routes
            .filter(|route| table.is_none_or(|table| route.table == table))
            .filter(|route| protocol.is_none_or(|protocol| route.protocol == protocol))
            .collect())
    }

    /// Adds a route.
    pub fn add_route(&mut self, route: &Route) -> Result<(), Error> {
        let request = RouteNetlinkMessage::NewRoute(route.message());
        self.request(request, NLM_F_CREATE | NLM_F_EXCL).map(|_| ())
    }

    /// Deletes a route.
    pub fn del_route(&mut self, route: &Route) -> Result<(), Error> {
        self.request(RouteNetlinkMessage::DelRoute(route.message()), 0)
            .map(|_| ())
    }
}

fn read(family: AddressFamily, message: RouteMessage) -> Option<Route> {
    // A kernel without IPv6 answers with the routes of the families it has.
    if message.header.address_family != wire(family) {
        return None;
    }
    let kind = match message.header.kind {
        RouteType::Local => RouteKind::Local,
        RouteType::Unicast => RouteKind::Device,
        RouteType::Unreachable => RouteKind::Unreachable,
        _ => return None,
    };
    let mut table = u32::from(message.header.table);
    let mut destination = None;
    let mut device = 0;
    let mut metric = 0;
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = number,
            RouteAttribute::Oif(index) => device = index,
            RouteAttribute::Priority(number) => metric = number,
            RouteAttribute::Destination(first) => {
                let first = match first {
                    RouteAddress::Inet(first) => first.into(),
                    RouteAddress::Inet6(first) => first.into(),
                    _ => return None,
                };
                destination = Prefix::new(first, message.header.destination_prefix_length).ok();
            }
            _ => {}
        }
    }
    if kind == RouteKind::Unreachable {
        // IPv6 has it lead nowhere by the loopback device.
        device = 0;
    }
    Some(Route {
        family,
        table,
        destination,
        kind,
        device,
        metric,
        protocol: message.header.protocol,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_another_family_than_was_asked_for_is_passed_over() {
        let route = Route {
            family: AddressFamily::Ipv4,
            table: 77,
            destination: None,
            kind: RouteKind::Unreachable,
            device: 0,
            metric: 1,
            protocol: RouteProtocol::Static,
        };
        assert_eq!(read(AddressFamily::Ipv6, route.message()), None);
        assert_eq!(read(AddressFamily::Ipv4, route.message()), Some(route));
    }
}
