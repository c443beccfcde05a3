// SPDX-License-Identifier: GPL-2.0

//! A place before IP routes what a device received.
//!
//! C header: [`include/net/l3mdev.h`](srctree/include/net/l3mdev.h). IP asks a device that has a
//! handler of layer 3, `IFF_L3MDEV_RX_HANDLER`, before it looks for the packet's socket and for its
//! route. The in-tree user to compare with is
//! [`drivers/net/ipvlan/ipvlan_l3s.c`](srctree/drivers/net/ipvlan/ipvlan_l3s.c), which sets it of a
//! device that isn't its own, too. A device has one set of operations: where there
//! are another's, they stay, and nobody asks us.

use super::{net::Net, rcu, sk_buff::SkBuff};
use crate::bindings;
use core::{marker::PhantomData, ptr};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
    types::Opaque,
};

/// What looks at packets before IP routes them.
pub(crate) trait EarlyDemux: 'static {
    /// Whether the devices of `net` are to ask. Process context, under RTNL. When the answer becomes
    /// another, [`L3RxHandler::update`] is to be called.
    fn is_wanted(net: &Net) -> bool;

    /// Whether a packet is worth [`Self::early_demux`] at first sight. Most aren't, and are to lose no
    /// time over it. Softirq context, in an RCU read section.
    fn is_candidate(net: &Net, skb: &SkBuff, guard: &Guard) -> bool;

    /// A packet that IP has received in `net` and not routed yet. Softirq context, in an RCU read
    /// section.
    fn early_demux(net: &Net, skb: &mut SkBuff, guard: &Guard);
}

struct Block(Opaque<bindings::notifier_block>);

// SAFETY: Changed by the notifier chain alone, under RTNL.
unsafe impl Sync for Block {}

static BLOCK: Block = Block(Opaque::uninit());

/// Whether devices may be given the handler. Read and written under RTNL.
static INSTALLED: Atomic<i32> = Atomic::new(0);

/// What is done to a device under RTNL.
type Visit = unsafe extern "C" fn(*mut bindings::net_device);

/// Calls `f` under RTNL.
fn with_rtnl(f: impl FnOnce()) {
    // SAFETY: Process context, without RTNL, in all callers.
    unsafe { bindings::rtnl_lock() };
    f();
    // SAFETY: Just taken.
    unsafe { bindings::rtnl_unlock() };
}

/// The handler at the devices of all namespaces that want it; dropping takes it away.
///
/// # Invariants
///
/// `BLOCK` is registered.
pub(crate) struct L3RxHandler<E: EarlyDemux>(PhantomData<E>);

