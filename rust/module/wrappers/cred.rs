// SPDX-License-Identifier: GPL-2.0

//! Users and groups.
//!
//! C headers: [`include/linux/uidgid.h`](srctree/include/linux/uidgid.h),
//! [`include/linux/cred.h`](srctree/include/linux/cred.h). The kernel crate knows users, but neither
//! groups nor the numbers that a namespace has for them.

use super::net::Net;
use crate::bindings;

/// What stands for no user and no group, in the kernel and outside.
const NOBODY: u32 = u32::MAX;

/// A user.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uid(u32);

impl Uid {
    pub(crate) fn from_raw(uid: bindings::kuid_t) -> Self {
        Self(uid.val)
    }

    /// The effective user of who asks. Process context.
    pub(crate) fn current() -> Self {
        // SAFETY: No requirements.
        Self(unsafe { kernel::bindings::current_euid() }.val)
    }

    /// The user that bears `number` in the user namespace that owns `net`, if there is one.
    pub(crate) fn new(net: &Net, number: u32) -> Option<Self> {
        // SAFETY: `net` is valid.
        let uid = Self::from_raw(unsafe { bindings::tcp_dispatch_make_kuid(net.as_ptr(), number) });
        (uid.0 != NOBODY).then_some(uid)
    }

    /// The user's number in the user namespace that owns `net`; the overflow user's if it has none.
    pub(crate) fn number(self, net: &Net) -> u32 {
        // SAFETY: `net` is valid.
        unsafe { bindings::tcp_dispatch_from_kuid(net.as_ptr(), bindings::kuid_t { val: self.0 }) }
    }
}

/// A group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gid(u32);

impl Gid {
    /// The group that bears `number` in the user namespace that owns `net`, if there is one.
    pub(crate) fn new(net: &Net, number: u32) -> Option<Self> {
        // SAFETY: `net` is valid.
        let gid = unsafe { bindings::tcp_dispatch_make_kgid(net.as_ptr(), number) }.val;
        (gid != NOBODY).then_some(Self(gid))
    }

    /// The group's number in the user namespace that owns `net`; the overflow group's if it has
    /// none.
    pub(crate) fn number(self, net: &Net) -> u32 {
        let gid = bindings::kgid_t { val: self.0 };
        // SAFETY: `net` is valid.
        unsafe { bindings::tcp_dispatch_from_kgid(net.as_ptr(), gid) }
    }

    /// Whether who asks is a member. Process context.
    pub(crate) fn has_current(self) -> bool {
        // SAFETY: No requirements.
        unsafe { bindings::in_egroup_p(bindings::kgid_t { val: self.0 }) != 0 }
    }
}
