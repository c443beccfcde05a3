// SPDX-License-Identifier: GPL-2.0

//! What to do about a process that could not be added.

use crate::cli::ProcessName;
use crate::failure::Refusal;
use crate::up;
use nix::errno::Errno;
use tcp_dispatch_netlink::{AddressFamily, Client, Prefix};

/// What to do if a process could not be added.
pub fn next(client: &mut Client, refusal: &Refusal<'_>, name: ProcessName) -> Option<String> {
    let service = name.service;
    let Ok(found) = client.service_get(service) else {
        return Some(format!(
            "add the service first: `dispatchctl service add {service}`"
        ));
    };
    let range = client.net().ok()?.prefix(AddressFamily::of(service.ip()));
    next_of(refusal, name, range, found.registrant_range())
}

/// The same, for a service that is there: by the range of its family, and that
/// of its registrants.
fn next_of(
    refusal: &Refusal<'_>,
    name: ProcessName,
    range: Option<Prefix>,
    registrants: Option<Prefix>,
) -> Option<String> {
    let ProcessName { service, process } = name;
    let family = AddressFamily::of(service.ip());
    match (refusal.errno, range) {
        (Errno::EEXIST, _) => Some(format!(
            "`dispatchctl process set {service} {process}` changes its registration"
        )),
        (Errno::EPERM | Errno::EACCES, _) => Some(format!(
            "run it as root, or as a registrant of the service, with --pid and an address of \
             the registrants' range; `dispatchctl service show {service}` shows who and where"
        )),
        (Errno::EAFNOSUPPORT, Some(range)) => Some(format!(
            "the service is of {family}, and so are its processes: let the daemon listen on an \
             address of {range}"
        )),
        (_, None) => Some(format!(
            "set a range of process addresses of {family} first: {}",
            up::command(family)
        )),
        (Errno::EADDRNOTAVAIL, Some(range)) => Some(match registrants {
            Some(registrants) => format!(
                "process addresses are taken from {range}, those of registrants from {registrants}"
            ),
            None => format!("process addresses are taken from {range}"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said to do about a refusal.
    fn said(errno: Errno, service: &str, range: Option<&str>) -> String {
        let refusal = Refusal {
            errno,
            attribute: Some("process-address"),
        };
        let name = ProcessName {
            service: service.parse().unwrap(),
            process: "10.77.0.1:80".parse().unwrap(),
        };
        let range = range.map(|range| range.parse().unwrap());
        next_of(&refusal, name, range, None).unwrap()
    }

    #[test]
    fn a_process_of_another_family_is_told_where_to_listen() {
        let service = "[2001:db8::1]:80";
        let next = said(Errno::EAFNOSUPPORT, service, Some("fd77:6470::/64"));
        assert!(next.contains("of IPv6"), "{next}");
        assert!(next.contains("an address of fd77:6470::/64"), "{next}");
        let next = said(Errno::EAFNOSUPPORT, service, None);
        assert!(next.contains("`dispatchctl up --range fd77"), "{next}");
    }

    #[test]
    fn a_range_that_is_missing_is_that_of_the_services_family() {
        let next = said(Errno::EADDRNOTAVAIL, "192.0.2.1:80", None);
        assert!(next.contains("of IPv4 first: `dispatchctl up`"), "{next}");
        let next = said(Errno::EADDRNOTAVAIL, "192.0.2.1:80", Some("10.78.0.0/16"));
        assert_eq!(next, "process addresses are taken from 10.78.0.0/16");
    }
}
