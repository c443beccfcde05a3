// SPDX-License-Identifier: GPL-2.0

//! Idle connections of a process, without the clients: what a million of them cost can be measured
//! on a computer that has no room for both ends.

use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::thread;

use anyhow::{Context, Result};
use rustix::process::{setrlimit, Resource, Rlimit};
use socket2::{Domain, Socket, Type};
use tcp_dispatch_netlink::Client;

use crate::fill;

/// Descriptors besides the connections'.
const OTHERS: u64 = 64;

/// Opens `number` connections of `service` at `process`, says `ready`, and keeps them until killed.
pub fn run(service: SocketAddrV4, process: SocketAddrV4, number: u32) -> Result<()> {
    let files = Some(u64::from(number) + OTHERS);
    let limit = Rlimit {
        current: files,
        maximum: files,
    };
    setrlimit(Resource::Nofile, limit).context("can't have so many descriptors")?;
    let mut control = Client::connect()?;
    let mut connections = Vec::with_capacity(number as usize);
    for each in 0..number {
        let client = fill::client(each);
        control
            .connection_add(client.into(), service.into(), process.into())
            .with_context(|| format!("can't add connection {each}"))?;
        let socket = established(process, client)
            .with_context(|| format!("can't make the socket of connection {each}"))?;
        connections.push(socket);
    }
    println!("ready");
    io::stdout().flush()?;
    loop {
        thread::park();
    }
}

/// A socket at `process` that is connected to `client`, as a checkpoint is restored: nothing is sent.
fn established(process: SocketAddrV4, client: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let on: libc::c_int = 1;
    // SAFETY: The option's value is an int, which lives as long as the call.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_REPAIR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    socket.bind(&SocketAddr::from(process).into())?;
    socket.connect(&SocketAddr::from(client).into())?;
    Ok(socket)
}
