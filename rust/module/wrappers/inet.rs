// SPDX-License-Identifier: GPL-2.0

//! What the kernel has once for each address family.
//!
//! Each function of [`Inet`] calls the one C function that its IPv4 or IPv6 name stands for. What is
//! made of them is written once: sockets in [`super::sock`], routes in [`super::dst`], packets in
//! [`super::sk_buff`].
//!
//! C headers: [`include/net/inet_hashtables.h`](srctree/include/net/inet_hashtables.h),
//! [`include/net/inet6_hashtables.h`](srctree/include/net/inet6_hashtables.h),
//! [`include/net/route.h`](srctree/include/net/route.h),
//! [`include/net/ip6_route.h`](srctree/include/net/ip6_route.h)

use super::{net::Net, rhashtable::Functions};
use crate::{
    bindings,
    tcp_dispatch_core::{
        packet::TcpHeader, Address, Ipv4Address, Ipv6Address, SocketAddress, Tuple,
    },
};
use core::ptr;
use kernel::ffi::c_int;

/// `FLOWI_FLAG_ANYSRC` of [`include/net/flow.h`](srctree/include/net/flow.h): the source need not
/// be an address of a device. A service address is one that IP delivers locally, however.
const FLOWI_FLAG_ANYSRC: u8 = 1;
const IPPROTO_TCP: u8 = 6;

/// Where TCP packets go from here.
pub(crate) struct Flow<A> {
    /// Where they come from.
    pub(crate) source: SocketAddress<A>,
    /// Where they go to.
    pub(crate) destination: SocketAddress<A>,
    /// Their mark.
    pub(crate) mark: u32,
    /// The index of the device that they must leave by, or zero.
    pub(crate) oif: i32,
}

/// An address family of the kernel's.
pub(crate) trait Inet: Address {
    /// The functions of the table of connections by client.
    const CONNECTIONS_BY_CLIENT: Functions;
    /// The functions of the table of connections by process.
    const CONNECTIONS_BY_PROCESS: Functions;

    /// The socket of the connection `tuple`, with a reference, or null. Any context.
    fn lookup_established(net: &Net, tuple: &Tuple<Self>, iif: i32) -> *mut bindings::sock;

    /// A listener for connections of `tuple`, not counted, or null. To be called in an RCU read
    /// section.
    fn lookup_listener(net: &Net, tuple: &Tuple<Self>, iif: i32) -> *mut bindings::sock;

    /// The addresses of a socket: peer, and its own.
    fn addresses_of(sk: &bindings::sock_common) -> (Self, Self);

    /// Whether the acknowledgement with these headers answers a SYN cookie. Any context.
    fn cookie_is_right(ip: &Self::Header, tcp: &TcpHeader) -> bool;

    /// A counted route, or null or an error pointer. Any context.
    fn route(net: &Net, flow: Flow<Self>) -> *mut bindings::dst_entry;

    /// Whether IP asks its routes where a packet may come from.
    const VALIDATES_SOURCES: bool;

    /// Whether the packet, for this host, takes the route that all to its destination take.
    ///
    /// # Safety
    ///
    /// The packet must be one that IP has received in `net` and not routed yet, in a read section.
    unsafe fn routes_by_destination(net: &Net, skb: *const bindings::sk_buff) -> bool;

    /// Whether packets of TCP with the same addresses get the same route, whatever their ports are. Under
    /// RCU.
    fn routes_by_addresses(net: &Net) -> bool;

    /// Whether IP takes the packet from a source to which `way_back` leads.
    ///
    /// # Safety
    ///
    /// As for [`Self::routes_by_destination`], with a valid route of the family.
    unsafe fn accepts_source(
        skb: *const bindings::sk_buff,
        way_back: *const bindings::dst_entry,
    ) -> bool;

    /// Routes the packet. `false` if there is no route for it.
    ///
    /// # Safety
    ///
    /// The packet must be one that IP has received and not routed yet, in a read section.
    unsafe fn route_input(skb: *mut bindings::sk_buff) -> bool;

    /// Whether TCP's checksum of the packet is right, whose `data` is the TCP header.
    ///
    /// # Safety
    ///
    /// The packet must be the caller's.
    unsafe fn checksum_is_right(skb: *mut bindings::sk_buff) -> bool;

    /// Where the TCP header is, from `data` on, where the IP header is, if there are headers between
    /// the two.
    ///
    /// # Safety
    ///
    /// The packet must be one that IP is handling.
    unsafe fn find_tcp(skb: *mut bindings::sk_buff) -> Option<usize>;

    /// Sends a packet of this computer's.
    ///
    /// # Safety
    ///
    /// The packet must be the caller's to give, whole, and with a route.
    unsafe fn local_out(net: &Net, skb: *mut bindings::sk_buff);
}

/// Flags and what else both families' flows begin with.
fn flow_common(mark: u32, oif: i32) -> bindings::flowi_common {
    bindings::flowi_common {
        flowic_mark: mark,
        flowic_proto: IPPROTO_TCP,
        flowic_flags: FLOWI_FLAG_ANYSRC,
        flowic_oif: oif,
        ..Default::default()
    }
}

