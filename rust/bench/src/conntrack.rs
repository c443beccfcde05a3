// SPDX-License-Identifier: GPL-2.0

//! Entries of other connections for connection tracking, with the translation of destinations, by
//! netlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::net::SocketAddrV4;

use anyhow::Result;

use crate::fill::client;
use crate::netlink::{Attributes, Kind};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`
const NEW: u16 = 1 << 8;
/// `NLM_F_CREATE | NLM_F_EXCL`
const CREATE: u16 = 0x400 | 0x200;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_NAT_DST: u16 = 13;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const CTA_NAT_V4_MINIP: u16 = 1;
const CTA_NAT_V4_MAXIP: u16 = 2;
const CTA_NAT_PROTO: u16 = 3;
const CTA_PROTONAT_PORT_MIN: u16 = 1;
const CTA_PROTONAT_PORT_MAX: u16 = 2;

/// `IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED`
const STATUS: u32 = 1 << 1 | 1 << 2 | 1 << 3;
/// `TCP_CONNTRACK_ESTABLISHED`
const ESTABLISHED: u8 = 3;
/// How long such a connection may be idle, in seconds, if nobody says otherwise.
const TIMEOUT: u32 = 5 * 24 * 3600;

const KIND: Kind = Kind {
    protocol: libc::NETLINK_NETFILTER,
    kind: NEW,
    flags: CREATE,
    // struct nfgenmsg: the family, version 0, nothing of relevance.
    header: [libc::AF_INET as u8, 0, 0, 0],
};

/// Gives connection tracking entries of `number` connections to `service`, which go to `process`.
pub fn connections(service: SocketAddrV4, process: SocketAddrV4, number: u32) -> Result<()> {
    KIND.send(number, |each, to| {
        connection(to, client(each), service, process)
    })
}

/// An entry.
fn connection(
    to: &mut Attributes,
    client: SocketAddrV4,
    service: SocketAddrV4,
    process: SocketAddrV4,
) {
    tuple(to, CTA_TUPLE_ORIG, client, service);
    // As it is before the translation, which changes it.
    tuple(to, CTA_TUPLE_REPLY, service, client);
    to.put(CTA_STATUS, &STATUS.to_be_bytes());
    to.nest(CTA_PROTOINFO, |to| {
        to.nest(CTA_PROTOINFO_TCP, |to| {
            to.put(CTA_PROTOINFO_TCP_STATE, &[ESTABLISHED]);
        });
    });
    to.put(CTA_TIMEOUT, &TIMEOUT.to_be_bytes());
    to.nest(CTA_NAT_DST, |to| {
        to.put(CTA_NAT_V4_MINIP, &process.ip().octets());
        to.put(CTA_NAT_V4_MAXIP, &process.ip().octets());
        to.nest(CTA_NAT_PROTO, |to| {
            to.put(CTA_PROTONAT_PORT_MIN, &process.port().to_be_bytes());
            to.put(CTA_PROTONAT_PORT_MAX, &process.port().to_be_bytes());
        });
    });
}

/// What packets of a direction have.
fn tuple(to: &mut Attributes, name: u16, source: SocketAddrV4, destination: SocketAddrV4) {
    to.nest(name, |to| {
        to.nest(CTA_TUPLE_IP, |to| {
            to.put(CTA_IP_V4_SRC, &source.ip().octets());
            to.put(CTA_IP_V4_DST, &destination.ip().octets());
        });
        to.nest(CTA_TUPLE_PROTO, |to| {
            to.put(CTA_PROTO_NUM, &[libc::IPPROTO_TCP as u8]);
            to.put(CTA_PROTO_SRC_PORT, &source.port().to_be_bytes());
            to.put(CTA_PROTO_DST_PORT, &destination.port().to_be_bytes());
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_message_is_as_the_kernel_reads_it() {
        #[rustfmt::skip]
        let expected = [
            // struct nlmsghdr: length, type, flags; sequence number, port
            196, 0, 0, 0, 0, 1, 0x05, 0x06, 1, 0, 0, 0, 0, 0, 0, 0,
            // struct nfgenmsg
            2, 0, 0, 0,
            // CTA_TUPLE_ORIG
            52, 0, 1, 0x80,
            20, 0, 1, 0x80, 8, 0, 1, 0, 198, 18, 0, 1, 8, 0, 2, 0, 192, 0, 2, 2,
            28, 0, 2, 0x80, 5, 0, 1, 0, 6, 0, 0, 0,
            6, 0, 2, 0, 0x27, 0x11, 0, 0, 6, 0, 3, 0, 0, 80, 0, 0,
            // CTA_TUPLE_REPLY
            52, 0, 2, 0x80,
            20, 0, 1, 0x80, 8, 0, 1, 0, 192, 0, 2, 2, 8, 0, 2, 0, 198, 18, 0, 1,
            28, 0, 2, 0x80, 5, 0, 1, 0, 6, 0, 0, 0,
            6, 0, 2, 0, 0, 80, 0, 0, 6, 0, 3, 0, 0x27, 0x11, 0, 0,
            // CTA_STATUS
            8, 0, 3, 0, 0, 0, 0, 0x0e,
            // CTA_PROTOINFO
            16, 0, 4, 0x80, 12, 0, 1, 0x80, 5, 0, 1, 0, 3, 0, 0, 0,
            // CTA_TIMEOUT
            8, 0, 7, 0, 0, 0x06, 0x97, 0x80,
            // CTA_NAT_DST
            40, 0, 13, 0x80, 8, 0, 1, 0, 203, 0, 113, 1, 8, 0, 2, 0, 203, 0, 113, 1,
            20, 0, 3, 0x80, 6, 0, 1, 0, 0x1f, 0x90, 0, 0, 6, 0, 2, 0, 0x1f, 0x90, 0, 0,
        ];
        let service = "192.0.2.2:80".parse().unwrap();
        let process = "203.0.113.1:8080".parse().unwrap();
        let message = KIND.bytes(1, |each, to| {
            connection(to, client(each), service, process);
        });
        let lines = |bytes: &[u8]| bytes.chunks(4).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(lines(&message), lines(&expected));
    }
}
