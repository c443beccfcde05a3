// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    dst::{Dst, DstRef},
    inet::Inet,
    net::Net,
    sock::{Listener, Sock, SockAddresses},
};
use crate::{
    bindings,
    tcp_dispatch_core::{
        mss,
        packet::{self, Header, Ipv4Header, TcpFlags, TcpHeader},
        ChecksumState, SocketAddress, Tuple,
    },
};
use core::{
    marker::PhantomData,
    mem::size_of,
    ptr::{self, NonNull},
    slice,
};
use kernel::{error::to_result, prelude::*, sync::rcu::Guard, types::Opaque};

const TCP_HEADER: usize = size_of::<TcpHeader>();

/// Why a packet is freed, for `kfree_skb_reason()`.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum DropReason {
    /// There is no memory for what it needs.
    NoMemory = bindings::skb_drop_reason_SKB_DROP_REASON_NOMEM,
    /// The kernel has no name for it.
    NotSpecified = bindings::skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
    /// Its flags make no sense where the connection is.
    TcpFlags = bindings::skb_drop_reason_SKB_DROP_REASON_TCP_FLAGS,
}

/// A packet, `struct sk_buff`, that IP is handling: the fixed part of its header is linear. `A` in its
/// functions is the family that IP handles it for.
#[repr(transparent)]
pub(crate) struct SkBuff(Opaque<bindings::sk_buff>);

/// `skb->pkt_type` of a packet for this host.
const PACKET_HOST: u8 = 0;

impl SkBuff {
    /// # Safety
    ///
    /// `ptr` must be a packet that IP is handling and that is the caller's for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::sk_buff) -> &'a mut Self {
        // SAFETY: `SkBuff` is transparent; the caller vouches for the rest.
        unsafe { &mut *ptr.cast() }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> *mut bindings::sk_buff {
        self.0.get()
    }

    #[inline]
    fn fields(&self) -> &bindings::sk_buff__bindgen_ty_4__bindgen_ty_1 {
        // SAFETY: The packet is valid; both variants of the union are the same fields.
        unsafe { (*self.0.get()).__bindgen_anon_4.__bindgen_anon_1.as_ref() }
    }

