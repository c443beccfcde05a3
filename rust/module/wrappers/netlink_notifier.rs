// SPDX-License-Identifier: GPL-2.0

//! Word of netlink sockets that are closed.
//!
//! C header: [`include/linux/netlink.h`](srctree/include/linux/netlink.h)

use super::net::Net;
use crate::bindings;
use core::marker::PhantomData;
use kernel::{error::to_result, prelude::*, types::Opaque};

/// What wants to know of closed sockets.
pub(crate) trait SocketReleased: 'static {
    /// The generic netlink socket with this port is closed. Process context.
    fn released(net: &Net, portid: u32);
}

struct Block(Opaque<bindings::notifier_block>);

// SAFETY: Changed by the notifier chain alone, which locks itself.
unsafe impl Sync for Block {}

static BLOCK: Block = Block(Opaque::uninit());

/// The registration for word of closed sockets; dropping ends it.
///
/// # Invariants
///
/// `BLOCK` is registered.
pub(crate) struct NetlinkNotifier<T: SocketReleased>(PhantomData<T>);

impl<T: SocketReleased> NetlinkNotifier<T> {
    /// Registers for it. Process context. There may be one at a time.
    pub(crate) fn register() -> Result<Self> {
        let block = bindings::notifier_block {
            notifier_call: Some(Self::call),
            ..Default::default()
        };
        // SAFETY: Nobody else refers to the block before it is registered.
        unsafe { BLOCK.0.get().write(block) };
        // SAFETY: The block is static and complete.
        to_result(unsafe { bindings::netlink_register_notifier(BLOCK.0.get()) })?;
        // INVARIANT: Just registered.
        Ok(Self(PhantomData))
    }

    /// # Safety
    ///
    /// For the netlink chain to call.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        event: usize,
        data: *mut core::ffi::c_void,
    ) -> c_int {
        if event == bindings::NETLINK_URELEASE as usize {
            // SAFETY: With this event the chain gives a notification, whose namespace the socket
            // holds.
            let (net, notify) = unsafe {
                let notify = &*data.cast::<bindings::netlink_notify>();
                (Net::from_raw(notify.net), notify)
            };
            if notify.protocol == bindings::NETLINK_GENERIC as i32 {
                T::released(net, notify.portid);
            }
        }
        bindings::NOTIFY_DONE as c_int
    }
}

impl<T: SocketReleased> Drop for NetlinkNotifier<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by the invariant. Waits for calls that are under way.
        unsafe { bindings::netlink_unregister_notifier(BLOCK.0.get()) };
    }
}
