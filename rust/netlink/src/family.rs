// SPDX-License-Identifier: GPL-2.0

//! The family, as generic netlink knows it.

use crate::message::Reply;
use crate::socket::Socket;
use crate::spec::{EVENTS_GROUP, FAMILY_NAME};
use crate::{attribute, Error};
use netlink_packet_generic::constants::{
    CTRL_ATTR_FAMILY_ID, CTRL_ATTR_MCAST_GROUPS, CTRL_ATTR_MCAST_GRP_ID, CTRL_ATTR_MCAST_GRP_NAME,
};
use netlink_packet_generic::ctrl::{nlas::GenlCtrlAttrs, GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::GenlMessage;
use nix::errno::Errno;

/// Numbers that the kernel gave the family when the module was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// The type of its messages.
    pub(crate) id: u16,
    /// The multicast group that events go to, if there is one.
    pub(crate) events: Option<u32>,
}

impl Family {
    /// Asks for the family. [`Error::NotLoaded`] if it isn't there.
    pub(crate) fn resolve(socket: &mut Socket) -> Result<Self, Error> {
        let request = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY_NAME.to_owned())],
        });
        let replies: Vec<GenlMessage<Reply>> =
            socket
                .request(request, 0)
                .map_err(|error| match error.errno() {
                    Some(errno) if errno == Errno::ENOENT as i32 => Error::NotLoaded,
                    _ => error,
                })?;
        let reply = replies.first().ok_or(Error::NoReply)?;
        Self::decode(&reply.payload).ok_or(Error::NoReply)
    }

    fn decode(reply: &Reply) -> Option<Self> {
        let id = <[u8; 2]>::try_from(reply.find(CTRL_ATTR_FAMILY_ID)?).ok()?;
        let groups = reply.find(CTRL_ATTR_MCAST_GROUPS).unwrap_or_default();
        let events = attribute::all(&groups)
            .filter_map(Result::ok)
            .find_map(|group| events_group(group.value()));
        Some(Self {
            id: u16::from_ne_bytes(id),
            events,
        })
    }
}

/// The number of a multicast group, if it is that of events.
fn events_group(group: &[u8]) -> Option<u32> {
    let (mut name, mut id) = (None, None);
    for attribute in attribute::all(group).filter_map(Result::ok) {
        match attribute.kind() {
            CTRL_ATTR_MCAST_GRP_NAME => name = Some(attribute::string(&attribute)),
            CTRL_ATTR_MCAST_GRP_ID => id = attribute::u32(&attribute).ok(),
            _ => {}
        }
    }
    id.filter(|_| name.as_deref() == Some(EVENTS_GROUP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::{bytes, emit, nest, string_value, u32_value};

    fn group(index: u16, name: &str, id: u32) -> attribute::Attribute {
        nest(
            index,
            &[
                u32_value(CTRL_ATTR_MCAST_GRP_ID, id),
                string_value(CTRL_ATTR_MCAST_GRP_NAME, name),
            ],
        )
    }

    #[test]
    fn the_group_of_events_is_found_among_others() {
        let reply = Reply {
            attributes: emit(&[
                bytes(CTRL_ATTR_FAMILY_ID, &33u16.to_ne_bytes()),
                nest(
                    CTRL_ATTR_MCAST_GROUPS,
                    &[group(1, "others", 7), group(2, EVENTS_GROUP, 8)],
                ),
            ]),
        };
        let events = Some(8);
        assert_eq!(Family::decode(&reply), Some(Family { id: 33, events }));
    }

    #[test]
    fn a_family_of_before_there_were_events_is_known_as_such() {
        let reply = Reply {
            attributes: emit(&[bytes(CTRL_ATTR_FAMILY_ID, &33u16.to_ne_bytes())]),
        };
        let events = None;
        assert_eq!(Family::decode(&reply), Some(Family { id: 33, events }));
    }
}