    /// The namespace of the device that a received packet came by.
    #[inline]
    pub(crate) fn receiving_net<'rcu>(&self, _guard: &'rcu Guard) -> &'rcu Net {
        // SAFETY: A packet that IP has received has a device, and the device a namespace, which
        // isn't freed before the read section that the packet is handled in is over.
        unsafe {
            let dev = (*self.0.get())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev;
            Net::from_raw((*dev).nd_net.net)
        }
    }

    /// Whether early demux found the packet's socket already.
    #[inline]
    pub(crate) fn has_socket(&self) -> bool {
        // SAFETY: The packet is valid.
        unsafe { !(*self.0.get()).sk.is_null() }
    }

    /// The addresses of the socket that somebody found already.
    #[inline]
    pub(crate) fn sock(&self) -> Option<SockAddresses<'_>> {
        // SAFETY: The packet is valid.
        let sk = NonNull::new(unsafe { (*self.0.get()).sk })?;
        // SAFETY: The packet holds a reference of its socket, or the read section that it is handled
        // in keeps it.
        Some(unsafe { SockAddresses::of(sk) })
    }

    /// Whether a function is what frees the packet's socket.
    #[inline]
    fn has_destructor(&self, function: unsafe extern "C" fn(*mut bindings::sk_buff)) -> bool {
        // SAFETY: The packet is valid; while IP has it, the union holds the destructor.
        let destructor = unsafe { (*self.0.get()).__bindgen_anon_3.__bindgen_anon_1.destructor };
        destructor.is_some_and(|destructor| ptr::fn_addr_eq(destructor, function))
    }

    /// Whether TCP's early demux has found the packet's socket.
    #[inline]
    pub(crate) fn is_tcp_early_demux(&self) -> bool {
        self.has_destructor(bindings::sock_edemux)
    }

    /// The socket that [`Self::set_early_demux`] gave the packet, or a program of BPF.
    #[inline]
    pub(crate) fn early_demux_sock(&self) -> Option<SockAddresses<'_>> {
        if !self.has_destructor(bindings::sock_pfree) {
            return None;
        }
        self.sock()
    }

    /// Gives the packet, which has none, the listener that TCP is to find for it, as a program of BPF might.
    /// If others share its address, TCP chooses among them. In the read section that it was found in.
    pub(crate) fn set_listener(&mut self, listener: &Listener<'_>) {
        debug_assert!(!self.has_socket());
        // SAFETY: The packet is ours and has no socket. Listeners aren't counted by packets; who queues
        // one counts it then.
        unsafe { bindings::tcp_dispatch_skb_set_listener(self.0.get(), listener.as_ptr()) };
    }

    /// Lets it be TCP's early demux that has found the packet's socket. That has to be one which is
    /// counted, as all but listeners are.
    #[inline]
    pub(crate) fn make_tcp_early_demux(&mut self) {
        debug_assert!(self.has_socket());
        // SAFETY: The packet is ours, and both free a counted socket alike; while IP has it, the union
        // holds the destructor.
        unsafe {
            (*self.0.get()).__bindgen_anon_3.__bindgen_anon_1.destructor =
                Some(bindings::sock_edemux);
        }
    }

    /// Whether IP is going to look for the socket of the packet, a whole segment, before it routes it:
    /// it is for this host, and nobody has said yet where it goes.
    #[inline]
    pub(crate) fn wants_early_demux(&self) -> bool {
        !self.has_route() && !self.has_socket() && self.is_to_this_host()
    }

    /// Gives the packet, which has none, its socket, as a program of BPF might, and the route that the
    /// socket remembers. In the read section that IP handles the packet in.
    #[inline]
    pub(crate) fn set_early_demux(&mut self, sock: Sock) {
        debug_assert!(!self.has_socket());
        // SAFETY: The packet is ours and has neither socket nor route; it takes over the reference.
        unsafe { bindings::tcp_dispatch_skb_set_early_demux(self.0.get(), sock.into_raw()) };
    }

    /// Gives the packet, which has none, a route. In the read section that IP handles it in.
    #[inline]
    pub(crate) fn set_input_route(&mut self, route: DstRef<'_>) {
        debug_assert!(!self.has_route());
        // SAFETY: The packet is ours and has none; the route is not freed in this read section.
        unsafe { bindings::tcp_dispatch_skb_dst_set_noref(self.0.get(), route.as_ptr()) };
    }

    /// Whether the packet, for this host and without a route, takes the route that all to its
    /// destination take, as far as that is easily told. In the read section that IP handles it in.
    pub(crate) fn routes_by_destination<A: Inet>(&self, net: &Net) -> bool {
        debug_assert!(!self.has_route());
        // SAFETY: IP has received the packet, and not routed it.
        unsafe { A::routes_by_destination(net, self.as_ptr()) }
    }

    /// Whether IP takes the packet, which [`Self::routes_by_destination`], from its source, to which
    /// `way_back` leads: as far as that is easily told. In the read section that IP handles it in.
    pub(crate) fn accepts_source<A: Inet>(&self, way_back: &Dst) -> bool {
        // SAFETY: IP has received the packet; the route is valid.
        unsafe { A::accepts_source(self.as_ptr(), way_back.as_ptr()) }
    }

    /// Routes the packet, which has no route. In the read section that IP handles it in. `false` if IP has
    /// none for it.
    pub(crate) fn route_input<A: Inet>(&mut self) -> bool {
        debug_assert!(!self.has_route());
        // SAFETY: IP has received the packet, and not routed it.
        unsafe { A::route_input(self.as_ptr()) }
    }

    /// Whether it is known where the packet goes.
    #[inline]
    pub(crate) fn has_route(&self) -> bool {
        // SAFETY: The packet is valid; while IP has it, the union holds the route.
        unsafe {
            (*self.0.get())
                .__bindgen_anon_3
                .__bindgen_anon_1
                ._skb_refdst
                != 0
        }
    }

    /// Sends the packet by `dst` instead of by the route that it may have.
    pub(crate) fn give_dst(&mut self, dst: Dst) {
        // SAFETY: The packet is ours, and gets the reference.
        unsafe { bindings::tcp_dispatch_skb_dst_set(self.0.get(), dst.into_raw()) };
    }

    /// Takes the packet's socket from it.
    pub(crate) fn orphan(&mut self) {
        // SAFETY: The packet is ours.
        unsafe { bindings::tcp_dispatch_skb_orphan(self.0.get()) };
    }

    /// The index of the device that the packet came by.
    #[inline]
    pub(crate) fn iif(&self) -> i32 {
        self.fields().skb_iif
    }

    /// Whether the packet was sent by this computer to itself.
    #[inline]
    pub(crate) fn is_from_loopback(&self) -> bool {
        self.iif() == bindings::LOOPBACK_IFINDEX as i32
    }

    /// Whether the link layer addressed the packet to this host alone.
    #[inline]
    pub(crate) fn is_to_this_host(&self) -> bool {
        self.fields().pkt_type() == PACKET_HOST
    }

    /// The fixed part of the IP header.
    #[inline]
    pub(crate) fn ip<A: Inet>(&self) -> &A::Header {
        // SAFETY: IP has checked and pulled its header, by the type's contract.
        unsafe { &*self.network_header().cast() }
    }

    #[inline]
    fn network_header(&self) -> *mut u8 {
        // SAFETY: The offset is within the linear part.
        unsafe {
            (*self.0.get())
                .head
                .add(self.fields().network_header.into())
        }
    }

    #[inline]
    fn data(&self) -> *mut u8 {
        // SAFETY: The packet is valid.
        unsafe { (*self.0.get()).data }
    }

    /// How many bytes it has from `data` on.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { (*self.0.get()).len }
    }

    /// Where TCP has its ports, source and destination, if that is linear. Whether the packet is TCP,
    /// nobody knows yet. IP has received it.
    #[inline]
    pub(crate) fn ports_at_hand(&self) -> Option<PortsAtHand<'_>> {
        const BEHIND_PORTS: u32 = 4;
        let skb = self.0.get();
        // IP has set the transport header to where its own ends.
        let transport = u32::from(self.fields().transport_header);
        // SAFETY: The packet is valid, and the tail is where the linear part ends.
        unsafe {
            if transport + BEHIND_PORTS > (*skb).tail {
                return None;
            }
            // INVARIANT: Just seen.
            let ports = (*skb).head.add(transport as usize).cast();
            Some(PortsAtHand(ports, PhantomData))
        }
    }

    /// How many bytes from `data` on are linear.
    #[inline]
    fn linear(&self) -> usize {
        let skb = self.0.get();
        // SAFETY: The packet is valid; a part is no longer than the whole.
        unsafe { (*skb).len.wrapping_sub((*skb).data_len) as usize }
    }

    /// Makes the first `len` bytes from `data` on linear. Pointers into the packet may become
    /// invalid.
    #[inline]
    fn pull(&mut self, len: usize) -> bool {
        if self.linear() >= len {
            return true;
        }
        // SAFETY: The packet is ours.
        unsafe { bindings::tcp_dispatch_pskb_may_pull(self.0.get(), len as u32) }
    }

    /// Makes the headers, and `len` bytes from `data` on, linear and our own to write. Pointers
    /// into the packet may become invalid.
    #[inline]
    fn make_writable(&mut self, len: usize) -> Result {
        if self.is_writable(len) {
            return Ok(());
        }
        // SAFETY: The packet is ours.
        to_result(unsafe { bindings::skb_ensure_writable(self.0.get(), len as u32) })
    }

    /// Whether the headers, and the first `len` bytes from `data` on, are linear and nobody else's: as
    /// `skb_ensure_writable()` begins. Nearly always that is all.
    #[inline]
    fn is_writable(&self, len: usize) -> bool {
        if self.linear() < len {
            return false;
        }
        let skb = self.0.get();
        // SAFETY: The packet is valid.
        if unsafe { (*skb).cloned() } == 0 {
            return true;
        }
        // SAFETY: The packet is valid, and what it shares stands where the buffer's linear part ends. The
        // count is read at once, as by `atomic_read()`.
        let (dataref, headroom, own) = unsafe {
            let shared = (*skb)
                .head
                .add((*skb).end as usize)
                .cast::<bindings::skb_shared_info>();
            (
                (&raw const (*shared).dataref).cast::<u32>().read_volatile(),
                (*skb).data.addr().wrapping_sub((*skb).head.addr()),
                usize::from((*skb).hdr_len),
            )
        };
        // `skb_header_cloned()`: who refers to the data without the headers is counted in the upper half, too.
        let others = (dataref & 0xffff).wrapping_sub(dataref >> 16);
        others == 1 && headroom.saturating_add(len) <= own
    }

    /// Tells the sender of a received packet by ICMP that nobody listens on the port, as often as the
    /// kernel's limits allow. Softirq context.
    pub(crate) fn send_port_unreachable(&mut self) {
        // SAFETY: The packet is ours, and IP has routed it.
        unsafe { bindings::tcp_dispatch_send_port_unreachable(self.0.get()) };
    }

    /// Frees the packet.
    pub(crate) fn free(&mut self, reason: DropReason) {
        // SAFETY: The packet is ours, and whoever calls this tells IP that it is gone.
        unsafe { bindings::tcp_dispatch_kfree_skb(self.0.get(), reason as u32) };
    }

    fn checksum_state(&self) -> ChecksumState {
        match u32::from(self.fields().ip_summed()) {
            bindings::CHECKSUM_PARTIAL => ChecksumState::Partial,
            bindings::CHECKSUM_COMPLETE => {
                // SAFETY: With CHECKSUM_COMPLETE the union holds `csum`.
                ChecksumState::Complete(unsafe { self.fields().__bindgen_anon_1.csum })
            }
            _ => ChecksumState::Filled,
        }
    }

    fn set_checksum_state(&mut self, state: ChecksumState) {
        if let ChecksumState::Complete(csum) = state {
            // SAFETY: The packet is ours, and its state is CHECKSUM_COMPLETE.
            unsafe {
                (*self.0.get())
                    .__bindgen_anon_4
                    .__bindgen_anon_1
                    .as_mut()
                    .__bindgen_anon_1
                    .csum = csum
            };
        }
    }
}

