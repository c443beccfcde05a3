// SPDX-License-Identifier: GPL-2.0

//! Devices.

use super::Rtnetlink;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use tcp_dispatch_netlink::Error;

/// A device, as far as the tool cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its kind, if it is virtual.
    pub kind: Option<String>,
    /// Number of the device that it is enslaved to.
    pub master: Option<u32>,
    /// Whether it was set up.
    pub up: bool,
    /// Whether IPv6 gives it addresses by itself, and asks for routers by it.
    pub generates_addresses: bool,
}

/// What to change of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkChange {
    /// Enslave it to the device of this number.
    pub master: Option<u32>,
    /// Set it up.
    pub up: bool,
    /// Let IPv6 give it no addresses by itself.
    pub generate_no_addresses: bool,
}

impl LinkChange {
    fn message(self) -> LinkMessage {
        let mut message = LinkMessage::default();
        if self.up {
            message.header.flags = LinkFlags::Up;
            message.header.change_mask = LinkFlags::Up;
        }
        message
            .attributes
            .extend(self.master.map(LinkAttribute::Controller));
        if self.generate_no_addresses {
            let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
            let of_ipv6 = AfSpecUnspec::Inet6(vec![mode]);
            message
                .attributes
                .push(LinkAttribute::AfSpecUnspec(vec![of_ipv6]));
        }
        message
    }
}

impl Rtnetlink {
    /// The device of a name, if there is one.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, Error> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        let answer = match self.request(RouteNetlinkMessage::GetLink(message), 0) {
            Err(error) if error.errno() == Some(Errno::ENODEV as i32) => return Ok(None),
            answer => answer?,
        };
        Ok(answer.into_iter().find_map(|message| match message {
            RouteNetlinkMessage::NewLink(message) => Some(read(message)),
            _ => None,
        }))
    }

    /// Creates a device of a kind.
    pub fn add_link(&mut self, name: &str, kind: &str, change: LinkChange) -> Result<(), Error> {
        let mut message = change.message();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Other(kind.to_owned()),
            )]));
        let request = RouteNetlinkMessage::NewLink(message);
        self.request(request, NLM_F_CREATE | NLM_F_EXCL).map(|_| ())
    }

    /// Changes a device.
    pub fn set_link(&mut self, index: u32, change: LinkChange) -> Result<(), Error> {
        let mut message = change.message();
        message.header.index = index;
        self.request(RouteNetlinkMessage::SetLink(message), 0)
            .map(|_| ())
    }

    /// Deletes a device.
    pub fn del_link(&mut self, index: u32) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.request(RouteNetlinkMessage::DelLink(message), 0)
            .map(|_| ())
    }
}

fn read(message: LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        kind: None,
        master: None,
        up: message.header.flags.contains(LinkFlags::Up),
        generates_addresses: false,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::Controller(index) => link.master = Some(index).filter(|n| *n != 0),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::AfSpecUnspec(families) => {
                link.generates_addresses = families.iter().any(generates_addresses);
            }
            _ => {}
        }
    }
    link
}

/// Whether a device's settings of a family have it generate addresses.
fn generates_addresses(family: &AfSpecUnspec) -> bool {
    let AfSpecUnspec::Inet6(settings) = family else {
        return false;
    };
    settings.iter().any(|setting| {
        matches!(setting, AfSpecInet6::AddrGenMode(mode) if *mode != In6AddrGenMode::None)
    })
}
