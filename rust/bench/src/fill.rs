// SPDX-License-Identifier: GPL-2.0

//! Fills a dispatcher's tables with what isn't measured itself: other connections, other services.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use anyhow::{ensure, Context, Result};
use tcp_dispatch_netlink::{Client, OwnedBy, ProcessSettings, ServiceSettings};

/// How many ports of one client are used.
const PORTS: u32 = 50_000;
/// The first of them.
const FIRST_PORT: u16 = 10_000;
/// The address before the first client's, of the range that is set aside for benchmarks.
const CLIENTS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// The client's address of the other connection `number`.
pub fn client(number: u32) -> SocketAddrV4 {
    let ip = Ipv4Addr::from_bits(CLIENTS.to_bits() + 1 + number / PORTS);
    SocketAddrV4::new(ip, FIRST_PORT + (number % PORTS) as u16)
}

/// Gives tcp_dispatch's table entries of `number` connections.
pub fn connections(service: SocketAddrV4, process: SocketAddrV4, number: u32) -> Result<()> {
    let mut control = Client::connect()?;
    for each in 0..number {
        control
            .connection_add(client(each).into(), service.into(), process.into())
            .with_context(|| format!("can't add connection {each}"))?;
    }
    Ok(())
}

/// Adds `number` services of the port after `service`'s and those behind it, each of one process.
pub fn services(service: SocketAddrV4, process: SocketAddrV4, number: u16) -> Result<()> {
    let mut control = Client::connect()?;
    for each in 1..=number {
        let other = SocketAddrV4::new(*service.ip(), service.port() + each).into();
        let settings = ProcessSettings::default();
        control
            .service_add(other, &ServiceSettings::default())
            .and_then(|()| control.process_add(other, process.into(), OwnedBy::Nobody, &settings))
            .with_context(|| format!("can't add service {other}"))?;
    }
    Ok(())
}

/// Sends the first packet of `number` connections to `service`, by the TUN device `name`, as from
/// a wire.
pub fn syns(name: &str, service: SocketAddrV4, number: u32) -> Result<()> {
    let mut device = tun(name).with_context(|| format!("can't use the TUN device {name}"))?;
    for each in 0..number {
        device
            .write_all(&syn(client(each), service))
            .with_context(|| format!("{name} takes no packets"))?;
    }
    Ok(())
}

/// Opens a TUN device that is there already, and stays.
fn tun(name: &str) -> Result<File> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN: u16 = 0x0001;
    const IFF_NO_PI: u16 = 0x1000;
    let device = File::options()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    let mut request = [0_u8; 40];
    ensure!(name.len() < 16, "its name is too long");
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(IFF_TUN | IFF_NO_PI).to_ne_bytes());
    // SAFETY: The request is a `struct ifreq`, with the name and the flags set.
    let returned = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if returned < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    Ok(device)
}

/// An IPv4 packet: a SYN.
fn syn(from: SocketAddrV4, to: SocketAddrV4) -> [u8; 40] {
    let mut packet = [0; 40];
    let (ip, tcp) = packet.split_at_mut(20);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&40_u16.to_be_bytes());
    ip[8] = 64;
    ip[9] = 6;
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..20].copy_from_slice(&to.ip().octets());
    let sum = checksum(0, ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    tcp[0..2].copy_from_slice(&from.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&to.port().to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = 0x02;
    tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
    // The pseudo-header: both addresses, the protocol, the length.
    let sum = checksum(checksum_of(&ip[12..20]) + 6 + 20, tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn checksum_of(bytes: &[u8]) -> u32 {
    bytes
        .chunks_exact(2)
        .map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])))
        .sum()
}

/// The Internet checksum of `bytes`, and of what adds up to `sum`.
fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = sum + checksum_of(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
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
    fn a_syn_has_checksums_that_hold() {
        let packet = syn(
            "198.18.0.1:10000".parse().unwrap(),
            "192.0.2.9:80".parse().unwrap(),
        );
        assert_eq!(checksum(0, &packet[..20]), 0);
        let pseudo = checksum_of(&packet[12..20]) + 6 + 20;
        assert_eq!(checksum(pseudo, &packet[20..]), 0);
    }
}
