// SPDX-License-Identifier: GPL-2.0

//! Who may change what.
//!
//! Netlink has checked the operations that only administrators may use. Registering processes, and
//! changing what one has registered, is open to the registrants of a service, too.

use super::address::Given;
use crate::{
    bindings::*,
    process::Process,
    service::Service,
    wrappers::{
        cred::Uid,
        genetlink::{Request, RequestAttributes},
    },
};
use kernel::prelude::*;

/// Whether who asks may register a process with the address `name` for `service`: an administrator,
/// or a registrant, who is returned.
///
/// # Errors
///
/// `EPERM`, with the reason.
pub(super) fn to_register(
    request: &Request<'_>,
    attributes: &RequestAttributes<'_>,
    service: &Service,
    name: &Given<'_>,
) -> Result<Option<Uid>> {
    if request.is_admin() {
        return Ok(None);
    }
    let extack = attributes.extack();
    let registrants = service.whole_plan()?.settings.registrants;
    let is_permitted = |user: &Uid| {
        registrants.user == Some(*user)
            || registrants.group.is_some_and(|group| group.has_current())
    };
    let Some(user) = request.user().filter(is_permitted) else {
        let why = c"neither an administrator nor one of the service's registrants";
        return Err(
            match attributes.get(TCP_DISPATCH_A_PROCESS_SERVICE_ADDRESS) {
                Some(service) => extack.attribute(EPERM, service, why),
                None => extack.message(EPERM, why),
            },
        );
    };
    if !registrants.prefix.contains(name.address.ip()) {
        let why = c"not of the service's range for registrants";
        return Err(extack.attribute(EPERM, name.attribute, why));
    }
    Ok(Some(user))
}

/// Whether who asks may change or end the registration of `process`: an administrator, or the
/// registrant who made it.
///
/// # Errors
///
/// `EPERM`, with the reason.
pub(super) fn to_change(
    request: &Request<'_>,
    attributes: &RequestAttributes<'_>,
    process: &Process,
) -> Result {
    let own = || process.registrant.is_some() && process.registrant == request.user();
    if request.is_admin() || own() {
        return Ok(());
    }
    let why = c"neither an administrator nor the one who registered this process";
    Err(
        match attributes.get(TCP_DISPATCH_A_PROCESS_PROCESS_ADDRESS) {
            Some(process) => attributes.extack().attribute(EPERM, process, why),
            None => attributes.extack().message(EPERM, why),
        },
    )
}