fn flow_ports<A>(flow: &Flow<A>) -> bindings::flowi_uli__bindgen_ty_1 {
    bindings::flowi_uli__bindgen_ty_1 {
        sport: u16::from_ne_bytes(flow.source.port),
        dport: u16::from_ne_bytes(flow.destination.port),
    }
}

impl Inet for Ipv4Address {
    const CONNECTIONS_BY_CLIENT: Functions = Functions {
        init: bindings::tcp_dispatch_ipv4_connections_by_client_init,
        insert: bindings::tcp_dispatch_ipv4_connections_by_client_insert,
        remove: bindings::tcp_dispatch_ipv4_connections_by_client_remove,
    };
    const CONNECTIONS_BY_PROCESS: Functions = Functions {
        init: bindings::tcp_dispatch_ipv4_connections_by_process_init,
        insert: bindings::tcp_dispatch_ipv4_connections_by_process_insert,
        remove: bindings::tcp_dispatch_ipv4_connections_by_process_remove,
    };

    #[inline]
    fn lookup_established(net: &Net, tuple: &Tuple<Self>, iif: i32) -> *mut bindings::sock {
        // SAFETY: `net` is valid; the lookup takes RCU itself and returns a reference or null.
        unsafe {
            bindings::__inet_lookup_established(
                net.as_ptr(),
                u32::from_ne_bytes(tuple.source_ip),
                u16::from_ne_bytes(tuple.source_port),
                u32::from_ne_bytes(tuple.destination_ip),
                tuple.destination().port(),
                iif,
                0,
            )
        }
    }

    fn lookup_listener(net: &Net, tuple: &Tuple<Self>, iif: i32) -> *mut bindings::sock {
        // SAFETY: `net` is valid. Without a packet, a group of listeners is chosen from by the hash
        // alone.
        unsafe {
            bindings::__inet_lookup_listener(
                net.as_ptr(),
                ptr::null_mut(),
                0,
                u32::from_ne_bytes(tuple.source_ip),
                u16::from_ne_bytes(tuple.source_port),
                u32::from_ne_bytes(tuple.destination_ip),
                tuple.destination().port(),
                iif,
                0,
            )
        }
    }

    #[inline]
    fn addresses_of(sk: &bindings::sock_common) -> (Self, Self) {
        // One by one: together they would be a word to be taken apart.
        // SAFETY: Both variants of the union are the same bytes.
        let (peer, own) = unsafe {
            let addresses = &sk.__bindgen_anon_1.__bindgen_anon_1;
            (addresses.skc_daddr, addresses.skc_rcv_saddr)
        };
        (peer.to_ne_bytes(), own.to_ne_bytes())
    }

    fn cookie_is_right(ip: &Self::Header, tcp: &TcpHeader) -> bool {
        let (ip, tcp) = (Aligned(*ip), Aligned(*tcp));
        // SAFETY: Both are whole and aligned; the function reads the fixed parts of headers.
        unsafe {
            bindings::__cookie_v4_check(ptr::from_ref(&ip).cast(), ptr::from_ref(&tcp).cast()) != 0
        }
    }

    fn route(net: &Net, flow: Flow<Self>) -> *mut bindings::dst_entry {
        let mut raw = bindings::flowi4 {
            __fl_common: flow_common(flow.mark, flow.oif),
            saddr: u32::from_ne_bytes(flow.source.ip),
            daddr: u32::from_ne_bytes(flow.destination.ip),
            ..Default::default()
        };
        raw.uli.ports = flow_ports(&flow);
        // SAFETY: `net` and `raw` are valid; without a socket the result is a reference to a route or
        // an error pointer. `struct rtable` begins with its `struct dst_entry`.
        unsafe { bindings::ip_route_output_flow(net.as_ptr(), &mut raw, ptr::null()).cast() }
    }

    const VALIDATES_SOURCES: bool = true;

    unsafe fn routes_by_destination(net: &Net, skb: *const bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv4_routes_by_destination(skb, net.as_ptr()) }
    }

    fn routes_by_addresses(net: &Net) -> bool {
        // SAFETY: `net` is valid.
        unsafe { bindings::tcp_dispatch_ipv4_routes_by_addresses(net.as_ptr()) }
    }

    unsafe fn accepts_source(
        skb: *const bindings::sk_buff,
        way_back: *const bindings::dst_entry,
    ) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv4_accepts_source(skb, way_back) }
    }

    unsafe fn checksum_is_right(skb: *mut bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_tcp_v4_checksum_is_right(skb) }
    }

    unsafe fn route_input(skb: *mut bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv4_route_input(skb) }
    }

    #[inline]
    unsafe fn find_tcp(_skb: *mut bindings::sk_buff) -> Option<usize> {
        None
    }

    unsafe fn local_out(net: &Net, skb: *mut bindings::sk_buff) {
        // SAFETY: By the contract.
        unsafe { bindings::ip_local_out(net.as_ptr(), ptr::null_mut(), skb) };
    }
}

