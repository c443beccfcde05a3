// SPDX-License-Identifier: GPL-2.0

//! The sysctl that lets IPv6 addresses be bound that no device has.
//!
//! IPv4 lets any address be bound that a local route makes local. IPv6 asks
//! for an address of a device, unless this sysctl is set.

use std::fs;
use std::io;

/// Its name.
pub const NAME: &str = "net.ipv6.ip_nonlocal_bind";
/// Its file; it shows the value of the network namespace that the thread is in.
const FILE: &str = "/proc/sys/net/ipv6/ip_nonlocal_bind";

/// Whether it is set; none if the kernel has no IPv6.
pub fn get() -> Option<bool> {
    let value = fs::read_to_string(FILE).ok()?;
    Some(value.trim() != "0")
}

/// Sets it.
pub fn set(on: bool) -> io::Result<()> {
    fs::write(FILE, if on { "1\n" } else { "0\n" })
}
