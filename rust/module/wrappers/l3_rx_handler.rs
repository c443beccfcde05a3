// SPDX-License-Identifier: GPL-2.0

//! A place before IP routes what a device received.
//!
//! C header: [`include/net/l3mdev.h`](srctree/include/net/l3mdev.h). IP asks a device that has a
//! handler of layer 3, `IFF_L3MDEV_RX_HANDLER`, before it looks for the packet's socket and for its
//! route. The in-tree user to compare with is
//! [`drivers/net/ipvlan/ipvlan_l3s.c`](srctree/drivers/net/ipvlan/ipvlan_l3s.c), which sets it of a
//! device that isn't its own, too. A device has one set of operations: where there are another's,
//! they stay, and nobody asks us.

use super::{
    inet::Inet,
    net::Net,
    net_device,
    netdevice_notifier::{for_each_device, DeviceEvents, NetdeviceNotifier},
    rcu,
    sk_buff::SkBuff,
};
use crate::{
    bindings,
    tcp_dispatch_core::{Ipv4Address, Ipv6Address},
};
use core::{marker::PhantomData, ptr};
use kernel::{
    jump_label::static_branch_unlikely,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        rcu::Guard,
    },
    types::Opaque,
};

/// What looks at packets of both families before IP routes them.
pub(crate) trait EarlyDemux: EarlyDemuxOf<Ipv4Address> + EarlyDemuxOf<Ipv6Address> {
    /// Whether the devices of `net` are to ask. Process context, under RTNL. When the answer becomes
    /// another, [`L3RxHandler::update`] is to be called.
    fn is_wanted(net: &Net) -> bool;

    /// Where it is noted that a device of `net` doesn't ask though it is wanted. Read and written under
    /// RTNL, here alone.
    fn misses_devices(net: &Net) -> &Atomic<i32>;

    /// Whether a packet that IP has received is worth [`EarlyDemuxOf::early_demux`] at first sight. Most
    /// aren't, and are to lose no time over it. Softirq context, in an RCU read section.
    fn is_candidate(skb: &SkBuff) -> bool;
}

/// What became of a packet that was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// IP goes on with it.
    There,
    /// It was freed.
    Gone,
}

/// What looks at packets of family `A`.
pub(crate) trait EarlyDemuxOf<A: Inet>: 'static {
    /// A packet that IP has received in `net` and not routed yet. Softirq context, in an RCU read
    /// section.
    fn early_demux(net: &Net, skb: &mut SkBuff, guard: &Guard) -> Looked;
}

struct Operations(Opaque<bindings::l3mdev_ops>);

// SAFETY: Written before a device refers to it; afterwards only read.
unsafe impl Sync for Operations {}

/// What devices are given. That it is theirs shows whose the handler is.
static OPERATIONS: Operations = Operations(Opaque::uninit());

/// Whether devices may be given the handler. Read and written under RTNL.
static INSTALLED: Atomic<i32> = Atomic::new(0);

/// In how many namespaces that is noted, see [`EarlyDemux::misses_devices`]. Read and written under RTNL.
static MISSING: Atomic<i32> = Atomic::new(0);

/// `struct tcp_dispatch_static_keys` of `bindings/helpers.h`.
#[repr(C)]
struct StaticKeys {
    misses_devices: kernel::bindings::static_key_false,
    checks_sources: kernel::bindings::static_key_false,
}

extern "C" {
    static tcp_dispatch_static_keys: StaticKeys;
}

/// Whether a device of a namespace that wants it doesn't ask: one that is of a VRF, or has operations of
/// another's. Any context; costs an instruction.
#[inline]
pub(crate) fn misses_devices() -> bool {
    // SAFETY: The key is one of C's.
    unsafe { static_branch_unlikely!(tcp_dispatch_static_keys, StaticKeys, misses_devices) }
}

/// Whether [`check_sources`] was called. Any context; costs an instruction.
#[inline]
pub(crate) fn checks_sources() -> bool {
    // SAFETY: The key is one of C's.
    unsafe { static_branch_unlikely!(tcp_dispatch_static_keys, StaticKeys, checks_sources) }
}

/// Has [`checks_sources`] say yes from now on. Process context.
pub(crate) fn check_sources() {
    // SAFETY: No requirements but process context.
    unsafe { bindings::tcp_dispatch_check_sources() };
}

