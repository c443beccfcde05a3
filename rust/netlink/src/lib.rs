// SPDX-License-Identifier: GPL-2.0

//! Client library for the `tcp_dispatch` generic netlink family.
//!
//! The family is specified in `Documentation/netlink/specs/tcp_dispatch.yaml`;
//! the types here carry the specification's names. Everything speaks of the
//! network namespace that the calling thread is in when it connects.
//!
//! A daemon registers its own listening socket by [`Registration`]. Whoever
//! controls the layer has a method of [`Client`] for each operation, and
//! [`Events`] tells what happens.
//!
//! ```no_run
//! use tcp_dispatch_netlink::{Client, OwnedBy, ProcessSettings, Scheduler, ServiceSettings};
//!
//! let mut client = Client::connect()?;
//! let service = "192.0.2.1:80".parse().unwrap();
//! client.service_add(service, &ServiceSettings::default().scheduler(Scheduler::Wlc))?;
//! let process = "10.77.0.1:80".parse().unwrap();
//! let settings = ProcessSettings::default().weight(2);
//! client.process_add(service, process, OwnedBy::Nobody, &settings)?;
//! for process in client.process_list(Some(service))?.items {
//!     println!("{}: {} connections", process.process_address, process.traffic.connections);
//! }
//! # Ok::<(), tcp_dispatch_netlink::Error>(())
//! ```
//!
//! Addresses are of IPv4 or of IPv6. A service, its processes and its clients
//! are of one family.
//!
//! Everything is blocking. Requests are answered by the kernel at once; what
//! waits for something to happen has an async form with feature `tokio`:
//! `Events::wait_async`, `Drain::wait_async` and
//! `Registration::wait_drained_async`.

mod address;
mod address_family;
mod answer;
mod attribute;
mod client;
mod connection;
mod drain;
mod drops;
mod dump;
mod error;
mod event;
mod events;
mod extack;
mod family;
mod message;
mod names;
mod net;
mod owner;
mod prefix;
mod process;
mod process_settings;
mod process_state;
mod refusal;
mod registration;
mod scheduler;
mod service;
mod service_settings;
mod socket;
mod spec;
mod stats;
mod tcp_state;
mod traffic;

pub use address::Address;
pub use address_family::AddressFamily;
pub use client::Client;
pub use connection::{Connection, ConnectionFilter};
pub use drain::{Drain, DrainEnd};
pub use drops::Drops;
pub use dump::Dump;
pub use error::{Error, KernelError};
pub use event::Event;
pub use events::Events;
pub use names::UnknownName;
pub use net::{Net, NetSettings};
pub use owner::{OwnedBy, Owner};
pub use prefix::{Prefix, PrefixError};
pub use process::Process;
pub use process_settings::ProcessSettings;
pub use process_state::ProcessState;
pub use refusal::{Refusal, Refused, RefusedReason};
pub use registration::{Registering, Registration};
pub use scheduler::Scheduler;
pub use service::Service;
pub use service_settings::ServiceSettings;
pub use socket::{Attempt, Socket};
pub use stats::Stats;
pub use tcp_state::TcpState;
pub use traffic::Traffic;
