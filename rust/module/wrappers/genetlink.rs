// SPDX-License-Identifier: GPL-2.0

//! Generic netlink operations: requests, replies, dumps.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h). The kernel crate's
//! `net::netlink` covers multicast groups only. The family's policies and operations are generated
//! from its specification, see `generated/netlink.c`; netlink has checked a request against them
//! before it comes here.

use super::{
    cred::Uid,
    net::Net,
    rhashtable::{RhashTable, Table, Walk},
};
use crate::bindings::{self, nlattr};
use core::{ffi::c_void, marker::PhantomData, ptr::NonNull};
use kernel::{alloc::Flags, error::to_result, prelude::*, str::CStr};

/// The registered family; dropping it unregisters it, after all its operations are done.
///
/// # Invariants
///
/// The family is registered.
pub(crate) struct FamilyRegistration(());

impl FamilyRegistration {
    /// Registers the family. Process context.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The family is static and complete; this is called once per registration.
        to_result(unsafe { bindings::tcp_dispatch_genl_register() })?;
        // INVARIANT: Just registered.
        Ok(Self(()))
    }
}

impl Drop for FamilyRegistration {
    fn drop(&mut self) {
        // SAFETY: Registered by the invariant.
        unsafe { bindings::tcp_dispatch_genl_unregister() };
    }
}

/// An attribute of a request, checked against its policy.
#[derive(Clone, Copy)]
pub(crate) struct Attribute<'a>(NonNull<nlattr>, PhantomData<&'a nlattr>);

impl<'a> Attribute<'a> {
    /// The payload of an attribute of `N` bytes in network byte order.
    pub(crate) fn bytes<const N: usize>(self) -> [u8; N] {
        // SAFETY: The policy has checked that the payload is at least as long as its type, which
        // callers read; it follows the header.
        unsafe { self.0.add(1).cast::<[u8; N]>().read_unaligned() }
    }

    /// The payload of an attribute of type `u8`.
    pub(crate) fn u8(self) -> u8 {
        u8::from_ne_bytes(self.bytes())
    }

    /// The payload of an attribute of type `u32`.
    pub(crate) fn u32(self) -> u32 {
        u32::from_ne_bytes(self.bytes())
    }

    /// The payload of an attribute of type `string`, without a NUL at its end.
    pub(crate) fn string(self) -> &'a [u8] {
        // SAFETY: The length is that of the attribute, whose header it includes; netlink has checked
        // that it is within the message, which lives for `'a`.
        let bytes = unsafe {
            let length = usize::from(self.0.as_ref().nla_len).saturating_sub(NLA_HEADER);
            core::slice::from_raw_parts(self.0.add(1).cast::<u8>().as_ptr(), length)
        };
        bytes.split(|byte| *byte == 0).next().unwrap_or(bytes)
    }

    /// The payload of an attribute of two bytes in network byte order.
    pub(crate) fn be16(self) -> [u8; 2] {
        self.bytes()
    }
}

/// `NLA_HDRLEN`.
const NLA_HEADER: usize = core::mem::size_of::<nlattr>();

/// Attributes by their type, with where to complain about them.
pub(crate) struct Attributes<'a, T> {
    table: T,
    max: usize,
    /// The attribute that they are nested in.
    nest: Option<Attribute<'a>>,
    extack: ExtAck,
}

/// What an error says besides its number, `struct netlink_ext_ack`.
#[derive(Clone, Copy)]
pub(crate) struct ExtAck(*mut bindings::netlink_ext_ack);

impl ExtAck {
    /// Blames `attribute` and says why.
    pub(crate) fn attribute(
        self,
        error: Error,
        attribute: Attribute<'_>,
        message: &'static CStr,
    ) -> Error {
        // SAFETY: Null or valid for the request.
        if let Some(extack) = unsafe { self.0.as_mut() } {
            extack.bad_attr = attribute.0.as_ptr();
            extack._msg = message.as_char_ptr();
        }
        error
    }

    /// Says why.
    pub(crate) fn message(self, error: Error, message: &'static CStr) -> Error {
        // SAFETY: Null or valid for the request.
        if let Some(extack) = unsafe { self.0.as_mut() } {
            extack._msg = message.as_char_ptr();
        }
        error
    }

