// SPDX-License-Identifier: GPL-2.0

//! The operations of the netlink family, by what they are about.
//!
//! Process context. The specification, `Documentation/netlink/specs/tcp_dispatch.yaml`, says what
//! each does; netlink has checked a request against the policies that follow from it.

mod address;
mod connection;
mod counters;
pub(crate) mod events;
mod net;
mod permission;
mod prefix;
mod process;
mod registration;
mod service;
mod settings;
