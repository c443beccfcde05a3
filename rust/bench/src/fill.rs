// SPDX-License-Identifier: GPL-2.0

//! Fills a dispatcher's tables with what isn't measured itself: other connections, other services.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use anyhow::{Context, Result};
use tcp_dispatch_netlink::{Client, OwnedBy, ProcessSettings, ServiceSettings};

use crate::netlink::{Attributes, Kind};

/// How many ports of one client are used.
const PORTS: u32 = 50_000;
/// The first of them.
const FIRST_PORT: u16 = 10_000;
/// The address before the first client's, of the range that is set aside for benchmarks.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// Numbers of `Documentation/netlink/specs/tcp_dispatch.yaml`: what the library offers is a connection
/// at a time.
const CONNECTION_ADD: u8 = 7;
const CLIENT_ADDRESS: u16 = 1;
const SERVICE_ADDRESS: u16 = 2;
const PROCESS_ADDRESS: u16 = 3;
const IPV4: u16 = 1;
const PORT: u16 = 2;

/// The client's address of the other connection `number`.
pub fn client(number: u32) -> SocketAddrV4 {
    let ip = Ipv4Addr::from_bits(CLIENTS.to_bits() + 1 + number / PORTS);
    SocketAddrV4::new(ip, FIRST_PORT + (number % PORTS) as u16)
}

/// Gives tcp_dispatch's table entries of `number` connections.
pub fn connections(service: SocketAddrV4, process: SocketAddrV4, number: u32) -> Result<()> {
    Kind::generic("tcp_dispatch", CONNECTION_ADD)?
        .send(number, |each, to| {
            connection(to, client(each), service, process)
        })
        .context("can't add connections")
}

/// What an entry consists of.
fn connection(
    to: &mut Attributes,
    client: SocketAddrV4,
    service: SocketAddrV4,
    process: SocketAddrV4,
) {
    let addresses = [
        (CLIENT_ADDRESS, client),
        (SERVICE_ADDRESS, service),
        (PROCESS_ADDRESS, process),
    ];
    for (name, address) in addresses {
        to.nest(name, |to| {
            to.put(IPV4, &address.ip().octets());
            to.put(PORT, &address.port().to_be_bytes());
        });
    }
}

/// Adds `number` services of the port after `service`'s and those behind it, each of one process.
pub fn services(service: SocketAddr, process: SocketAddr, number: u16) -> Result<()> {
    let mut control = Client::connect()?;
    for each in 1..=number {
        let other = SocketAddr::new(service.ip(), service.port() + each);
        let settings = ProcessSettings::default();
        control
            .service_add(other, &ServiceSettings::default())
            .and_then(|()| control.process_add(other, process, OwnedBy::Nobody, &settings))
            .with_context(|| format!("can't add service {other}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_connections_have_the_same_client() {
        let all: std::collections::BTreeSet<_> = (0..200_000).map(client).collect();
        assert_eq!(all.len(), 200_000);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_connection_is_as_the_kernel_reads_it() {
        let kind = Kind {
            protocol: 16,
            kind: 0x21,
            flags: 0,
            header: [CONNECTION_ADD, 1, 0, 0],
        };
        let service = "192.0.2.1:80".parse().unwrap();
        let process = "10.77.0.1:8080".parse().unwrap();
        #[rustfmt::skip]
        let expected = [
            // struct nlmsghdr, struct genlmsghdr
            80, 0, 0, 0, 0x21, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0,
            20, 0, 1, 0x80, 8, 0, 1, 0, 198, 18, 0, 1, 6, 0, 2, 0, 0x27, 0x11, 0, 0,
            20, 0, 2, 0x80, 8, 0, 1, 0, 192, 0, 2, 1, 6, 0, 2, 0, 0, 80, 0, 0,
            20, 0, 3, 0x80, 8, 0, 1, 0, 10, 77, 0, 1, 6, 0, 2, 0, 0x1f, 0x90, 0, 0,
        ];
        let bytes = kind.bytes(1, |each, to| {
            connection(to, client(each), service, process);
        });
        assert_eq!(bytes, expected);
    }
}
