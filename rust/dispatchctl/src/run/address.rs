// SPDX-License-Identifier: GPL-2.0

//! The address that a daemon is to listen on.

use crate::failure::{Context, Failure};
use crate::up;
use nix::errno::Errno;
use nix::sys::socket::{
    self, bind, setsockopt, socket, sockopt, SockFlag, SockType, SockaddrStorage,
};
use std::collections::HashSet;
use std::io;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use tcp_dispatch_netlink::{Address, AddressFamily, Client, Prefix, Service};

/// How many addresses that aren't registered are tried before they are taken
/// for all in use. A range of IPv6 has too many to try them all.
const TRIES: usize = 65_536;

/// A process address that this program has for itself, among all that run
/// daemons in the network namespace.
#[derive(Debug)]
pub struct Claim {
    /// The address.
    pub address: Address,
    /// Holds the name that stands for the address.
    _name: UnixDatagram,
}

/// Why an address can't be had.
#[derive(Debug)]
enum Taken {
    /// Another dispatchctl starts or runs a daemon on it.
    Claimed,
    /// The kernel refuses to bind it.
    Bind(Errno),
}

/// Claims the address that was asked for, or a free one.
pub fn claim(
    client: &mut Client,
    service: &Service,
    given: Option<Address>,
    doing: impl Fn() -> String,
) -> Result<Claim, Failure> {
    let net = client.net().doing(&doing)?;
    let family = AddressFamily::of(service.service_address.ip());
    let prefix = net.prefix(family);
    if let Some(address) = given {
        check_family(family, address, &doing)?;
        check(client, service.service_address, address, prefix, &doing)?;
        return try_claim(address).map_err(|taken| explain(taken, address, doing()));
    }
    let Some(range) = service.registrant_range().or(prefix) else {
        return Err(Failure::new(
            doing(),
            format!("there is no range of process addresses of {family}"),
        )
        .next(format!("{} sets one", up::command(family))));
    };
    let registered = client.process_list(None).doing(&doing)?.items;
    let registered: HashSet<_> = registered
        .iter()
        .map(|process| process.process_address)
        .collect();
    first_free(range, service.service_address.port(), &registered, doing)
}

/// Whether an address is of the service's family.
fn check_family(
    family: AddressFamily,
    address: Address,
    doing: impl Fn() -> String,
) -> Result<(), Failure> {
    let other = AddressFamily::of(address.ip());
    if other == family {
        return Ok(());
    }
    let cause = format!("{address} is an address of {other}, and the service is of {family}");
    Err(Failure::new(doing(), cause).next(format!(
        "choose one of {family} with --address, or leave that out to get one that is free"
    )))
}

/// Whether an address could be registered. The kernel judges when it is; but then the daemon runs
/// already.
fn check(
    client: &mut Client,
    service: Address,
    address: Address,
    range: Option<Prefix>,
    doing: impl Fn() -> String,
) -> Result<(), Failure> {
    if let Some(range) = range.filter(|range| !range.contains(address.ip())) {
        let cause = format!("{address} is not of the range of process addresses, {range}");
        return Err(Failure::new(doing(), cause).next(
            "choose one of the range with --address, or leave that out to get one that is free",
        ));
    }
    if client.process_get(service, address).is_ok() {
        let cause = format!("{address} is registered for this service already");
        return Err(Failure::new(doing(), cause).next(format!(
            "choose another address, or `dispatchctl process del {service} {address}` if that is \
             out of date"
        )));
    }
    Ok(())
}