impl Inet for Ipv6Address {
    const CONNECTIONS_BY_CLIENT: Functions = Functions {
        init: bindings::tcp_dispatch_ipv6_connections_by_client_init,
        insert: bindings::tcp_dispatch_ipv6_connections_by_client_insert,
        remove: bindings::tcp_dispatch_ipv6_connections_by_client_remove,
    };
    const CONNECTIONS_BY_PROCESS: Functions = Functions {
        init: bindings::tcp_dispatch_ipv6_connections_by_process_init,
        insert: bindings::tcp_dispatch_ipv6_connections_by_process_insert,
        remove: bindings::tcp_dispatch_ipv6_connections_by_process_remove,
    };

    #[inline]
    fn lookup_established(net: &Net, tuple: &Tuple<Self>, iif: i32) -> *mut bindings::sock {
        let (client, process) = (in6(tuple.source_ip), in6(tuple.destination_ip));
        // SAFETY: `net` is valid; the lookup takes RCU itself and returns a reference or null.
        unsafe {
            bindings::__inet6_lookup_established(
                net.as_ptr(),
                &client,
                u16::from_ne_bytes(tuple.source_port),
                &process,
                tuple.destination().port(),
                iif,
                0,
            )
        }
    }

    fn lookup_listener(net: &Net, tuple: &Tuple<Self>, iif: i32) -> *mut bindings::sock {
        let (client, process) = (in6(tuple.source_ip), in6(tuple.destination_ip));
        // SAFETY: `net` is valid. Without a packet, a group of listeners is chosen from by the hash
        // alone.
        unsafe {
            bindings::inet6_lookup_listener(
                net.as_ptr(),
                ptr::null_mut(),
                0,
                &client,
                u16::from_ne_bytes(tuple.source_port),
                &process,
                tuple.destination().port(),
                iif,
                0,
            )
        }
    }

    #[inline]
    fn addresses_of(sk: &bindings::sock_common) -> (Self, Self) {
        (bytes(sk.skc_v6_daddr), bytes(sk.skc_v6_rcv_saddr))
    }

    fn cookie_is_right(ip: &Self::Header, tcp: &TcpHeader) -> bool {
        let (ip, tcp) = (Aligned(*ip), Aligned(*tcp));
        // SAFETY: Both are whole and aligned; the function reads the fixed parts of headers.
        unsafe {
            bindings::__cookie_v6_check(ptr::from_ref(&ip).cast(), ptr::from_ref(&tcp).cast()) != 0
        }
    }

    fn route(net: &Net, flow: Flow<Self>) -> *mut bindings::dst_entry {
        let mut raw = bindings::flowi6 {
            __fl_common: flow_common(flow.mark, flow.oif),
            saddr: in6(flow.source.ip),
            daddr: in6(flow.destination.ip),
            ..Default::default()
        };
        raw.uli.ports = flow_ports(&flow);
        // SAFETY: `net` and `raw` are valid; without a socket the result is a reference to a route or
        // an error pointer.
        unsafe { bindings::ip6_dst_lookup_flow(net.as_ptr(), ptr::null(), &mut raw, ptr::null()) }
    }

    const VALIDATES_SOURCES: bool = false;

    unsafe fn routes_by_destination(net: &Net, _skb: *const bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv6_routes_by_destination(net.as_ptr()) }
    }

    fn routes_by_addresses(_net: &Net) -> bool {
        // Nothing tells so easily which way a route of several leads.
        false
    }

    unsafe fn accepts_source(
        _skb: *const bindings::sk_buff,
        _way_back: *const bindings::dst_entry,
    ) -> bool {
        true
    }

    unsafe fn checksum_is_right(skb: *mut bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_tcp_v6_checksum_is_right(skb) }
    }

    unsafe fn route_input(skb: *mut bindings::sk_buff) -> bool {
        // SAFETY: By the contract.
        unsafe { bindings::tcp_dispatch_ipv6_route_input(skb) }
    }

    unsafe fn find_tcp(skb: *mut bindings::sk_buff) -> Option<usize> {
        // SAFETY: By the contract. The function copies what isn't linear.
        let offset: c_int = unsafe { bindings::tcp_dispatch_ipv6_find_tcp(skb) };
        usize::try_from(offset).ok()
    }

    unsafe fn local_out(net: &Net, skb: *mut bindings::sk_buff) {
        // SAFETY: By the contract.
        unsafe { bindings::ip6_local_out(net.as_ptr(), ptr::null_mut(), skb) };
    }
}

/// A header as C's structures are aligned.
#[repr(align(4))]
struct Aligned<T>(T);

#[inline]
fn in6(ip: Ipv6Address) -> bindings::in6_addr {
    bindings::in6_addr {
        in6_u: bindings::in6_addr__bindgen_ty_1 { u6_addr8: ip },
    }
}

#[inline]
fn bytes(ip: bindings::in6_addr) -> Ipv6Address {
    // SAFETY: All variants of the union are the same bytes.
    unsafe { ip.in6_u.u6_addr8 }
}