/// Calls `f` under RTNL.
fn with_rtnl(f: impl FnOnce()) {
    // SAFETY: Process context, without RTNL, in all callers.
    unsafe { bindings::rtnl_lock() };
    f();
    // SAFETY: Just taken.
    unsafe { bindings::rtnl_unlock() };
}

/// The handler at the devices of all namespaces that want it; dropping takes it away.
pub(crate) struct L3RxHandler<E: EarlyDemux> {
    _notifier: NetdeviceNotifier<Handler<E>>,
}

impl<E: EarlyDemux> L3RxHandler<E> {
    /// Follows devices as they come and go. Process context. There may be one at a time.
    pub(crate) fn install() -> Result<Self> {
        let operations = bindings::l3mdev_ops {
            l3mdev_l3_rcv: Some(Handler::<E>::l3_rcv),
            ..Default::default()
        };
        // SAFETY: No device refers to it before `INSTALLED` is set.
        unsafe { OPERATIONS.0.get().write(operations) };
        let _notifier = NetdeviceNotifier::register()?;
        with_rtnl(|| INSTALLED.store(1, ordering::Relaxed));
        Ok(Self { _notifier })
    }

    /// Gives the devices of `net` the handler, or takes it away, as [`EarlyDemux::is_wanted`] says
    /// now. Process context, without RTNL.
    pub(crate) fn update(net: &Net) {
        with_rtnl(|| {
            if INSTALLED.load(ordering::Relaxed) != 0 && E::is_wanted(net) {
                Handler::<E>::put(net);
            } else {
                Handler::<E>::take(Some(net));
            }
            Handler::<E>::look_for_missed(net);
        });
    }
}

impl<E: EarlyDemux> Drop for L3RxHandler<E> {
    fn drop(&mut self) {
        with_rtnl(|| {
            INSTALLED.store(0, ordering::Relaxed);
            // From now on no device asks.
            // SAFETY: Process context.
            unsafe { bindings::tcp_dispatch_set_misses_devices(true) };
            Handler::<E>::take(None);
        });
    }
}

/// What is done to devices.
struct Handler<E>(PhantomData<E>);

impl<E: EarlyDemux> Handler<E> {
    /// Has IP ask the devices of `net`. Under RTNL.
    fn put(net: &Net) {
        // SAFETY: RTNL is held. IP asks in read sections: all CPUs see the operations of a device
        // before they see its flag.
        unsafe {
            for_each_device(Some(net), |dev| Self::set(dev));
            bindings::synchronize_net();
            for_each_device(Some(net), |dev| Self::flag(dev, true));
        }
    }

    /// Has IP ask the devices of `net`, or of all namespaces, no more. Under RTNL. When this returns,
    /// nobody does any longer.
    fn take(net: Option<&Net>) {
        // SAFETY: RTNL is held. Whoever saw the flag may still take the operations until the grace
        // period is over.
        unsafe {
            for_each_device(net, |dev| Self::flag(dev, false));
            bindings::synchronize_net();
            for_each_device(net, |dev| Self::clear(dev));
        }
    }

    /// # Safety
    ///
    /// The device must be valid.
    unsafe fn is_ours(dev: *mut bindings::net_device) -> bool {
        // SAFETY: By the contract.
        ptr::eq(unsafe { (*dev).l3mdev_ops }, OPERATIONS.0.get())
    }

    /// Sets the operations of a device that has none.
    ///
    /// # Safety
    ///
    /// RTNL must be held, and the device be valid.
    unsafe fn set(dev: *mut bindings::net_device) {
        // SAFETY: By the contract.
        unsafe {
            if bindings::tcp_dispatch_netdev_takes_l3_rx_handler(dev) {
                (*dev).l3mdev_ops = OPERATIONS.0.get();
            }
        }
    }

    /// Has IP ask a device, or not, if the operations are ours.
    ///
    /// # Safety
    ///
    /// As for [`Self::set`].
    unsafe fn flag(dev: *mut bindings::net_device, set: bool) {
        // SAFETY: By the contract.
        unsafe {
            if Self::is_ours(dev) {
                bindings::tcp_dispatch_netdev_set_l3_rx_handler(dev, set);
            }
        }
    }

    /// Takes the operations away, a grace period after the flag.
    ///
    /// # Safety
    ///
    /// As for [`Self::set`].
    unsafe fn clear(dev: *mut bindings::net_device) {
        // SAFETY: By the contract.
        unsafe {
            if Self::is_ours(dev) {
                (*dev).l3mdev_ops = ptr::null();
            }
        }
    }