/// The first address of a range that nobody has.
fn first_free(
    range: Prefix,
    port: u16,
    registered: &HashSet<Address>,
    doing: impl Fn() -> String,
) -> Result<Claim, Failure> {
    let addresses = range.hosts().map(|host| Address::new(host, port));
    let candidates = addresses.filter(|address| !registered.contains(address));
    for address in candidates.take(TRIES) {
        match try_claim(address) {
            Ok(claim) => return Ok(claim),
            Err(Taken::Claimed | Taken::Bind(Errno::EADDRINUSE)) => {}
            // This wouldn't be otherwise at the next address.
            Err(taken) => return Err(explain(taken, address, doing())),
        }
    }
    let all = match range.family() {
        AddressFamily::Ipv4 => "0.0.0.0",
        AddressFamily::Ipv6 => "[::]",
    };
    let cause = format!("no address of {range} is free at port {port}");
    Err(Failure::new(doing(), cause).next(format!(
        "a daemon that listens on {all}:{port} has them all; `ss -ltn` shows who listens"
    )))
}

/// Claims an address, if nobody has it.
fn try_claim(address: Address) -> Result<Claim, Taken> {
    // A name of an abstract socket is of one network namespace, as an address
    // is, and is free again however its owner ends.
    let name = format!("tcp_dispatch/run/{address}");
    let name = SocketAddr::from_abstract_name(name).and_then(|name| UnixDatagram::bind_addr(&name));
    let name = match name {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(Taken::Claimed),
        other => other.map_err(|error| {
            Taken::Bind(Errno::from_raw(error.raw_os_error().unwrap_or_default()))
        })?,
    };
    try_bind(address).map_err(Taken::Bind)?;
    Ok(Claim {
        address,
        _name: name,
    })
}

