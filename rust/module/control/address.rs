// SPDX-License-Identifier: GPL-2.0

//! Socket addresses in messages.

use crate::{
    bindings::{
        TCP_DISPATCH_A_SOCKET_ADDRESS_IPV4 as IPV4, TCP_DISPATCH_A_SOCKET_ADDRESS_PORT as PORT,
    },
    tcp_dispatch_core::SocketAddress,
    wrappers::genetlink::{Attribute, Message, RequestAttributes},
};
use kernel::prelude::*;

/// A socket address of a request, with the attribute that it stood in.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) address: SocketAddress,
    pub(super) attribute: Attribute<'a>,
}

/// The socket address nested in the attribute of type `attribute`, if that is there.
pub(super) fn get<'a>(
    attributes: &RequestAttributes<'a>,
    attribute: u32,
) -> Result<Option<Given<'a>>> {
    let Some(attribute) = attributes.get(attribute) else {
        return Ok(None);
    };
    let nested = attributes.nested_socket_address(attribute)?;
    let address = SocketAddress {
        ip: nested.require(IPV4)?.be32(),
        port: nested.require(PORT)?.be16(),
    };
    Ok(Some(Given { address, attribute }))
}

/// The socket address nested in the attribute of type `attribute`.
///
/// # Errors
///
/// `EINVAL`, with the attribute named, if it isn't there.
pub(super) fn require<'a>(attributes: &RequestAttributes<'a>, attribute: u32) -> Result<Given<'a>> {
    attributes.require(attribute)?;
    get(attributes, attribute)?.ok_or(EINVAL)
}

/// Puts `address` into an attribute of type `attribute`.
pub(super) fn put(message: &mut Message, attribute: u32, address: SocketAddress) -> Result {
    message.nest(attribute, |message| {
        message.put_be(IPV4, address.ip)?;
        message.put_be(PORT, address.port)
    })
}