    fn missing(self, attribute: u32, nest: Option<Attribute<'_>>) -> Error {
        // SAFETY: Null or valid for the request.
        if let Some(extack) = unsafe { self.0.as_mut() } {
            extack.miss_type = attribute as u16;
            extack.miss_nest = nest.map_or(core::ptr::null(), |nest| nest.0.as_ptr());
            extack._msg = c"a required attribute is missing".as_char_ptr();
        }
        EINVAL
    }
}

impl<'a, T: AsRef<[*mut nlattr]>> Attributes<'a, T> {
    /// The attribute of type `attribute`, if it is there.
    pub(crate) fn get(&self, attribute: u32) -> Option<Attribute<'a>> {
        debug_assert!(attribute as usize <= self.max);
        let raw = *self.table.as_ref().get(attribute as usize)?;
        NonNull::new(raw).map(|raw| Attribute(raw, PhantomData))
    }

    /// The attribute of type `attribute`.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with the attribute named, if it isn't there.
    pub(crate) fn require(&self, attribute: u32) -> Result<Attribute<'a>> {
        self.get(attribute)
            .ok_or_else(|| self.extack.missing(attribute, self.nest))
    }

    /// Where to complain.
    pub(crate) fn extack(&self) -> ExtAck {
        self.extack
    }

    /// What is nested in `nest`, a socket address.
    pub(crate) fn nested_socket_address(
        &self,
        nest: Attribute<'a>,
    ) -> Result<Attributes<'a, [*mut nlattr; SOCKET_ADDRESS + 1]>> {
        let mut table = [core::ptr::null_mut(); SOCKET_ADDRESS + 1];
        // SAFETY: The table has room for the types up to the maximum; the policy is that of the
        // specification.
        to_result(unsafe {
            bindings::tcp_dispatch_nla_parse_socket_address(
                table.as_mut_ptr(),
                nest.0.as_ptr(),
                self.extack.0,
            )
        })?;
        Ok(Attributes {
            table,
            max: SOCKET_ADDRESS,
            nest: Some(nest),
            extack: self.extack,
        })
    }
}

const SOCKET_ADDRESS: usize = bindings::TCP_DISPATCH_A_SOCKET_ADDRESS_MAX as usize;

/// The attributes of a whole request, which netlink has parsed.
pub(crate) type RequestAttributes<'a> = Attributes<'a, &'a [*mut nlattr]>;

/// A request.
pub(crate) struct Request<'a> {
    skb: *mut bindings::sk_buff,
    info: &'a mut bindings::genl_info,
}

impl<'a> Request<'a> {
    /// # Safety
    ///
    /// The pointers must be what generic netlink gives to an operation.
    pub(crate) unsafe fn from_raw(
        skb: *mut bindings::sk_buff,
        info: *mut bindings::genl_info,
    ) -> Self {
        // SAFETY: The caller vouches for it.
        let info = unsafe { &mut *info };
        Self { skb, info }
    }

    /// The network namespace of who asks.
    pub(crate) fn net(&self) -> &'a Net {
        // SAFETY: The socket that the request came by holds its namespace.
        unsafe { Net::from_raw(bindings::tcp_dispatch_genl_info_net(self.info)) }
    }

    /// Whether who asks may administer the network namespace: `CAP_NET_ADMIN` in the user namespace
    /// that owns it, now and when the socket was opened.
    pub(crate) fn is_admin(&self) -> bool {
        // SAFETY: The request is valid.
        unsafe { bindings::tcp_dispatch_netlink_is_admin(self.skb) }
    }

    /// The effective user of who asks, if it is the one who opened the socket, too: whoever was
    /// talked into writing to another's socket asks for nobody.
    pub(crate) fn user(&self) -> Option<Uid> {
        let user = Uid::current();
        // SAFETY: The request is valid.
        let opener = unsafe { bindings::tcp_dispatch_netlink_opener_euid(self.skb) };
        (user == Uid::from_raw(opener)).then_some(user)
    }

    /// The port of the socket that the request came by. It names the socket in its namespace.
    pub(crate) fn portid(&self) -> u32 {
        self.info.snd_portid
    }

    /// The attributes, of a set whose highest type in this operation's policy is `max`.
    pub(crate) fn attributes(&self, max: u32) -> RequestAttributes<'a> {
        // SAFETY: Netlink has parsed the request into a table for the types up to `max`.
        unsafe { attributes(self.info, max) }
    }

    /// Answers with what `fill` puts into the message.
    pub(crate) fn reply(&mut self, fill: impl FnOnce(&mut Message) -> Result) -> Result {
        // SAFETY: No requirements.
        let skb = unsafe { bindings::tcp_dispatch_genlmsg_new(false) };
        if skb.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The message is new, and the request is valid.
        let header = unsafe { bindings::tcp_dispatch_genlmsg_iput(skb, self.info) };
        let filled = if header.is_null() {
            Err(EMSGSIZE)
        } else {
            fill(&mut Message(skb))
        };
        // SAFETY: The message is ours until it is sent or freed.
        unsafe {
            if let Err(error) = filled {
                bindings::tcp_dispatch_nlmsg_free(skb);
                return Err(error);
            }
            bindings::tcp_dispatch_genlmsg_end(skb, header);
            to_result(bindings::tcp_dispatch_genlmsg_reply(skb, self.info))
        }
    }
}

