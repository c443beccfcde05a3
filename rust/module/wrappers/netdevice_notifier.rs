// SPDX-License-Identifier: GPL-2.0

//! Word of devices that come, go and change.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::net::Net;
use crate::bindings;
use core::{marker::PhantomData, pin::Pin, ptr};
use kernel::{error::to_result, prelude::*, types::Opaque};

/// What wants to know of devices.
pub(crate) trait DeviceEvents: 'static {
    /// Something happened to a device: an event of `enum netdev_cmd`. Process context, under RTNL.
    ///
    /// # Safety
    ///
    /// The device must be valid, and RTNL held.
    unsafe fn event(event: u32, dev: *mut bindings::net_device);
}

/// The registration for word of all namespaces' devices; dropping ends it.
///
/// # Invariants
///
/// The block is registered.
pub(crate) struct NetdeviceNotifier<T: DeviceEvents> {
    block: Pin<KBox<Opaque<bindings::notifier_block>>>,
    events: PhantomData<T>,
}

// SAFETY: The block belongs to the notifier chain, which RTNL locks.
unsafe impl<T: DeviceEvents> Send for NetdeviceNotifier<T> {}
// SAFETY: As above.
unsafe impl<T: DeviceEvents> Sync for NetdeviceNotifier<T> {}

impl<T: DeviceEvents> NetdeviceNotifier<T> {
    /// Registers for it. Process context, without RTNL. `NETDEV_REGISTER` of the devices that there
    /// are comes at once.
    pub(crate) fn register() -> Result<Self> {
        let block = bindings::notifier_block {
            notifier_call: Some(Self::call),
            ..Default::default()
        };
        let block = KBox::pin(Opaque::new(block), GFP_KERNEL)?;
        // SAFETY: The block is complete, and stays where it is until it is unregistered.
        to_result(unsafe { bindings::register_netdevice_notifier(block.get()) })?;
        // INVARIANT: Just registered.
        Ok(Self {
            block,
            events: PhantomData,
        })
    }

    /// # Safety
    ///
    /// For the chain of `register_netdevice_notifier()` to call.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        event: usize,
        data: *mut core::ffi::c_void,
    ) -> c_int {
        // SAFETY: The chain is called with RTNL held and gives the device.
        unsafe { T::event(event as u32, bindings::tcp_dispatch_notified_netdev(data)) };
        bindings::NOTIFY_DONE as c_int
    }
}

impl<T: DeviceEvents> Drop for NetdeviceNotifier<T> {
    fn drop(&mut self) {
        // SAFETY: Registered by the invariant. The chain calls once more for each device, as if it went
        // away, and not again.
        unsafe { bindings::unregister_netdevice_notifier(self.block.get()) };
    }
}

/// Calls `f` with each device of `net`, or of all namespaces if it is `None`. Process context.
///
/// # Safety
///
/// RTNL must be held.
pub(crate) unsafe fn for_each_device<F: FnMut(*mut bindings::net_device)>(
    net: Option<&Net>,
    mut f: F,
) {
    /// # Safety
    ///
    /// `context` must be the `f` above.
    unsafe extern "C" fn visit<F: FnMut(*mut bindings::net_device)>(
        dev: *mut bindings::net_device,
        context: *mut core::ffi::c_void,
    ) {
        // SAFETY: By the contract; nobody else refers to it meanwhile.
        unsafe { (*context.cast::<F>())(dev) };
    }
    let net = net.map_or(ptr::null_mut(), Net::as_ptr);
    let f = ptr::from_mut(&mut f).cast();
    // SAFETY: By the contract RTNL keeps the devices; `f` is there while they are visited.
    unsafe { bindings::tcp_dispatch_for_each_netdev(net, Some(visit::<F>), f) };
}
