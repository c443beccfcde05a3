// SPDX-License-Identifier: GPL-2.0

//! Virtual devices in the L3 output path.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h),
//! [`include/net/l3mdev.h`](srctree/include/net/l3mdev.h),
//! [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h); the in-tree user to compare with
//! is [`drivers/net/vrf.c`](srctree/drivers/net/vrf.c).
//!
//! One kind of link, two roles. A device of the kind that is enslaved to another of the kind is a
//! port, its master owns the operation: what TCP sends by a route that leaves by a port passes
//! through [`Output::send`] before netfilter and everything else sees it. Whatever is left as it
//! was goes on to the port itself, which drops it.
//!
//! The MTU of a port follows the largest of the namespace's devices: TCP sizes a new socket's buffer
//! by it. How large segments are the real device says.

use super::{
    inet::Inet,
    net::Net,
    netdevice_notifier::{for_each_device, DeviceEvents, NetdeviceNotifier},
    rcu,
    sk_buff::{DropReason, SkBuff},
};
use crate::{
    bindings,
    tcp_dispatch_core::{Ipv4Address, Ipv6Address},
};
use core::{hint, marker::PhantomData, ptr};
use kernel::{error::to_result, prelude::*, sync::rcu::Guard, types::Opaque};

/// What is done with packets that leave by a port.
pub(crate) trait Output: OutputOf<Ipv4Address> + OutputOf<Ipv6Address> {
    /// The kind of link, as `ip link add type KIND` takes it.
    const KIND: &'static CStr;

    /// The largest MTU of the devices of the kind in `net` is `mtu` now, in bytes, or `None` without
    /// one. Process context, under RTNL.
    fn largest_mtu(net: &Net, mtu: Option<u32>);
}

/// What is done with packets of family `A`. Process or softirq context, in an RCU read section.
pub(crate) trait OutputOf<A: Inet>: 'static {
    /// A packet that a socket of `net` sends by a port. Returns whether it goes elsewhere now; if not,
    /// it is as it was.
    fn send(net: &Net, skb: &mut SkBuff, guard: &Guard) -> bool;
}

/// The largest IP packet.
const MAX_MTU: u32 = 65535;
const MIN_MTU: u32 = 1280;

struct Operations<O>(PhantomData<O>);

