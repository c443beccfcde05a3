// SPDX-License-Identifier: GPL-2.0

//! Packets.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use super::{
    dst::{Dst, DstRef},
    net::Net,
    sock::{Sock, SockAddresses},
};
use crate::{
    bindings,
    tcp_dispatch_core::{
        mss,
        packet::{self, Ipv4Header, TcpFlags, TcpHeader},
        ChecksumState, SocketAddress, Tuple,
    },
};
use core::{
    mem::size_of,
    ptr::{self, NonNull},
    slice,
};
use kernel::{prelude::*, sync::rcu::Guard, types::Opaque};

const IP_HEADER: usize = size_of::<Ipv4Header>();
const TCP_HEADER: usize = size_of::<TcpHeader>();

/// Why a packet is freed, for `kfree_skb_reason()`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// `SKB_DROP_REASON_NOMEM`
    NoMemory,
    /// `SKB_DROP_REASON_NOT_SPECIFIED`
    NotSpecified,
}

/// A packet, `struct sk_buff`, that IP is handling: its IPv4 header is linear.
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

    /// Whether the socket is what early demux found, TCP's or [`crate::early_demux`]. A program of
    /// BPF may have given it another.
    #[inline]
    pub(crate) fn is_early_demux(&self) -> bool {
        // SAFETY: The packet is valid; while IP has it, the union holds the destructor.
        let destructor = unsafe { (*self.0.get()).__bindgen_anon_3.__bindgen_anon_1.destructor };
        destructor.is_some_and(|destructor| {
            ptr::fn_addr_eq(
                destructor,
                bindings::sock_edemux as unsafe extern "C" fn(*mut bindings::sk_buff),
            )
        })
    }

    /// Whether IP is going to look for the socket of the packet, a whole segment, before it routes it:
    /// it is for this host, and nobody has said yet where it goes.
    #[inline]
    pub(crate) fn wants_early_demux(&self) -> bool {
        !self.has_route() && !self.has_socket() && self.is_to_this_host()
    }

    /// Gives the packet, which has none, its socket, and the route that the socket remembers. In the
    /// read section that IP handles the packet in.
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

    /// The fixed part of the IPv4 header.
    #[inline]
    pub(crate) fn ip(&self) -> &Ipv4Header {
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

    #[inline]
    fn len(&self) -> u32 {
        // SAFETY: The packet is valid.
        unsafe { (*self.0.get()).len }
    }

    /// The fixed part of the TCP header of a packet that is a segment, if it is linear. `data` is the
    /// IPv4 header.
    #[inline]
    pub(crate) fn linear_tcp(&self) -> Option<&TcpHeader> {
        let transport = packet::ip_header_len(self.ip());
        if self.linear() < transport + TCP_HEADER {
            return None;
        }
        // SAFETY: The header is within the linear part.
        Some(unsafe { &*self.data().wrapping_add(transport).cast() })
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
        // SAFETY: The packet is ours.
        match unsafe { bindings::tcp_dispatch_skb_ensure_writable(self.0.get(), len as u32) } {
            0 => Ok(()),
            error => Err(Error::from_errno(error)),
        }
    }

    /// Frees the packet.
    pub(crate) fn free(&mut self, reason: DropReason) {
        // SAFETY: The packet is ours, and whoever calls this tells IP that it is gone.
        unsafe { bindings::tcp_dispatch_kfree_skb(self.0.get(), reason == DropReason::NoMemory) };
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

/// A packet that is a TCP segment, at the border between IP and TCP.
///
/// # Invariants
///
/// The fixed parts of the IPv4 and of the TCP header are linear; the TCP header begins `transport`
/// bytes after the packet's `data`, the IPv4 header is at the network header.
pub(crate) struct Segment<'a> {
    skb: &'a mut SkBuff,
    transport: usize,
}

impl<'a> Segment<'a> {
    /// A packet that IP gives to TCP: `data` is the TCP header. `None` if it is too short for one.
    #[inline]
    pub(crate) fn received(skb: &'a mut SkBuff) -> Option<Self> {
        // INVARIANT: Pulled, if this succeeds.
        skb.pull(TCP_HEADER).then_some(Self { skb, transport: 0 })
    }

    /// A packet that TCP gives to IP, or that IP hasn't routed yet: `data` is the IPv4 header. `None`
    /// if it isn't TCP.
    #[inline]
    pub(crate) fn in_ip(skb: &'a mut SkBuff) -> Option<Self> {
        if !packet::has_tcp_header(skb.ip()) {
            return None;
        }
        let transport = packet::ip_header_len(skb.ip());
        // INVARIANT: Pulled, if this succeeds.
        skb.pull(transport + TCP_HEADER)
            .then_some(Self { skb, transport })
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

    /// The fixed part of the IPv4 header.
    #[inline]
    pub(crate) fn ip(&self) -> &Ipv4Header {
        self.skb.ip()
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
    pub(crate) fn tuple(&self) -> Tuple {
        packet::tuple(self.ip(), self.tcp())
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
        unsafe { bindings::tcp_dispatch_tcp_checksum_is_right(self.skb.as_ptr()) }
    }

    /// Makes both headers writable.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, with the packet.
    #[inline]
    pub(crate) fn make_writable(self) -> Result<WritableSegment<'a>, (&'a mut SkBuff, Error)> {
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
pub(crate) struct WritableSegment<'a>(Segment<'a>);

impl<'a> WritableSegment<'a> {
    /// The packet.
    pub(crate) fn into_skb(self) -> &'a mut SkBuff {
        self.0.skb
    }

    #[inline]
    fn rewrite(
        &mut self,
        to: SocketAddress,
        how: fn(&mut Ipv4Header, &mut TcpHeader, SocketAddress, ChecksumState) -> ChecksumState,
    ) {
        let state = self.0.skb.checksum_state();
        // SAFETY: The headers are linear and nobody else's by the invariants, and don't overlap.
        let (ip, tcp) = unsafe {
            (
                &mut *self.0.skb.network_header().cast::<Ipv4Header>(),
                &mut *self.0.tcp_pointer(),
            )
        };
        let state = how(ip, tcp, to, state);
        self.0.skb.set_checksum_state(state);
    }

    /// Puts `to` in place of the destination address and port.
    #[inline]
    pub(crate) fn rewrite_destination(&mut self, to: SocketAddress) {
        self.rewrite(to, packet::rewrite_destination);
    }

    /// Puts `to` in place of the source address and port.
    #[inline]
    pub(crate) fn rewrite_source(&mut self, to: SocketAddress) {
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

/// The packet that an ICMP error quotes: an IPv4 header and eight bytes of TCP.
///
/// # Invariants
///
/// Both are linear.
pub(crate) struct Quote<'a> {
    skb: &'a mut SkBuff,
    ip_header_len: usize,
}

/// How many bytes of the transport header an ICMP error quotes at least, RFC 792.
const QUOTED: usize = 8;

impl<'a> Quote<'a> {
    /// The quote of an ICMP error that IP gives to TCP: `data` is the quoted IPv4 header.
    pub(crate) fn received(skb: &'a mut SkBuff) -> Option<Self> {
        if !skb.pull(IP_HEADER + QUOTED) {
            return None;
        }
        // SAFETY: Just pulled.
        let ip = unsafe { &*skb.data().cast::<Ipv4Header>() };
        let ip_header_len = packet::ip_header_len(ip);
        if !packet::has_tcp_header(ip)
            || ip_header_len < IP_HEADER
            || !skb.pull(ip_header_len + QUOTED)
        {
            return None;
        }
        // INVARIANT: Pulled.
        Some(Self { skb, ip_header_len })
    }

    fn pointers(&self) -> (*mut Ipv4Header, *mut [u8; QUOTED]) {
        let data = self.skb.data();
        (data.cast(), data.wrapping_add(self.ip_header_len).cast())
    }

    /// Addresses and ports of the quoted packet.
    pub(crate) fn tuple(&self) -> Tuple {
        let (ip, tcp) = self.pointers();
        // SAFETY: The type's invariant.
        unsafe { packet::quoted_tuple(&*ip, &*tcp) }
    }

    /// Puts `to` in place of the quoted source address and port.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn rewrite_source(&mut self, to: SocketAddress) -> Result {
        self.skb.make_writable(self.ip_header_len + QUOTED)?;
        let (ip, tcp) = self.pointers();
        // SAFETY: Both are linear and ours, and don't overlap.
        unsafe { packet::rewrite_quoted_source(&mut *ip, &mut *tcp, to) };
        Ok(())
    }
}

/// Sends a packet of nothing but `headers`, an IPv4 and a TCP header, by `dst`. Any context.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn send(net: &Net, headers: &[u8; IP_HEADER + TCP_HEADER], dst: Dst) -> Result {
    let size = headers.len();
    // SAFETY: The packet is new and ours until `ip_local_out()` takes it; there is room for the
    // headers.
    unsafe {
        let headroom = bindings::tcp_dispatch_ll_max_header();
        let skb = bindings::tcp_dispatch_alloc_skb(headroom as u32 + size as u32);
        if skb.is_null() {
            return Err(ENOMEM);
        }
        bindings::tcp_dispatch_skb_reserve(skb, headroom);
        bindings::tcp_dispatch_skb_reset_network_header(skb);
        bindings::tcp_dispatch_skb_set_transport_header(skb, IP_HEADER as i32);
        let data = bindings::skb_put(skb, size as u32);
        ptr::copy_nonoverlapping(headers.as_ptr(), data.cast(), size);
        bindings::tcp_dispatch_skb_dst_set(skb, dst.into_raw());
        bindings::ip_local_out(net.as_ptr(), ptr::null_mut(), skb);
    }
    Ok(())
}