/// # Safety
///
/// `info.attrs` must be a table for the types up to `max`, or null, and valid for `'a`.
unsafe fn attributes<'a>(info: &bindings::genl_info, max: u32) -> RequestAttributes<'a> {
    let table: &[*mut nlattr] = if info.attrs.is_null() {
        &[]
    } else {
        // SAFETY: The caller vouches for it.
        unsafe { core::slice::from_raw_parts(info.attrs, max as usize + 1) }
    };
    Attributes {
        table,
        max: max as usize,
        nest: None,
        extack: ExtAck(info.extack),
    }
}

/// A message that is being written.
///
/// # Invariants
///
/// Points to a netlink message with its header in place.
pub(crate) struct Message(*mut bindings::sk_buff);

impl Message {
    fn put(&mut self, attribute: u32, payload: &[u8]) -> Result {
        // SAFETY: The type's invariant; the payload is readable.
        to_result(unsafe {
            bindings::nla_put(
                self.0,
                attribute as i32,
                payload.len() as i32,
                payload.as_ptr().cast(),
            )
        })
    }

    /// Puts bytes in network byte order.
    pub(crate) fn put_be<const N: usize>(&mut self, attribute: u32, value: [u8; N]) -> Result {
        self.put(attribute, &value)
    }

    /// Puts an attribute of type `u8`.
    pub(crate) fn put_u8(&mut self, attribute: u32, value: u8) -> Result {
        self.put(attribute, &[value])
    }

    /// Puts an attribute of type `u32`.
    pub(crate) fn put_u32(&mut self, attribute: u32, value: u32) -> Result {
        self.put(attribute, &value.to_ne_bytes())
    }

    /// Puts an attribute of type `uint`: four bytes if they do, else eight.
    pub(crate) fn put_uint(&mut self, attribute: u32, value: u64) -> Result {
        match u32::try_from(value) {
            Ok(value) => self.put(attribute, &value.to_ne_bytes()),
            Err(_) => self.put(attribute, &value.to_ne_bytes()),
        }
    }

    /// Puts an attribute of type `string`: `value` must end with the only NUL in it.
    pub(crate) fn put_string(&mut self, attribute: u32, value: &[u8]) -> Result {
        debug_assert!(value.last() == Some(&0));
        self.put(attribute, value)
    }

    /// Puts an attribute that holds what `fill` puts.
    pub(crate) fn nest(
        &mut self,
        attribute: u32,
        fill: impl FnOnce(&mut Self) -> Result,
    ) -> Result {
        // SAFETY: The type's invariant.
        let start = unsafe { bindings::tcp_dispatch_nla_nest_start(self.0, attribute as i32) };
        if start.is_null() {
            return Err(EMSGSIZE);
        }
        // Whoever wrote the message throws all of it away if this fails.
        fill(self)?;
        // SAFETY: The nest was started in this message.
        unsafe { bindings::tcp_dispatch_nla_nest_end(self.0, start) };
        Ok(())
    }
}

