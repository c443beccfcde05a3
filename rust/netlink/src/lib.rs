// SPDX-License-Identifier: GPL-2.0

//! Client library for the `tcp_dispatch` generic netlink family.
//!
//! The family is specified in `Documentation/netlink/specs/tcp_dispatch.yaml`;
//! the types here carry the specification's names. Everything is blocking, and
//! speaks of the network namespace that the calling thread is in when it
//! connects.
//!
//! ```no_run
//! use tcp_dispatch_netlink::Client;
//!
//! let mut client = Client::connect()?;
//! let service = "192.0.2.1:80".parse().unwrap();
//! client.service_add(service)?;
//! client.process_add(service, "10.77.0.1:80".parse().unwrap())?;
//! for process in client.process_list(Some(service))?.items {
//!     println!("{}: {} connections", process.process_address, process.connections);
//! }
//! # Ok::<(), tcp_dispatch_netlink::Error>(())
//! ```

mod address;
mod attribute;
mod client;
mod connection;
mod drops;
mod dump;
mod error;
mod extack;
mod message;
mod net;
mod prefix;
mod process;
mod service;
mod socket;
mod spec;
mod stats;
mod tcp_state;

pub use address::Address;
pub use client::Client;
pub use connection::{Connection, ConnectionFilter};
pub use drops::Drops;
pub use dump::Dump;
pub use error::{Error, KernelError};
pub use net::{Net, NetSettings};
pub use prefix::{Prefix, PrefixError};
pub use process::Process;
pub use service::Service;
pub use socket::{Attempt, Socket};
pub use stats::Stats;
pub use tcp_state::TcpState;
