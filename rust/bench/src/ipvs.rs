// SPDX-License-Identifier: GPL-2.0

//! Entries of other connections for IPVS: it is told of them as the backup of another computer is, in
//! messages of its own protocol (version 1, `net/netfilter/ipvs/ip_vs_sync.c`).

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{bail, ensure, Context, Result};
use socket2::SockRef;

use crate::fill::client;

/// The group that a backup hears its master by, and the port.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 81), 8848);
/// How many connections a message may have: their number is a byte.
const CONNECTIONS: u32 = 255;
/// How many messages are sent at a time: what waits must fit into a receive buffer of usual size.
const MESSAGES: u32 = 8;
/// How long the backup may take for them.
const PATIENCE: Duration = Duration::from_secs(30);

/// The protocol's version.
const VERSION: u8 = 1;
/// How long a message's header is, and a connection over IPv4.
const HEADER: usize = 8;
const CONNECTION: usize = 36;
/// `IP_VS_TCP_S_ESTABLISHED`
const ESTABLISHED: u16 = 1;

/// Tells the backup behind `lo` of `number` connections of `service` at `process`.
pub fn connections(service: SocketAddrV4, process: SocketAddrV4, number: u32) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("can't make a socket")?;
    SockRef::from(&socket)
        .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
        .context("can't send to a group by lo")?;
    let firsts = (0..number).step_by(CONNECTIONS as usize);
    for (sent, first) in (1..).zip(firsts) {
        let clients: Vec<_> = (first..number.min(first + CONNECTIONS))
            .map(client)
            .collect();
        socket
            .send_to(&message(&clients, service, process), GROUP)
            .with_context(|| format!("can't tell IPVS of connection {first} and those after it"))?;
        if sent % MESSAGES == 0 {
            until_taken()?;
        }
    }
    until_taken()
}

/// Waits until the backup has read all messages.
fn until_taken() -> Result<()> {
    let begun = Instant::now();
    loop {
        let sockets = fs::read_to_string("/proc/net/udp")?;
        match waiting(&sockets) {
            None => bail!("IPVS has no backup daemon at {GROUP}"),
            Some(0) => return Ok(()),
            Some(_) => thread::sleep(Duration::from_micros(100)),
        }
        ensure!(
            begun.elapsed() < PATIENCE,
            "IPVS's backup daemon reads no messages"
        );
    }
}

/// How many bytes wait at the backup's socket, if there is one among those of `/proc/net/udp`.
fn waiting(sockets: &str) -> Option<u32> {
    // As the processor has the address in memory.
    let address = u32::from_ne_bytes(GROUP.ip().octets());
    let here = format!("{address:08X}:{:04X}", GROUP.port());
    sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&&here[..]))
        .and_then(|fields| u32::from_str_radix(fields.get(4)?.split_once(':')?.1, 16).ok())
}

/// A message that tells of connections.
fn message(clients: &[SocketAddrV4], service: SocketAddrV4, process: SocketAddrV4) -> Vec<u8> {
    let size = HEADER + clients.len() * CONNECTION;
    let mut message = Vec::with_capacity(size);
    // struct ip_vs_sync_mesg: reserved, the sender's number, which may be any, size, …
    message.extend([0, 0]);
    message.extend((size as u16).to_be_bytes());
    message.extend([clients.len() as u8, VERSION, 0, 0]);
    for client in clients {
        // struct ip_vs_sync_v4: IPv4, the protocol, version 0 with the size, no flags, …
        message.extend([0, libc::IPPROTO_TCP as u8]);
        message.extend((CONNECTION as u16).to_be_bytes());
        message.extend(0_u32.to_be_bytes());
        message.extend(ESTABLISHED.to_be_bytes());
        for port in [client.port(), service.port(), process.port()] {
            message.extend(port.to_be_bytes());
        }
        // No mark, and the state's own timeout.
        message.extend([0; 8]);
        for ip in [client.ip(), service.ip(), process.ip()] {
            message.extend(ip.octets());
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_the_kernel_reads_it() {
        let clients = [
            "198.18.0.1:10000".parse().unwrap(),
            "198.18.0.2:10001".parse().unwrap(),
        ];
        let service = "192.0.2.2:80".parse().unwrap();
        let process = "203.0.113.1:8080".parse().unwrap();
        #[rustfmt::skip]
        let expected = [
            0, 0, 0, 80, 2, 1, 0, 0,
            // type, protocol, ver_size; flags
            0, 6, 0, 36, 0, 0, 0, 0,
            // state, cport; vport, dport
            0, 1, 0x27, 0x10, 0, 80, 0x1f, 0x90,
            // fwmark; timeout
            0, 0, 0, 0, 0, 0, 0, 0,
            198, 18, 0, 1, 192, 0, 2, 2, 203, 0, 113, 1,
            0, 6, 0, 36, 0, 0, 0, 0,
            0, 1, 0x27, 0x11, 0, 80, 0x1f, 0x90,
            0, 0, 0, 0, 0, 0, 0, 0,
            198, 18, 0, 2, 192, 0, 2, 2, 203, 0, 113, 1,
        ];
        assert_eq!(message(&clients, service, process), expected);
    }

    #[test]
    fn a_full_message_says_its_number_and_size() {
        let clients: Vec<_> = (0..CONNECTIONS).map(client).collect();
        let any = "192.0.2.2:80".parse().unwrap();
        let message = message(&clients, any, any);
        assert_eq!(message.len(), 8 + 255 * 36);
        assert_eq!(message[2..5], [0x23, 0xe4, 255]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn what_waits_is_that_of_the_backups_socket() {
        let header =
            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n";
        let other = "  97: 0100007F:2290 00000000:0000 07 00000000:00000007 00:00000000 00000000\n";
        let ours = "  98: 510000E0:2290 00000000:0000 07 00000001:00004280 00:00000000 00000000\n";
        assert_eq!(waiting(&[header, other, ours].concat()), Some(0x4280));
        assert_eq!(waiting(&[header, other].concat()), None);
    }
}