impl<E: EarlyDemux> L3RxHandler<E> {
    const OPERATIONS: &'static bindings::l3mdev_ops = &bindings::l3mdev_ops {
        l3mdev_l3_rcv: Some(Self::l3_rcv),
        // SAFETY: All zero is what C has for what isn't given.
        ..unsafe { core::mem::zeroed() }
    };

    /// Follows devices as they come and go. Process context. There may be one at a time.
    pub(crate) fn install() -> Result<Self> {
        let block = bindings::notifier_block {
            notifier_call: Some(Self::device_event),
            ..Default::default()
        };
        // SAFETY: Nobody else refers to the block before it is registered.
        unsafe { BLOCK.0.get().write(block) };
        // SAFETY: The block is static and complete.
        to_result(unsafe { bindings::register_netdevice_notifier(BLOCK.0.get()) })?;
        with_rtnl(|| INSTALLED.store(1, ordering::Relaxed));
        // INVARIANT: Just registered.
        Ok(Self(PhantomData))
    }

    /// Gives the devices of `net` the handler, or takes it away, as [`EarlyDemux::is_wanted`] says
    /// now. Process context, without RTNL.
    pub(crate) fn update(net: &Net) {
        with_rtnl(|| {
            let passes = if INSTALLED.load(ordering::Relaxed) != 0 && E::is_wanted(net) {
                [Self::set, Self::enable]
            } else {
                [Self::disable, Self::clear]
            };
            Self::apply(net.as_ptr(), passes);
        });
    }

    /// Does the one to all devices of a namespace, or of all if it is null, and a grace period later
    /// the other. Under RTNL.
    fn apply(net: *mut bindings::net, passes: [Visit; 2]) {
        // SAFETY: The namespace is the caller's, and RTNL keeps its devices. IP asks in read
        // sections: with the grace period in between, none sees the flag of a device without its
        // operations.
        unsafe {
            bindings::tcp_dispatch_for_each_netdev(net, Some(passes[0]));
            bindings::synchronize_net();
            bindings::tcp_dispatch_for_each_netdev(net, Some(passes[1]));
        }
    }

    /// # Safety
    ///
    /// The device must be valid.
    unsafe fn is_ours(dev: *mut bindings::net_device) -> bool {
        // SAFETY: By the contract. Kinds of link have operations of their own.
        ptr::eq(unsafe { (*dev).l3mdev_ops }, Self::OPERATIONS)
    }

    /// Sets the operations of a device that nobody else's handler is at.
    ///
    /// # Safety
    ///
    /// RTNL is held, and the device is registered.
    unsafe extern "C" fn set(dev: *mut bindings::net_device) {
        // SAFETY: By the contract.
        unsafe {
            if bindings::tcp_dispatch_netdev_takes_l3_rx_handler(dev) {
                (*dev).l3mdev_ops = Self::OPERATIONS;
            }
        }
    }

    /// Has IP ask. All CPUs must see the operations by now.
    ///
    /// # Safety
    ///
    /// As for [`Self::set`].
    unsafe extern "C" fn enable(dev: *mut bindings::net_device) {
        // SAFETY: By the contract.
        unsafe {
            if Self::is_ours(dev) {
                bindings::tcp_dispatch_netdev_set_l3_rx_handler(dev, true);
            }
        }
    }

    /// Has IP ask no more. It may still be about to, until a grace period has passed.
    ///
    /// # Safety
    ///
    /// As for [`Self::set`].
    unsafe extern "C" fn disable(dev: *mut bindings::net_device) {
        // SAFETY: By the contract.
        unsafe {
            if Self::is_ours(dev) {
                bindings::tcp_dispatch_netdev_set_l3_rx_handler(dev, false);
            }
        }
    }

    /// Takes the operations away, a grace period after [`Self::disable`].
    ///
    /// # Safety
    ///
    /// As for [`Self::set`].
    unsafe extern "C" fn clear(dev: *mut bindings::net_device) {
        // SAFETY: By the contract.
        unsafe {
            if Self::is_ours(dev) {
                (*dev).l3mdev_ops = ptr::null();
            }
        }
    }

    /// # Safety
    ///
    /// For the chain of `register_netdevice_notifier()` to call.
    unsafe extern "C" fn device_event(
        _block: *mut bindings::notifier_block,
        event: usize,
        data: *mut core::ffi::c_void,
    ) -> c_int {
        // SAFETY: The chain is called with RTNL held and gives the device.
        unsafe {
            let dev = bindings::tcp_dispatch_notified_netdev(data);
            match event as u32 {
                // New, or from another namespace: nothing comes by it yet.
                bindings::netdev_cmd_NETDEV_REGISTER
                    if E::is_wanted(Net::from_raw((*dev).nd_net.net)) =>
                {
                    Self::set(dev);
                    Self::enable(dev);
                }
                bindings::netdev_cmd_NETDEV_UNREGISTER => Self::disable(dev),
                _ => {}
            }
        }
        bindings::NOTIFY_DONE as c_int
    }

    /// # Safety
    ///
    /// For `struct l3mdev_ops` to call.
    unsafe extern "C" fn l3_rcv(
        dev: *mut bindings::net_device,
        skb: *mut bindings::sk_buff,
        proto: u16,
    ) -> *mut bindings::sk_buff {
        // SAFETY: IP has checked its header and lends us the packet, in a read section; the device
        // that it came by has a namespace.
        unsafe {
            let net = (*dev).nd_net.net;
            if u32::from(proto) == bindings::AF_INET
                && E::is_candidate(
                    Net::from_raw(net),
                    SkBuff::from_raw(skb),
                    &rcu::held_by_caller(),
                )
            {
                return Self::demux(net, skb);
            }
        }
        skb
    }

    /// Not inlined: packets that aren't worth it don't save registers for it.
    ///
    /// # Safety
    ///
    /// As for [`Self::l3_rcv`], in the namespace `net`.
    #[inline(never)]
    unsafe extern "C" fn demux(
        net: *mut bindings::net,
        skb: *mut bindings::sk_buff,
    ) -> *mut bindings::sk_buff {
        // SAFETY: By the contract.
        unsafe {
            E::early_demux(
                Net::from_raw(net),
                SkBuff::from_raw(skb),
                &rcu::held_by_caller(),
            );
        }
        skb
    }
}

impl<E: EarlyDemux> Drop for L3RxHandler<E> {
    fn drop(&mut self) {
        with_rtnl(|| INSTALLED.store(0, ordering::Relaxed));
        // SAFETY: Registered by the invariant.
        unsafe { bindings::unregister_netdevice_notifier(BLOCK.0.get()) };
        with_rtnl(|| Self::apply(ptr::null_mut(), [Self::disable, Self::clear]));
    }
}
