// SPDX-License-Identifier: GPL-2.0

//! Control tool for tcp_dispatch.
fn main() {}
