// SPDX-License-Identifier: GPL-2.0

//! Socket addresses in messages.

use crate::{
    bindings::{
        TCP_DISPATCH_A_SOCKET_ADDRESS_IPV4 as IPV4, TCP_DISPATCH_A_SOCKET_ADDRESS_IPV6 as IPV6,
        TCP_DISPATCH_A_SOCKET_ADDRESS_PORT as PORT,
    },
    tcp_dispatch_core::{AnySocketAddress, SocketAddress},
    wrappers::genetlink::{Attribute, Message, RequestAttributes},
};
use kernel::prelude::*;

/// A socket address of a request, with the attribute that it stood in.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) address: AnySocketAddress,
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
    let address = match nested.get(IPV6) {
        None => AnySocketAddress::V4(SocketAddress {
            ip: nested.require(IPV4)?.bytes(),
            port: nested.require(PORT)?.be16(),
        }),
        Some(ipv6) => {
            if nested.get(IPV4).is_some() {
                let why = c"an address is of IPv4 or of IPv6, not of both";
                return Err(nested.extack().attribute(EINVAL, ipv6, why));
            }
            AnySocketAddress::V6(SocketAddress {
                ip: ipv6.bytes(),
                port: nested.require(PORT)?.be16(),
            })
        }
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
pub(super) fn put(message: &mut Message, attribute: u32, address: AnySocketAddress) -> Result {
    message.nest(attribute, |message| {
        match address {
            AnySocketAddress::V4(address) => message.put_be(IPV4, address.ip)?,
            AnySocketAddress::V6(address) => message.put_be(IPV6, address.ip)?,
        }
        message.put_be(PORT, address.port())
    })
}
