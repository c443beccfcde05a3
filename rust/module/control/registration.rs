// SPDX-License-Identifier: GPL-2.0

//! What a request says of a registration.

use crate::{
    bindings::*,
    process::{Owner, Registration, State},
    wrappers::{
        cpus::Cpus,
        cred::Uid,
        genetlink::{Request, RequestAttributes},
        pid::Pid,
        rcu::RcuArc,
    },
};
use kernel::{prelude::*, sync::rcu::Guard};

const PID: u32 = TCP_DISPATCH_A_PROCESS_PID;
const PIDFD: u32 = TCP_DISPATCH_A_PROCESS_PIDFD;

/// There can be no registration of an owner that has died.
pub(super) fn dead(attributes: &RequestAttributes<'_>) -> Error {
    let why = c"the process that the registration is to belong to has died";
    match attributes.get(PID).or(attributes.get(PIDFD)) {
        Some(named) => attributes.extack().attribute(ESRCH, named, why),
        None => attributes.extack().message(ESRCH, why),
    }
}

/// The registration that a request asks for, of a registrant's if `registrant` is one.
pub(super) fn read(
    request: &Request<'_>,
    attributes: &RequestAttributes<'_>,
    registrant: Option<Uid>,
) -> Result<Registration> {
    Ok(Registration {
        weight: weight(attributes).unwrap_or(1),
        state: state(attributes)?.unwrap_or(State::Active),
        cpus: cpus(attributes)?.flatten(),
        owner: owner(request, attributes, registrant)?,
        registrant,
    })
}

/// The weight, if the request has one.
pub(super) fn weight(attributes: &RequestAttributes<'_>) -> Option<u16> {
    // The policy has checked that it isn't larger.
    attributes
        .get(TCP_DISPATCH_A_PROCESS_WEIGHT)
        .map(|given| given.u32() as u16)
}

/// The state, if the request has one.
pub(super) fn state(attributes: &RequestAttributes<'_>) -> Result<Option<State>> {
    attributes
        .get(TCP_DISPATCH_A_PROCESS_STATE)
        .map(|given| State::from_number(given.u32()).ok_or(EINVAL))
        .transpose()
}

/// The CPUs, if the request has any; none if it has an empty list.
pub(super) fn cpus(attributes: &RequestAttributes<'_>) -> Result<Option<Option<RcuArc<Cpus>>>> {
    let Some(given) = attributes.get(TCP_DISPATCH_A_PROCESS_CPUS) else {
        return Ok(None);
    };
    let text = given.string();
    if text.is_empty() {
        return Ok(Some(None));
    }
    let cpus = Cpus::parse(text).map_err(|error| {
        let why = match error {
            ERANGE => c"this computer has no such CPU",
            ENOMEM => c"no memory for a list of CPUs",
            _ => c"not a list of CPUs such as 0-3,8",
        };
        attributes.extack().attribute(error, given, why)
    })?;
    Ok(Some(Some(RcuArc::new(cpus, GFP_KERNEL)?)))
}

fn owner(
    request: &Request<'_>,
    attributes: &RequestAttributes<'_>,
    registrant: Option<Uid>,
) -> Result<Owner> {
    let extack = attributes.extack();
    let given = attributes.get(TCP_DISPATCH_A_PROCESS_OWNER);
    let kind = given.map_or(tcp_dispatch_owner_TCP_DISPATCH_OWNER_NONE, |kind| {
        kind.u32()
    });
    let by_pid = kind == tcp_dispatch_owner_TCP_DISPATCH_OWNER_PID;
    let stray = attributes.get(PID).or(attributes.get(PIDFD));
    if let Some(stray) = stray.filter(|_| !by_pid) {
        let why = c"a process is named only if the owner is one";
        return Err(extack.attribute(EINVAL, stray, why));
    }
    if by_pid {
        return pid(attributes, registrant);
    }
    if kind == tcp_dispatch_owner_TCP_DISPATCH_OWNER_SOCKET {
        return Ok(Owner::Socket(request.portid()));
    }
    if registrant.is_some() {
        let why = c"only an administrator may register what belongs to nobody";
        return Err(match given {
            Some(given) => extack.attribute(EPERM, given, why),
            None => extack.message(EPERM, why),
        });
    }
    Ok(Owner::None)
}

fn pid(attributes: &RequestAttributes<'_>, registrant: Option<Uid>) -> Result<Owner> {
    let extack = attributes.extack();
    let (pid, attribute) = match (attributes.get(PID), attributes.get(PIDFD)) {
        (Some(_), Some(pidfd)) => {
            let why = c"the owner is named twice, by pid and by pidfd";
            return Err(extack.attribute(EINVAL, pidfd, why));
        }
        (Some(given), None) => {
            let why = c"there is no process with this pid";
            let found = Pid::find(given.u32());
            let pid = found.map_err(|error| extack.attribute(error, given, why))?;
            (pid, Some(given))
        }
        (None, Some(given)) => {
            let why = c"no pidfd";
            let found = Pid::of_pidfd(given.u32());
            let pid = found.map_err(|error| extack.attribute(error, given, why))?;
            (pid, Some(given))
        }
        (None, None) => (Pid::current()?, None),
    };
    let user = pid.euid(&Guard::new());
    let user = user.ok_or_else(|| dead(attributes))?;
    if let (Some(given), Some(_)) = (attribute, registrant.filter(|who| *who != user)) {
        let why = c"the process belongs to another user";
        return Err(extack.attribute(EPERM, given, why));
    }
    let number = pid.number();
    Ok(Owner::Pid { pid, number })
}
