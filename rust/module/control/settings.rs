// SPDX-License-Identifier: GPL-2.0

//! A service's settings in messages.

use super::prefix;
use crate::{
    bindings::*,
    dispatch_net::DispatchNet,
    family::Family,
    plan::{AffinitySettings, Refusal, Registrants, Settings},
    tcp_dispatch_core::{schedule::Scheduler, Address, AnySocketAddress, Ipv6Address, Prefix},
    wrappers::{
        cred::{Gid, Uid},
        genetlink::{Message, RequestAttributes},
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

/// The last attribute that a request with settings may have.
pub(super) const LAST: u32 = REGISTRANT_PREFIX_IPV6;

const SCHEDULER: u32 = TCP_DISPATCH_A_SERVICE_SCHEDULER;
const REFUSAL: u32 = TCP_DISPATCH_A_SERVICE_REFUSAL;
const AFFINITY_TIMEOUT: u32 = TCP_DISPATCH_A_SERVICE_AFFINITY_TIMEOUT;
const AFFINITY_PREFIX_LEN: u32 = TCP_DISPATCH_A_SERVICE_AFFINITY_PREFIX_LEN;
const REGISTRANT_UID: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_UID;
const REGISTRANT_GID: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_GID;
const REGISTRANT_PREFIX: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX;
const REGISTRANT_PREFIX_LEN: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_LEN;
const REGISTRANT_PREFIX_IPV6: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_IPV6;

/// What stands for no user and no group.
const NOBODY: u32 = u32::MAX;

/// `settings` of the service at `service`, with what a request says put in its place.
pub(super) fn read(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
    service: AnySocketAddress,
    settings: Settings,
) -> Result<Settings> {
    let number = |attribute, unless: u32| {
        attributes
            .get(attribute)
            .map_or(unless, |given| given.u32())
    };
    let scheduler = number(SCHEDULER, settings.scheduler.number());
    let refusal = number(REFUSAL, settings.refusal as u32);
    Ok(Settings {
        scheduler: Scheduler::from_number(scheduler).ok_or(EINVAL)?,
        refusal: Refusal::from_number(refusal).ok_or(EINVAL)?,
        affinity: AffinitySettings {
            timeout: number(AFFINITY_TIMEOUT, settings.affinity.timeout),
            prefix_len: match attributes.get(AFFINITY_PREFIX_LEN) {
                Some(given) if given.u8() > service.bits() => {
                    let why = c"longer than an address of the service's family";
                    return Err(attributes.extack().attribute(ERANGE, given, why));
                }
                Some(given) => given.u8() + beyond(service),
                None => settings.affinity.prefix_len,
            },
        },
        registrants: registrants(net, attributes, service, settings.registrants)?,
    })
}

/// How much longer a prefix is when its addresses are written as IPv6's.
fn beyond(service: AnySocketAddress) -> u8 {
    Ipv6Address::BITS - service.bits()
}

fn registrants(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
    service: AnySocketAddress,
    before: Registrants,
) -> Result<Registrants> {
    let extack = attributes.extack();
    let mut registrants = before;
    if let Some(given) = attributes.get(REGISTRANT_UID) {
        registrants.user = Uid::new(net.net(), given.u32());
        if registrants.user.is_none() && given.u32() != NOBODY {
            let why = c"no user of the namespace's owner has this number";
            return Err(extack.attribute(EINVAL, given, why));
        }
    }
    if let Some(given) = attributes.get(REGISTRANT_GID) {
        registrants.group = Gid::new(net.net(), given.u32());
        if registrants.group.is_none() && given.u32() != NOBODY {
            let why = c"no group of the namespace's owner has this number";
            return Err(extack.attribute(EINVAL, given, why));
        }
    }
    let (range, stray) = match service {
        AnySocketAddress::V4(_) => (
            range::<4>(net, attributes, REGISTRANT_PREFIX)?,
            REGISTRANT_PREFIX_IPV6,
        ),
        AnySocketAddress::V6(_) => (
            range::<16>(net, attributes, REGISTRANT_PREFIX_IPV6)?,
            REGISTRANT_PREFIX,
        ),
    };
    if let Some(stray) = attributes.get(stray) {
        let why = c"not of the service's address family";
        return Err(extack.attribute(EAFNOSUPPORT, stray, why));
    }
    if let Some(range) = range {
        registrants.prefix = range;
    }
    Ok(registrants)
}

/// The range for registrants whose first address is in the attribute of type `first`, of addresses as
/// in [`Registrants`].
fn range<const N: usize>(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
    first: u32,
) -> Result<Option<Prefix<Ipv6Address>>>
where
    [u8; N]: Family,
{
    let Some(given) = prefix::get_or_none::<N>(attributes, first, REGISTRANT_PREFIX_LEN)? else {
        return Ok(None);
    };
    let all = <[u8; N]>::of(net).process_prefix(&Guard::new());
    if !all.covers(&given.prefix) {
        let why = c"not within the namespace's range of process addresses";
        let extack = attributes.extack();
        return Err(extack.attribute(EADDRNOTAVAIL, given.attribute, why));
    }
    Ok(Some(given.prefix.to_ipv6()))
}

/// Puts settings.
pub(super) fn put(
    message: &mut Message,
    net: &DispatchNet,
    service: AnySocketAddress,
    settings: &Settings,
) -> Result {
    message.put_u32(SCHEDULER, settings.scheduler.number())?;
    message.put_u32(REFUSAL, settings.refusal as u32)?;
    message.put_u32(AFFINITY_TIMEOUT, settings.affinity.timeout)?;
    let affinity_prefix_len = settings.affinity.prefix_len - beyond(service);
    message.put_u8(AFFINITY_PREFIX_LEN, affinity_prefix_len)?;
    let registrants = &settings.registrants;
    if let Some(user) = registrants.user {
        message.put_u32(REGISTRANT_UID, user.number(net.net()))?;
    }
    if let Some(group) = registrants.group {
        message.put_u32(REGISTRANT_GID, group.number(net.net()))?;
    }
    let range = registrants.prefix;
    match service {
        AnySocketAddress::V6(_) => prefix::put(
            message,
            REGISTRANT_PREFIX_IPV6,
            REGISTRANT_PREFIX_LEN,
            range,
        ),
        AnySocketAddress::V4(_) => prefix::put(
            message,
            REGISTRANT_PREFIX,
            REGISTRANT_PREFIX_LEN,
            range.to_ipv4().unwrap_or(Prefix::EMPTY),
        ),
    }
}