/// Tells whoever listens to the family's events in `net`, if anybody does: `fill` puts what there is
/// to tell into the message. Any context, as `flags` say.
///
/// Who can't take it, for lack of memory or room, is told by netlink that events were lost.
pub(crate) fn notify(
    net: &Net,
    command: u32,
    flags: Flags,
    fill: impl FnOnce(&mut Message) -> Result,
) {
    // SAFETY: `net` is valid.
    if !unsafe { bindings::tcp_dispatch_genl_has_listeners(net.as_ptr()) } {
        return;
    }
    let atomic = flags == GFP_ATOMIC;
    // SAFETY: The message is ours until it is sent or freed.
    unsafe {
        let skb = bindings::tcp_dispatch_genlmsg_new(atomic);
        if skb.is_null() {
            bindings::tcp_dispatch_genl_lost(net.as_ptr());
            return;
        }
        let header = bindings::tcp_dispatch_genlmsg_put(skb, 0, 0, 0, command as u8);
        if header.is_null() || fill(&mut Message(skb)).is_err() {
            bindings::tcp_dispatch_nlmsg_free(skb);
            bindings::tcp_dispatch_genl_lost(net.as_ptr());
            return;
        }
        bindings::tcp_dispatch_genlmsg_end(skb, header);
        bindings::tcp_dispatch_genl_multicast(net.as_ptr(), skb, atomic);
    }
}

/// What a dump remembers between two parts, in the callback's own memory.
#[repr(C)]
struct DumpContext {
    positions: [u64; 2],
    walk: *mut c_void,
}

/// A part of a dump.
pub(crate) struct Dump<'a> {
    skb: *mut bindings::sk_buff,
    callback: &'a mut bindings::netlink_callback,
}

impl<'a> Dump<'a> {
    /// # Safety
    ///
    /// The pointers must be what netlink gives to `dumpit`, or null and what it gives to `start`
    /// and `done`.
    pub(crate) unsafe fn from_raw(
        skb: *mut bindings::sk_buff,
        callback: *mut bindings::netlink_callback,
    ) -> Self {
        Self {
            skb,
            // SAFETY: The caller vouches for it.
            callback: unsafe { &mut *callback },
        }
    }

