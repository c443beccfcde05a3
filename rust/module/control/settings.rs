// SPDX-License-Identifier: GPL-2.0

//! A service's settings in messages.

use crate::{
    bindings::*,
    dispatch_net::DispatchNet,
    plan::{AffinitySettings, Refusal, Registrants, Settings},
    tcp_dispatch_core::{schedule::Scheduler, Prefix},
    wrappers::{
        cred::{Gid, Uid},
        genetlink::{Message, RequestAttributes},
    },
};
use kernel::prelude::*;

/// The last attribute that a request with settings may have.
pub(super) const LAST: u32 = REGISTRANT_PREFIX_LEN;

const SCHEDULER: u32 = TCP_DISPATCH_A_SERVICE_SCHEDULER;
const REFUSAL: u32 = TCP_DISPATCH_A_SERVICE_REFUSAL;
const AFFINITY_TIMEOUT: u32 = TCP_DISPATCH_A_SERVICE_AFFINITY_TIMEOUT;
const AFFINITY_PREFIX_LEN: u32 = TCP_DISPATCH_A_SERVICE_AFFINITY_PREFIX_LEN;
const REGISTRANT_UID: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_UID;
const REGISTRANT_GID: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_GID;
const REGISTRANT_PREFIX: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX;
const REGISTRANT_PREFIX_LEN: u32 = TCP_DISPATCH_A_SERVICE_REGISTRANT_PREFIX_LEN;

/// What stands for no user and no group.
const NOBODY: u32 = u32::MAX;

/// `settings`, with what a request says put in its place.
pub(super) fn read(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
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
            prefix_len: attributes
                .get(AFFINITY_PREFIX_LEN)
                .map_or(settings.affinity.prefix_len, |given| given.u8()),
        },
        registrants: registrants(net, attributes, settings.registrants)?,
    })
}

fn registrants(
    net: &DispatchNet,
    attributes: &RequestAttributes<'_>,
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
    match (
        attributes.get(REGISTRANT_PREFIX),
        attributes.get(REGISTRANT_PREFIX_LEN),
    ) {
        (None, None) => {}
        (_, Some(len)) if len.u8() == 0 => registrants.prefix = Prefix::EMPTY,
        _ => {
            let first = attributes.require(REGISTRANT_PREFIX)?;
            let len = attributes.require(REGISTRANT_PREFIX_LEN)?;
            let Some(prefix) = Prefix::new(first.be32(), len.u8()) else {
                let why = c"not the first address of a range of this length";
                return Err(extack.attribute(EINVAL, first, why));
            };
            if !net.process_prefix().covers(&prefix) {
                let why = c"not within the namespace's range of process addresses";
                return Err(extack.attribute(EADDRNOTAVAIL, first, why));
            }
            registrants.prefix = prefix;
        }
    }
    Ok(registrants)
}

/// Puts settings.
pub(super) fn put(message: &mut Message, net: &DispatchNet, settings: &Settings) -> Result {
    message.put_u32(SCHEDULER, settings.scheduler.number())?;
    message.put_u32(REFUSAL, settings.refusal as u32)?;
    message.put_u32(AFFINITY_TIMEOUT, settings.affinity.timeout)?;
    message.put_u8(AFFINITY_PREFIX_LEN, settings.affinity.prefix_len)?;
    let registrants = &settings.registrants;
    if let Some(user) = registrants.user {
        message.put_u32(REGISTRANT_UID, user.number(net.net()))?;
    }
    if let Some(group) = registrants.group {
        message.put_u32(REGISTRANT_GID, group.number(net.net()))?;
    }
    if !registrants.prefix.is_empty() {
        message.put_be(REGISTRANT_PREFIX, registrants.prefix.ip())?;
        message.put_u8(REGISTRANT_PREFIX_LEN, registrants.prefix.len())?;
    }
    Ok(())
}