/// Where a packet has its ports, if it is TCP.
///
/// # Invariants
///
/// Points to four bytes of a packet that lives as long as `'a`.
pub(crate) struct PortsAtHand<'a>(*const [u8; 2], PhantomData<&'a SkBuff>);

impl PortsAtHand<'_> {
    /// Where it comes from, in network byte order.
    #[inline]
    pub(crate) fn source(&self) -> [u8; 2] {
        // SAFETY: The type's invariant.
        unsafe { self.0.read() }
    }

    /// Where it goes to, in network byte order.
    #[inline]
    pub(crate) fn destination(&self) -> [u8; 2] {
        // SAFETY: The type's invariant.
        unsafe { self.0.add(1).read() }
    }
}

/// A packet that is a TCP segment, at the border between IP and TCP.
///
/// # Invariants
///
/// The fixed parts of the IP and of the TCP header are linear; the TCP header begins `transport` bytes
/// after the packet's `data`, the IP header, of family `A`, is at the network header.
pub(crate) struct Segment<'a, A> {
    skb: &'a mut SkBuff,
    transport: usize,
    family: PhantomData<A>,
}

impl<'a, A: Inet> Segment<'a, A> {
    /// A packet that IP gives to TCP: `data` is the TCP header. `None` if it is too short for one.
    #[inline]
    pub(crate) fn received(skb: &'a mut SkBuff) -> Option<Self> {
        // INVARIANT: Pulled, if this succeeds.
        skb.pull(TCP_HEADER).then_some(Self {
            skb,
            transport: 0,
            family: PhantomData,
        })
    }

