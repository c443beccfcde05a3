// SPDX-License-Identifier: GPL-2.0

//! Devices.

use super::Rtnetlink;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
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
}

/// What to change of a device.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkChange {
    /// Enslave it to the device of this number.
    pub master: Option<u32>,
    /// Set it up.
    pub up: bool,
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
            _ => {}
        }
    }
    link
}