    /// # Safety
    ///
    /// For `struct l3mdev_ops` to call.
    unsafe extern "C" fn l3_rcv(
        dev: *mut bindings::net_device,
        skb: *mut bindings::sk_buff,
        proto: u16,
    ) -> *mut bindings::sk_buff {
        // SAFETY: IP has checked its header and lends us the packet, in a read section.
        if E::is_candidate(unsafe { SkBuff::from_raw(skb) }) {
            // SAFETY: As for this.
            return unsafe { Self::demux(dev, skb, proto) };
        }
        skb
    }

    /// Not inlined: packets that aren't worth it don't save registers for it.
    ///
    /// # Safety
    ///
    /// As for [`Self::l3_rcv`].
    #[inline(never)]
    unsafe extern "C" fn demux(
        dev: *mut bindings::net_device,
        skb: *mut bindings::sk_buff,
        proto: u16,
    ) -> *mut bindings::sk_buff {
        // SAFETY: By the contract.
        unsafe {
            match u32::from(proto) {
                bindings::AF_INET => Self::demux_of::<Ipv4Address>(dev, skb),
                bindings::AF_INET6 => Self::demux_of::<Ipv6Address>(dev, skb),
                _ => skb,
            }
        }
    }

    /// Not inlined: each family's saves the registers that it needs itself.
    ///
    /// # Safety
    ///
    /// As for [`Self::l3_rcv`], with a packet of family `A`.
    #[inline(never)]
    unsafe extern "C" fn demux_of<A: Inet>(
        dev: *mut bindings::net_device,
        skb: *mut bindings::sk_buff,
    ) -> *mut bindings::sk_buff
    where
        E: EarlyDemuxOf<A>,
    {
        // SAFETY: By the contract; the device that it came by has a namespace.
        let looked = unsafe {
            <E as EarlyDemuxOf<A>>::early_demux(
                Net::from_raw((*dev).nd_net.net),
                SkBuff::from_raw(skb),
                &rcu::held_by_caller(),
            )
        };
        match looked {
            Looked::There => skb,
            Looked::Gone => ptr::null_mut(),
        }
    }

    /// Notes whether the devices of `net` all ask, if it wants that. Under RTNL.
    fn look_for_missed(net: &Net) {
        let mut misses = false;
        if E::is_wanted(net) {
            // SAFETY: RTNL is held, and keeps the devices that are listed.
            unsafe {
                for_each_device(Some(net), |dev| {
                    misses |= !(Self::asks(dev) || net_device::is_ours(dev))
                        && (*dev).flags & bindings::net_device_flags_IFF_LOOPBACK == 0;
                });
            }
        }
        let noted = E::misses_devices(net);
        if misses == (noted.load(ordering::Relaxed) != 0) {
            return;
        }
        noted.store(misses.into(), ordering::Relaxed);
        let number = MISSING.load(ordering::Relaxed) + if misses { 1 } else { -1 };
        MISSING.store(number, ordering::Relaxed);
        // SAFETY: Process context.
        unsafe { bindings::tcp_dispatch_set_misses_devices(number != 0) };
    }

    /// Whether IP asks us about what a device receives.
    ///
    /// # Safety
    ///
    /// RTNL must be held, and the device be valid.
    unsafe fn asks(dev: *mut bindings::net_device) -> bool {
        // SAFETY: By the contract.
        unsafe { Self::is_ours(dev) && bindings::tcp_dispatch_netdev_asks_l3_rx_handler(dev) }
    }
}

impl<E: EarlyDemux> DeviceEvents for Handler<E> {
    unsafe fn event(event: u32, dev: *mut bindings::net_device) {
        // SAFETY: RTNL is held and the device valid. One that has just come to a namespace is not up,
        // so that nobody asks it before it has both.
        unsafe {
            match event {
                bindings::netdev_cmd_NETDEV_REGISTER
                    if INSTALLED.load(ordering::Relaxed) != 0
                        && E::is_wanted(Net::from_raw((*dev).nd_net.net)) =>
                {
                    Self::set(dev);
                    Self::flag(dev, true);
                }
                bindings::netdev_cmd_NETDEV_UNREGISTER => Self::flag(dev, false),
                // It may have got a master, or operations of another's.
                _ => {}
            }
            Self::look_for_missed(Net::from_raw((*dev).nd_net.net));
        }
    }
}