    /// A packet that TCP gives to IP, or that IP hasn't routed yet: `data` is the IP header. `None` if
    /// it isn't TCP.
    #[inline]
    pub(crate) fn in_ip(skb: &'a mut SkBuff) -> Option<Self> {
        let ip = skb.ip::<A>();
        let transport = if ip.has_tcp_header() {
            ip.header_len()
        } else {
            // SAFETY: The packet is IP's.
            unsafe { A::find_tcp(skb.as_ptr()) }?
        };
        // INVARIANT: Pulled, if this succeeds.
        skb.pull(transport + TCP_HEADER).then_some(Self {
            skb,
            transport,
            family: PhantomData,
        })
    }

    /// The packet.
    #[inline]
    pub(crate) fn into_skb(self) -> &'a mut SkBuff {
        self.skb
    }

    /// The packet.
    #[inline]
    pub(crate) fn skb(&mut self) -> &mut SkBuff {
        self.skb
    }

    #[inline]
    fn tcp_pointer(&self) -> *mut TcpHeader {
        self.skb.data().wrapping_add(self.transport).cast()
    }

    /// The fixed part of the IP header.
    #[inline]
    pub(crate) fn ip(&self) -> &A::Header {
        self.skb.ip::<A>()
    }

    /// The fixed part of the TCP header.
    #[inline]
    pub(crate) fn tcp(&self) -> &TcpHeader {
        // SAFETY: The type's invariant.
        unsafe { &*self.tcp_pointer() }
    }

    /// The flags of the TCP header.
    #[inline]
    pub(crate) fn flags(&self) -> TcpFlags {
        packet::flags(self.tcp())
    }

    /// The mark that the packet is routed by. TCP has set it to the socket's, whose kind, a request
    /// for instance, need not have one itself.
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: The union holds the mark while IP handles the packet.
        unsafe { self.skb.fields().__bindgen_anon_4.mark }
    }

    /// Addresses and ports.
    #[inline]
    pub(crate) fn tuple(&self) -> Tuple<A> {
        packet::tuple(self.ip(), self.tcp())
    }

    /// Where it comes from.
    #[inline]
    pub(crate) fn source(&self) -> SocketAddress<A> {
        self.tuple().source()
    }

    /// The packet's length in bytes, IP header included.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        let header = self
            .skb
            .data()
            .addr()
            .wrapping_sub(self.skb.network_header().addr());
        self.skb.len().wrapping_add(header as u32)
    }

    /// The TCP header's options; none if its length is a lie, or there is no memory to make it linear.
    pub(crate) fn options(&mut self) -> &[u8] {
        let header = packet::data_offset(self.tcp());
        if header <= TCP_HEADER || !self.skb.pull(self.transport + header) {
            return &[];
        }
        // SAFETY: The whole TCP header is linear, and stays so while the segment is borrowed.
        unsafe {
            slice::from_raw_parts(self.tcp_pointer().add(1).cast::<u8>(), header - TCP_HEADER)
        }
    }

    /// How many bytes of data there are behind the TCP header, if its length is not a lie.
    pub(crate) fn payload_len(&self) -> Option<u32> {
        let offset = packet::data_offset(self.tcp());
        if offset < TCP_HEADER {
            return None;
        }
        self.skb.len().checked_sub((self.transport + offset) as u32)
    }

    /// Whether TCP's checksum is right. Process it only where a state is to be made: it reads the
    /// whole packet if nobody did so before.
    pub(crate) fn checksum_is_right(&mut self) -> bool {
        debug_assert_eq!(self.transport, 0);
        // SAFETY: The packet is ours, and `data` is the TCP header.
        unsafe { A::checksum_is_right(self.skb.as_ptr()) }
    }

    /// Whether the length of the TCP header or the checksum is wrong. Such a segment could be anybody's,
    /// so it is TCP's to judge. As dear as [`Self::checksum_is_right`].
    pub(crate) fn is_damaged(&mut self) -> bool {
        self.payload_len().is_none() || !self.checksum_is_right()
    }

    /// Makes both headers writable.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, with the packet.
    #[inline]
    pub(crate) fn make_writable(self) -> Result<WritableSegment<'a, A>, (&'a mut SkBuff, Error)> {
        match self.skb.make_writable(self.transport + TCP_HEADER) {
            // INVARIANT: The headers are ours.
            Ok(()) => Ok(WritableSegment(self)),
            Err(error) => Err((self.skb, error)),
        }
    }

    /// Lowers the maximum segment size that a SYN announces to `limit`, if it is larger.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn clamp_mss(&mut self, limit: u16) -> Result {
        let header = packet::data_offset(self.tcp());
        if header <= TCP_HEADER || !self.skb.pull(self.transport + header) {
            // No options, or a header that is longer than the packet: TCP finds that out itself.
            return Ok(());
        }
        self.skb.make_writable(self.transport + header)?;
        let state = self.skb.checksum_state();
        let tcp = self.tcp_pointer();
        // SAFETY: The whole TCP header is linear and ours; fixed part and options don't overlap.
        let (tcp, options) = unsafe {
            (
                &mut *tcp,
                slice::from_raw_parts_mut(tcp.add(1).cast::<u8>(), header - TCP_HEADER),
            )
        };
        mss::clamp_mss(tcp, options, limit, state);
        Ok(())
    }
}

