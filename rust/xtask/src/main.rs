// SPDX-License-Identifier: GPL-2.0

//! Set-up, builds, the VM, tests and the demo of tcp_dispatch.
fn main() {}
