// SPDX-License-Identifier: GPL-2.0

//! Devices, routes and rules, by rtnetlink.

mod link;
mod route;
mod rule;

pub use link::{Link, LinkChange};
pub use route::{Route, RouteKind, TABLE_LOCAL};
pub use rule::Rule;

use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::{AddressFamily as Wire, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use tcp_dispatch_netlink::{AddressFamily, Error, Socket};

/// Who made a route or a rule (`rtm_protocol`). The number is one that no
/// routing daemon uses, so that what the tool made is found again even if the
/// module has forgotten the range meanwhile.
pub const OURS: RouteProtocol = RouteProtocol::Other(77);

/// A family's number in messages.
fn wire(family: AddressFamily) -> Wire {
    match family {
        AddressFamily::Ipv4 => Wire::Inet,
        AddressFamily::Ipv6 => Wire::Inet6,
    }
}

/// A routing socket, in the network namespace of the thread that opened it.
pub struct Rtnetlink {
    socket: Socket,
}

impl Rtnetlink {
    /// Opens the socket.
    pub fn open() -> Result<Self, Error> {
        Socket::open(NETLINK_ROUTE).map(|socket| Self { socket })
    }

    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.socket.request(message, flags)
    }

    fn dump(&mut self, message: RouteNetlinkMessage) -> Result<Vec<RouteNetlinkMessage>, Error> {
        let attempt = self.socket.dump(|| message.clone())?;
        Ok(attempt.messages)
    }
}