/// A segment whose headers may be written.
///
/// # Invariants
///
/// Nobody else refers to the headers of the segment.
pub(crate) struct WritableSegment<'a, A>(Segment<'a, A>);

impl<'a, A: Inet> WritableSegment<'a, A> {
    /// The packet.
    pub(crate) fn into_skb(self) -> &'a mut SkBuff {
        self.0.skb
    }

    #[inline]
    fn rewrite(
        &mut self,
        to: SocketAddress<A>,
        how: fn(&mut A::Header, &mut TcpHeader, SocketAddress<A>, ChecksumState) -> ChecksumState,
    ) {
        let state = self.0.skb.checksum_state();
        // SAFETY: The headers are linear and nobody else's by the invariants, and don't overlap.
        let (ip, tcp) = unsafe {
            (
                &mut *self.0.skb.network_header().cast::<A::Header>(),
                &mut *self.0.tcp_pointer(),
            )
        };
        let state = how(ip, tcp, to, state);
        self.0.skb.set_checksum_state(state);
    }

    /// Puts `to` in place of the destination address and port.
    #[inline]
    pub(crate) fn rewrite_destination(&mut self, to: SocketAddress<A>) {
        self.rewrite(to, packet::rewrite_destination);
    }

    /// Puts `to` in place of the source address and port.
    #[inline]
    pub(crate) fn rewrite_source(&mut self, to: SocketAddress<A>) {
        self.rewrite(to, packet::rewrite_source);
    }

    /// Sends the packet by `dst` instead of by the route that it has. `false`, and the packet is as
    /// it was, if the packet needs a reference and nobody else has one any longer.
    #[inline]
    pub(crate) fn set_dst(&mut self, dst: DstRef<'_>) -> bool {
        // SAFETY: The packet is ours, and the route is not freed in this read section.
        unsafe { bindings::tcp_dispatch_skb_dst_replace(self.0.skb.as_ptr(), dst.as_ptr()) }
    }
}