impl<O: Output> Operations<O> {
    const NET_DEVICE: &'static bindings::net_device_ops = &bindings::net_device_ops {
        ndo_start_xmit: Some(Self::start_xmit),
        ndo_add_slave: Some(Self::add_slave),
        ndo_del_slave: Some(Self::del_slave),
        ndo_uninit: Some(Self::uninit),
        // SAFETY: All zero is what C has for what isn't given.
        ..unsafe { core::mem::zeroed() }
    };

    const L3MDEV: &'static bindings::l3mdev_ops = &bindings::l3mdev_ops {
        l3mdev_l3_out: Some(Self::l3_out),
        // SAFETY: As above.
        ..unsafe { core::mem::zeroed() }
    };

    /// Gives the devices of the kind the largest MTU of the namespace's others; loopback devices
    /// don't count.
    ///
    /// # Safety
    ///
    /// RTNL must be held.
    unsafe fn follow_mtu(net: &Net) {
        let mut largest = 0;
        // SAFETY: RTNL is held, and keeps the devices that are listed.
        unsafe {
            for_each_device(Some(net), |dev| {
                let is_loopback = (*dev).flags & bindings::net_device_flags_IFF_LOOPBACK != 0;
                if !is_loopback && !is_ours(dev) {
                    largest = (*dev).mtu.max(largest);
                }
            });
        }
        let mtu = match largest {
            0 => MAX_MTU,
            mtu => mtu.clamp(MIN_MTU, MAX_MTU),
        };
        // SAFETY: As above.
        unsafe {
            for_each_device(Some(net), |dev| {
                // It can fail for want of memory: then it is as it was, which is a loss of speed only.
                if is_ours(dev) && (*dev).mtu != mtu {
                    bindings::dev_set_mtu(dev, mtu as c_int);
                }
            });
        }
    }

    /// Tells of the MTU that the devices of the kind have.
    ///
    /// # Safety
    ///
    /// RTNL must be held.
    unsafe fn tell_mtu(net: &Net) {
        let mut largest = None;
        // SAFETY: RTNL is held, and keeps the devices that are listed.
        unsafe {
            for_each_device(Some(net), |dev| {
                if is_ours(dev) {
                    largest = largest.max(Some((*dev).mtu));
                }
            });
        }
        O::largest_mtu(net, largest);
    }

    /// # Safety
    ///
    /// For `struct rtnl_link_ops` to call.
    unsafe extern "C" fn setup(dev: *mut bindings::net_device) {
        let features = bindings::TCP_DISPATCH_NETIF_F_SG
            | bindings::TCP_DISPATCH_NETIF_F_FRAGLIST
            | bindings::TCP_DISPATCH_NETIF_F_HIGHDMA
            | bindings::TCP_DISPATCH_NETIF_F_HW_CSUM
            | bindings::TCP_DISPATCH_NETIF_F_GSO_SOFTWARE;
        // SAFETY: The device is new and ours, `alloc_netdev_mqs()` calls this.
        unsafe {
            let dev = &mut *dev;
            dev.netdev_ops = Self::NET_DEVICE;
            dev.l3mdev_ops = Self::L3MDEV;
            dev.needs_free_netdev = true;
            dev.type_ = bindings::ARPHRD_NONE as u16;
            dev.flags = bindings::net_device_flags_IFF_NOARP;
            // Sockets take what the device can do for what they may leave to it. The real device
            // comes later, and the kernel does in software what it can't.
            dev.features = features | bindings::TCP_DISPATCH_NETIF_F_VLAN_CHALLENGED;
            dev.hw_features = features;
            dev.mtu = MAX_MTU;
            dev.min_mtu = MIN_MTU;
            dev.max_mtu = MAX_MTU;
            bindings::tcp_dispatch_netdev_set_virtual(dev);
        }
    }

    /// # Safety
    ///
    /// For `struct rtnl_link_ops` to call.
    unsafe extern "C" fn newlink(
        dev: *mut bindings::net_device,
        _params: *mut bindings::rtnl_newlink_params,
        _extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: rtnetlink gives a device that `setup()` has made, with RTNL held.
        unsafe { bindings::register_netdevice(dev) }
    }

    /// # Safety
    ///
    /// For `struct rtnl_link_ops` to call.
    unsafe extern "C" fn dellink(dev: *mut bindings::net_device, head: *mut bindings::list_head) {
        // SAFETY: rtnetlink gives a registered device, with RTNL held. `uninit()` does the rest.
        unsafe { bindings::unregister_netdevice_queue(dev, head) };
    }

    /// # Safety
    ///
    /// For `struct net_device_ops` to call.
    unsafe extern "C" fn add_slave(
        master: *mut bindings::net_device,
        port: *mut bindings::net_device,
        extack: *mut bindings::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: RTNL is held and both devices are valid.
        unsafe {
            if !is_ours(port) || bindings::tcp_dispatch_netif_is_l3_slave(port) {
                if !extack.is_null() {
                    (*extack)._msg =
                        c"a port must be a device of kind tcp_dispatch without a master"
                            .as_char_ptr();
                }
                return EINVAL.to_errno();
            }
            let linked = bindings::netdev_master_upper_dev_link(
                port,
                master,
                ptr::null_mut(),
                ptr::null_mut(),
                extack,
            );
            if linked == 0 {
                bindings::tcp_dispatch_netdev_set_l3_slave(port, true);
            }
            linked
        }
    }

    /// # Safety
    ///
    /// For `struct net_device_ops` to call.
    unsafe extern "C" fn del_slave(
        master: *mut bindings::net_device,
        port: *mut bindings::net_device,
    ) -> c_int {
        // SAFETY: RTNL is held and `port` is a port of `master`.
        unsafe {
            bindings::tcp_dispatch_netdev_set_l3_slave(port, false);
            bindings::netdev_upper_dev_unlink(port, master);
        }
        0
    }

    /// The device is being unregistered, for whatever reason: as a port it leaves its master, as a
    /// master it lets its ports go.
    ///
    /// # Safety
    ///
    /// For `struct net_device_ops` to call.
    unsafe extern "C" fn uninit(dev: *mut bindings::net_device) {
        // SAFETY: RTNL is held, and the devices that are linked to `dev` are valid while they are.
        unsafe {
            let master = bindings::netdev_master_upper_dev_get(dev);
            if !master.is_null() {
                Self::del_slave(master, dev);
            }
            loop {
                let port = bindings::tcp_dispatch_netdev_first_lower(dev);
                if port.is_null() {
                    break;
                }
                Self::del_slave(dev, port);
            }
        }
    }

    /// What nobody translated must not leave the computer.
    ///
    /// # Safety
    ///
    /// For `struct net_device_ops` to call.
    unsafe extern "C" fn start_xmit(
        skb: *mut bindings::sk_buff,
        dev: *mut bindings::net_device,
    ) -> bindings::netdev_tx_t {
        // SAFETY: The packet is ours to free and the device is valid.
        unsafe {
            bindings::tcp_dispatch_netdev_tx_dropped(dev);
            SkBuff::from_raw(skb).free(DropReason::NotSpecified);
        }
        bindings::netdev_tx_NETDEV_TX_OK
    }

    /// # Safety
    ///
    /// For `struct l3mdev_ops` to call.
    unsafe extern "C" fn l3_out(
        master: *mut bindings::net_device,
        sk: *mut bindings::sock,
        skb: *mut bindings::sk_buff,
        proto: u16,
    ) -> *mut bindings::sk_buff {
        // SAFETY: IP gives us the packet with its header in place, in a read section; the master is a
        // device of the packet's namespace.
        unsafe {
            let net = (*master).nd_net.net;
            match u32::from(proto) {
                bindings::AF_INET => Self::ipv4_out(net, skb),
                bindings::AF_INET6 => Self::ipv6_out(net, sk, skb),
                _ => skb,
            }
        }
    }

    /// Neither family's is inlined: so each saves the registers that it needs itself.
    ///
    /// # Safety
    ///
    /// As for [`Self::l3_out`], in the namespace `net`.
    #[inline(never)]
    unsafe extern "C" fn ipv4_out(
        net: *mut bindings::net,
        skb: *mut bindings::sk_buff,
    ) -> *mut bindings::sk_buff {
        // SAFETY: By the contract.
        unsafe { Self::send::<Ipv4Address>(net, skb) };
        // A caller who knew that it is the same would keep it in a register, which it saves first, in the
        // place of a jump here.
        hint::black_box(skb)
    }

    /// # Safety
    ///
    /// As for [`Self::ipv4_out`].
    #[inline(never)]
    unsafe extern "C" fn ipv6_out(
        net: *mut bindings::net,
        sk: *mut bindings::sock,
        skb: *mut bindings::sk_buff,
    ) -> *mut bindings::sk_buff {
        // SAFETY: By the contract.
        unsafe {
            if !Self::send::<Ipv6Address>(net, skb) {
                return skb;
            }
            // IP would go on with the device that it knew before: netfilter would see the port.
            bindings::tcp_dispatch_ipv6_local_out(net, sk, skb);
        }
        ptr::null_mut()
    }

    /// # Safety
    ///
    /// As for [`Self::l3_out`], in the namespace `net`, with a packet of family `A`.
    #[inline]
    unsafe fn send<A: Inet>(net: *mut bindings::net, skb: *mut bindings::sk_buff) -> bool
    where
        O: OutputOf<A>,
    {
        // SAFETY: By the contract.
        unsafe {
            <O as OutputOf<A>>::send(
                Net::from_raw(net),
                SkBuff::from_raw(skb),
                &rcu::held_by_caller(),
            )
        }
    }
}

