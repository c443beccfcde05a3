// SPDX-License-Identifier: GPL-2.0

//! The logic of tcp_dispatch that needs no kernel.
//!
//! These sources are compiled twice: as a crate for the host, where the tests
//! are, and as a module of the kernel module. Hence no allocation, no
//! dependency, no floating point, no `unsafe`, nothing that can panic, and
//! paths that start with `super`, as the root is not always the crate's.
#![cfg_attr(not(MODULE), no_std)]
// There this is a private module, and nobody there uses all of it.
#![cfg_attr(MODULE, allow(dead_code, unreachable_pub, unused_imports))]
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod address;
pub mod checksum;
mod field;
pub mod hash;
pub mod mss;
pub mod options;
pub mod packet;
pub mod prefix;
pub mod reset;
pub mod schedule;
pub mod time_wait;
pub mod tuple;

pub use address::{Address, AnySocketAddress, Ipv4Address, Ipv6Address, SocketAddress};
pub use checksum::ChecksumState;
pub use prefix::Prefix;
pub use tuple::Tuple;