    /// The network namespace of who asks.
    pub(crate) fn net(&self) -> &'a Net {
        // SAFETY: The socket that the request came by holds its namespace.
        unsafe { Net::from_raw(bindings::tcp_dispatch_dump_net(self.callback)) }
    }

    /// The attributes of the request, of a set whose highest type in this operation's policy is
    /// `max`.
    pub(crate) fn attributes(&mut self, max: u32) -> RequestAttributes<'a> {
        // SAFETY: Generic netlink has parsed the request into a table for the types up to `max`,
        // and keeps it as long as the dump goes on.
        unsafe {
            let info = bindings::tcp_dispatch_genl_info_dump(self.callback);
            attributes(&*info, max)
        }
    }

    fn context(&mut self) -> &mut DumpContext {
        const { assert!(core::mem::size_of::<DumpContext>() <= 48) };
        // SAFETY: The context is zero at first and this type's alone; it is aligned as `long`s are.
        unsafe { &mut *core::ptr::addr_of_mut!(self.callback.__bindgen_anon_1).cast() }
    }

    /// Where the dump goes on, in two levels. Zero at first.
    pub(crate) fn positions(&mut self) -> (u64, u64) {
        let [outer, inner] = self.context().positions;
        (outer, inner)
    }

    /// Remembers where the dump goes on.
    pub(crate) fn set_positions(&mut self, outer: u64, inner: u64) {
        self.context().positions = [outer, inner];
    }

    /// Says of which generation of the data this part is: a dump with parts of different ones is
    /// marked as interrupted.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        // Zero means that there is no generation.
        self.callback.seq = generation.max(1);
    }

    /// Marks the dump as interrupted.
    pub(crate) fn interrupted(&mut self) {
        self.callback.prev_seq = 1;
        self.callback.seq = 2;
    }

    /// Adds a message. `false` if this part is full.
    pub(crate) fn message(
        &mut self,
        command: u32,
        fill: impl FnOnce(&mut Message) -> Result,
    ) -> bool {
        // SAFETY: Netlink gives a message with room for a part, and the request.
        unsafe {
            let portid = bindings::tcp_dispatch_netlink_portid(self.callback);
            let seq = (*self.callback.nlh).nlmsg_seq;
            let header = bindings::tcp_dispatch_genlmsg_put(
                self.skb,
                portid,
                seq,
                bindings::NLM_F_MULTI as i32,
                command as u8,
            );
            if header.is_null() {
                return false;
            }
            bindings::tcp_dispatch_genl_dump_check_consistent(self.callback, header);
            if fill(&mut Message(self.skb)).is_err() {
                bindings::tcp_dispatch_genlmsg_cancel(self.skb, header);
                return false;
            }
            bindings::tcp_dispatch_genlmsg_end(self.skb, header);
        }
        true
    }

    /// What `dumpit` returns: how much is in this part. Zero ends the dump.
    pub(crate) fn len(&self) -> c_int {
        // SAFETY: Netlink gave the message.
        unsafe { (*self.skb).len as c_int }
    }

    /// Begins a walk through `table` that lasts as long as the dump, where there is none.
    ///
    /// The table must belong to the namespace of who asks, which the dump's socket holds until
    /// `done` ends the walk.
    pub(crate) fn start_walk<T: Table>(&mut self, table: &RhashTable<T>) -> Result {
        let walk = KBox::new(Walk::enter(table)?, GFP_KERNEL)?;
        self.context().walk = KBox::into_raw(walk).cast();
        Ok(())
    }

    /// Whether [`Self::start_walk`] has begun a walk that is not ended.
    pub(crate) fn has_walk(&mut self) -> bool {
        !self.context().walk.is_null()
    }

    /// The walk that [`Self::start_walk`] began, for the same `T`.
    pub(crate) fn walk<T: Table>(&mut self) -> &'a mut Walk<'a, T> {
        // SAFETY: `start` has begun it; parts of a dump come one at a time; the table is there until
        // `done`.
        unsafe { &mut *self.context().walk.cast() }
    }

    /// Ends the walk that [`Self::start_walk`] began, for the same `T`, if there is one.
    pub(crate) fn end_walk<T: Table>(&mut self) {
        let walk = core::mem::replace(&mut self.context().walk, core::ptr::null_mut());
        if !walk.is_null() {
            // SAFETY: From `start_walk()`, and taken back once.
            drop(unsafe { KBox::from_raw(walk.cast::<Walk<'a, T>>()) });
        }
    }
}

/// Defines a C function by which generic netlink calls an operation that gives `Result`.
macro_rules! doit {
    ($name:ident, $operation:path) => {
        #[doc = concat!("Generic netlink's way to [`", stringify!($operation), "`].")]
        #[no_mangle]
        extern "C" fn $name(
            skb: *mut $crate::bindings::sk_buff,
            info: *mut $crate::bindings::genl_info,
        ) -> kernel::ffi::c_int {
            // SAFETY: Generic netlink calls this with a request.
            let request = unsafe { $crate::wrappers::genetlink::Request::from_raw(skb, info) };
            kernel::error::from_result(|| $operation(request).map(|()| 0))
        }
    };
}

/// Defines a C function by which generic netlink calls a part of a dump.
macro_rules! dumpit {
    ($name:ident, $operation:path) => {
        #[doc = concat!("Generic netlink's way to [`", stringify!($operation), "`].")]
        #[no_mangle]
        extern "C" fn $name(
            skb: *mut $crate::bindings::sk_buff,
            callback: *mut $crate::bindings::netlink_callback,
        ) -> kernel::ffi::c_int {
            // SAFETY: Generic netlink calls this with a dump.
            let mut dump = unsafe { $crate::wrappers::genetlink::Dump::from_raw(skb, callback) };
            kernel::error::from_result(|| $operation(&mut dump).map(|()| dump.len()))
        }
    };
}

/// Defines a C function by which generic netlink begins or ends a dump.
macro_rules! around_dump {
    ($name:ident, $operation:path) => {
        #[doc = concat!("Generic netlink's way to [`", stringify!($operation), "`].")]
        #[no_mangle]
        extern "C" fn $name(
            callback: *mut $crate::bindings::netlink_callback,
        ) -> kernel::ffi::c_int {
            // SAFETY: Generic netlink calls this with a dump.
            let mut dump = unsafe {
                $crate::wrappers::genetlink::Dump::from_raw(core::ptr::null_mut(), callback)
            };
            kernel::error::from_result(|| $operation(&mut dump).map(|()| 0))
        }
    };
}

pub(crate) use {around_dump, doit, dumpit};