struct LinkOps(Opaque<bindings::rtnl_link_ops>);

// SAFETY: Belongs to rtnetlink while it is registered, which locks it.
unsafe impl Sync for LinkOps {}

static LINK_OPS: LinkOps = LinkOps(Opaque::uninit());

/// Whether a device, which must be valid, is of the kind.
pub(super) fn is_ours(dev: *mut bindings::net_device) -> bool {
    // SAFETY: The device is valid in all callers.
    ptr::eq(unsafe { (*dev).rtnl_link_ops }, LINK_OPS.0.get())
}

impl<O: Output> DeviceEvents for Operations<O> {
    unsafe fn event(event: u32, dev: *mut bindings::net_device) {
        let (registered, gone, changed) = (
            bindings::netdev_cmd_NETDEV_REGISTER,
            bindings::netdev_cmd_NETDEV_UNREGISTER,
            bindings::netdev_cmd_NETDEV_CHANGEMTU,
        );
        if event != registered && event != gone && event != changed {
            return;
        }
        // SAFETY: RTNL is held, and the device has a namespace.
        unsafe {
            let net = Net::from_raw((*dev).nd_net.net);
            // Who gives a device of the kind another MTU is to have it.
            if event == registered || !is_ours(dev) {
                Self::follow_mtu(net);
            }
            Self::tell_mtu(net);
        }
    }
}

/// A registered kind of link; dropping it deletes all devices of the kind.
///
/// # Invariants
///
/// `LINK_OPS` is registered.
pub(crate) struct LinkKind<O: Output> {
    _notifier: NetdeviceNotifier<Operations<O>>,
}

impl<O: Output> LinkKind<O> {
    /// Registers the kind. Process context. There may be one at a time.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is a kind of this name.
    pub(crate) fn register() -> Result<Self> {
        let ops = bindings::rtnl_link_ops {
            kind: O::KIND.as_char_ptr(),
            setup: Some(Operations::<O>::setup),
            newlink: Some(Operations::<O>::newlink),
            dellink: Some(Operations::<O>::dellink),
            // SAFETY: All zero is what C has for what isn't given.
            ..unsafe { core::mem::zeroed() }
        };
        // SAFETY: Nobody refers to it before it is registered.
        unsafe { LINK_OPS.0.get().write(ops) };
        // SAFETY: Static and complete.
        to_result(unsafe { bindings::rtnl_link_register(LINK_OPS.0.get()) })?;
        match NetdeviceNotifier::register() {
            // INVARIANT: Just registered.
            Ok(_notifier) => Ok(Self { _notifier }),
            Err(error) => {
                // SAFETY: Just registered.
                unsafe { bindings::rtnl_link_unregister(LINK_OPS.0.get()) };
                Err(error)
            }
        }
    }
}

impl<O: Output> Drop for LinkKind<O> {
    fn drop(&mut self) {
        // SAFETY: Registered by the invariant. Waits until no reader of RCU sees a device.
        unsafe { bindings::rtnl_link_unregister(LINK_OPS.0.get()) };
    }
}