/// Binds an address for a moment, without listening.
fn try_bind(address: Address) -> Result<(), Errno> {
    let stream = socket(
        match AddressFamily::of(address.ip()) {
            AddressFamily::Ipv4 => socket::AddressFamily::Inet,
            AddressFamily::Ipv6 => socket::AddressFamily::Inet6,
        },
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // What is left of connections that have ended is no obstacle to a daemon.
    setsockopt(&stream, sockopt::ReuseAddr, &true)?;
    bind(stream.as_raw_fd(), &SockaddrStorage::from(address))
}

fn explain(taken: Taken, address: Address, doing: String) -> Failure {
    match taken {
        Taken::Claimed => {
            let cause = format!("another dispatchctl runs a daemon on {address}");
            Failure::new(doing, cause).next("choose another address")
        }
        Taken::Bind(errno) => {
            let cause = format!("{address} can't be bound: {}", errno.desc());
            let failure = Failure::new(doing, cause);
            match errno {
                Errno::EADDRINUSE => failure.next(format!(
                    "choose another address; `ss -ltn` shows who listens on port {}",
                    address.port()
                )),
                Errno::EADDRNOTAVAIL => failure.next(
                    "`dispatchctl up` makes all process addresses local, and lets those of IPv6 \
                     be bound; `dispatchctl status` shows what is missing",
                ),
                Errno::EACCES => failure.next(
                    "choose a port from 1024 on with --address, or permit low ports by \
                     CAP_NET_BIND_SERVICE or the sysctl net.ipv4.ip_unprivileged_port_start",
                ),
                _ => failure,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn free(range: &str, port: u16, registered: &[Address]) -> Result<Claim, Failure> {
        let registered = registered.iter().copied().collect();
        first_free(range.parse().unwrap(), port, &registered, || {
            "run a daemon".to_owned()
        })
    }

    #[test]
    fn the_first_free_address_is_neither_registered_nor_claimed_nor_listened_on() {
        // While it listens, no other test gets the port for all addresses.
        let listener = TcpListener::bind("127.77.0.2:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = |host: &str| format!("{host}:{port}").parse::<Address>().unwrap();
        let claim = try_claim(at("127.77.0.3")).unwrap();
        let found = free("127.77.0.0/24", port, &[at("127.77.0.1")]).unwrap();
        assert_eq!(found.address, at("127.77.0.4"));
        drop(claim);
        let found = free("127.77.0.0/24", port, &[at("127.77.0.1")]).unwrap();
        assert_eq!(found.address, at("127.77.0.3"));
    }

    /// A test of IPv6 has a network namespace of its own: only there is a range
    /// of local addresses that nobody else has.
    fn in_namespace_with(range: &str, test: impl FnOnce()) {
        use crate::plumbing::{local_route, tests::in_namespace};
        use crate::{nonlocal_bind, rtnetlink::LinkChange};
        in_namespace(|route| {
            let lo = route.link("lo").unwrap().unwrap().index;
            let up = LinkChange {
                up: true,
                ..LinkChange::default()
            };
            route.set_link(lo, up).unwrap();
            let local = local_route(range.parse().unwrap(), lo);
            route.add_route(&local).unwrap();
            nonlocal_bind::set(true).unwrap();
            test();
        });
    }

    #[test]
    fn the_first_free_address_of_a_huge_range_is_found_at_once() {
        in_namespace_with("fd77:6470::/64", || {
            let at = |host: &str| {
                format!("[fd77:6470::{host}]:80")
                    .parse::<Address>()
                    .unwrap()
            };
            let _listener = TcpListener::bind(at("2")).unwrap();
            let claim = try_claim(at("3")).unwrap();
            let found = free("fd77:6470::/64", 80, &[at("1")]).unwrap();
            assert_eq!(found.address, at("4"));
            drop(claim);
            let found = free("fd77:6470::/64", 80, &[at("1")]).unwrap();
            assert_eq!(found.address, at("3"));
        });
    }

    #[test]
    fn a_listener_on_all_addresses_takes_a_huge_range_and_is_told_of() {
        in_namespace_with("fd77:6470::/64", || {
            let _listener = TcpListener::bind("[::]:80").unwrap();
            let failure = free("fd77:6470::/64", 80, &[]).unwrap_err().to_string();
            assert!(
                failure.contains("no address of fd77:6470::/64"),
                "{failure}"
            );
            assert!(failure.contains("[::]:80"), "{failure}");
        });
    }

    #[test]
    fn an_ipv6_address_that_must_not_be_bound_is_refused_with_what_permits_it() {
        in_namespace_with("fd77:6470::/64", || {
            crate::nonlocal_bind::set(false).unwrap();
            let failure = free("fd77:6470::/64", 80, &[]).unwrap_err().to_string();
            assert!(failure.contains("`dispatchctl up`"), "{failure}");
            assert!(
                failure.contains("[fd77:6470::1]:80 can't be bound"),
                "{failure}"
            );
        });
    }

    #[test]
    fn an_address_of_the_other_family_is_refused_with_the_services() {
        let check = |family, address: &str| {
            let doing = || "run a daemon".to_owned();
            check_family(family, address.parse().unwrap(), doing).map_err(|f| f.to_string())
        };
        let failure = check(AddressFamily::Ipv6, "10.77.0.1:80").unwrap_err();
        assert!(
            failure.contains("10.77.0.1:80 is an address of IPv4"),
            "{failure}"
        );
        assert!(failure.contains("choose one of IPv6"), "{failure}");
        assert!(check(AddressFamily::Ipv4, "[fd77:6470::1]:80").is_err());
        assert_eq!(check(AddressFamily::Ipv6, "[fd77:6470::1]:80"), Ok(()));
    }

    #[test]
    fn a_listener_on_all_addresses_takes_the_whole_range() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let failure = free("127.78.0.0/29", port, &[]).unwrap_err().to_string();
        assert!(
            failure.contains("no address of 127.78.0.0/29 is free"),
            "{failure}"
        );
        assert!(failure.contains(&format!("0.0.0.0:{port}")), "{failure}");
    }

    #[test]
    fn an_address_that_is_not_local_is_refused_with_what_makes_it() {
        // TEST-NET-1 is nobody's.
        let failure = free("192.0.2.0/24", 40000, &[]).unwrap_err().to_string();
        assert!(failure.contains("`dispatchctl up`"), "{failure}");
    }
}