/// The packet that an ICMP error quotes: an IP header and eight bytes of TCP.
///
/// # Invariants
///
/// Both are linear.
pub(crate) struct Quote<'a, A> {
    skb: &'a mut SkBuff,
    transport: usize,
    family: PhantomData<A>,
}

/// How many bytes of the transport header an ICMP error quotes at least, RFC 792.
const QUOTED: usize = 8;

impl<'a, A: Inet> Quote<'a, A> {
    /// The quote of an ICMP error that IP gives to TCP: `data` is the quoted IP header, and the TCP
    /// header `transport` bytes behind it.
    pub(crate) fn received(skb: &'a mut SkBuff, transport: usize) -> Option<Self> {
        if transport < size_of::<A::Header>() || !skb.pull(transport + QUOTED) {
            return None;
        }
        // INVARIANT: Pulled.
        Some(Self {
            skb,
            transport,
            family: PhantomData,
        })
    }

    fn pointers(&self) -> (*mut A::Header, *mut [u8; QUOTED]) {
        let data = self.skb.data();
        (data.cast(), data.wrapping_add(self.transport).cast())
    }

    /// Addresses and ports of the quoted packet.
    pub(crate) fn tuple(&self) -> Tuple<A> {
        let (ip, tcp) = self.pointers();
        // SAFETY: The type's invariant.
        unsafe { packet::quoted_tuple(&*ip, &*tcp) }
    }

    /// Puts `to` in place of the quoted source address and port.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn rewrite_source(&mut self, to: SocketAddress<A>) -> Result {
        self.skb.make_writable(self.transport + QUOTED)?;
        let (ip, tcp) = self.pointers();
        // SAFETY: Both are linear and ours, and don't overlap.
        unsafe { packet::rewrite_quoted_source(&mut *ip, &mut *tcp, to) };
        Ok(())
    }
}

/// Where the TCP header is in the IPv4 packet that an ICMP error quotes, from its header on; `None` if
/// it quotes something else.
pub(crate) fn find_tcp_in_ipv4_quote(skb: &mut SkBuff) -> Option<usize> {
    if !skb.pull(size_of::<Ipv4Header>()) {
        return None;
    }
    // SAFETY: Just pulled.
    let ip = unsafe { &*skb.data().cast::<Ipv4Header>() };
    ip.has_tcp_header().then(|| ip.header_len())
}

/// Sends a packet of nothing but `headers` by `dst`. Any context.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn send<A: Inet>(net: &Net, headers: (A::Header, TcpHeader), dst: Dst) -> Result {
    let (ip, tcp) = headers;
    let ip_len = size_of::<A::Header>();
    let size = ip_len + TCP_HEADER;
    // SAFETY: The packet is new and ours until it is sent; there is room for the headers.
    unsafe {
        let headroom = bindings::tcp_dispatch_ll_max_header();
        let skb = bindings::tcp_dispatch_alloc_skb(headroom as u32 + size as u32);
        if skb.is_null() {
            return Err(ENOMEM);
        }
        bindings::tcp_dispatch_skb_reserve(skb, headroom);
        bindings::tcp_dispatch_skb_reset_network_header(skb);
        bindings::tcp_dispatch_skb_set_transport_header(skb, ip_len as i32);
        let data = bindings::skb_put(skb, size as u32).cast::<u8>();
        data.cast::<A::Header>().write_unaligned(ip);
        data.add(ip_len).cast::<TcpHeader>().write_unaligned(tcp);
        bindings::tcp_dispatch_skb_dst_set(skb, dst.into_raw());
        A::local_out(net, skb);
    }
    Ok(())
}
