// SPDX-License-Identifier: GPL-2.0

//! Ranges of addresses in messages.

use crate::{
    tcp_dispatch_core::{Address, Prefix},
    wrappers::genetlink::{Attribute, Message, RequestAttributes},
};
use kernel::prelude::*;

/// A range of a request, of addresses of `N` bytes, with the attribute to blame for it.
pub(super) struct Given<'a, const N: usize>
where
    [u8; N]: Address,
{
    pub(super) prefix: Prefix<[u8; N]>,
    pub(super) attribute: Attribute<'a>,
}

/// The range whose first address stands in the attribute of type `first`, and its length in that of
/// type `len`; nothing if neither is there.
///
/// # Errors
///
/// `EINVAL`, with the attribute named, if only one is there, or if they don't fit each other.
pub(super) fn get<'a, const N: usize>(
    attributes: &RequestAttributes<'a>,
    first: u32,
    len: u32,
) -> Result<Option<Given<'a, N>>>
where
    [u8; N]: Address,
{
    if attributes.get(first).is_none() && attributes.get(len).is_none() {
        return Ok(None);
    }
    let attribute = attributes.require(first)?;
    let len = attributes.require(len)?;
    let prefix = Prefix::new(attribute.bytes(), len.u8()).ok_or_else(|| {
        let why = c"not the first address of a range of this length";
        attributes.extack().attribute(EINVAL, attribute, why)
    })?;
    Ok(Some(Given { prefix, attribute }))
}

/// As [`get`], where a length of zero means no address.
pub(super) fn get_or_none<'a, const N: usize>(
    attributes: &RequestAttributes<'a>,
    first: u32,
    len: u32,
) -> Result<Option<Given<'a, N>>>
where
    [u8; N]: Address,
{
    match attributes.get(len) {
        Some(attribute) if attribute.u8() == 0 => Ok(Some(Given {
            prefix: Prefix::EMPTY,
            attribute,
        })),
        _ => get(attributes, first, len),
    }
}

/// Puts a range into attributes of the types `first` and `len`, unless it has no address.
pub(super) fn put<const N: usize>(
    message: &mut Message,
    first: u32,
    len: u32,
    prefix: Prefix<[u8; N]>,
) -> Result
where
    [u8; N]: Address,
{
    if prefix.is_empty() {
        return Ok(());
    }
    message.put_be(first, prefix.ip())?;
    message.put_u8(len, prefix.len())
}
