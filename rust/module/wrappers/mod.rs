// SPDX-License-Identifier: GPL-2.0

//! Thin, safe wrappers of what the kernel crate doesn't wrap.
//!
//! One C concept a file, named after it. All `unsafe` of the module is here.

pub(crate) mod clock;
pub(crate) mod cpus;
pub(crate) mod cred;
pub(crate) mod delayed_work;
pub(crate) mod dst;
pub(crate) mod genetlink;
pub(crate) mod inet;
pub(crate) mod l3_rx_handler;
pub(crate) mod net;
pub(crate) mod net_device;
pub(crate) mod net_protocol;
pub(crate) mod netdevice_notifier;
pub(crate) mod netlink_notifier;
pub(crate) mod percpu;
pub(crate) mod pid;
pub(crate) mod rcu;
pub(crate) mod rhashtable;
pub(crate) mod secrets;
pub(crate) mod sk_buff;
pub(crate) mod sock;
pub(crate) mod trace;
pub(crate) mod try_cell;
