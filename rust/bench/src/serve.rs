// SPDX-License-Identifier: GPL-2.0

//! The daemon.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};
use rustix::process::{set_parent_process_death_signal, Signal};
use rustix::thread::{sched_setaffinity, CpuSet};
use socket2::{Domain, Socket, Type};

use crate::operation::{Service, BULK, RECEIVE};

/// Serves one client after the other, for ever; or as many at a time as `apart` says, each in a
/// process of its own, so that nothing of this program is shared between CPUs.
pub fn serve(address: SocketAddr, reuseport: bool, apart: Option<usize>) -> Result<()> {
    let listener =
        listen(address, reuseport).with_context(|| format!("can't listen at {address}"))?;
    for _ in 1..apart.unwrap_or(1) {
        // SAFETY: This is the only thread.
        match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()).context("can't fork"),
            0 => {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                break;
            }
            _ => {}
        }
    }
    // One for all, since a new one would cost each connection more than all the kernel does.
    let mut buffer = vec![0; BULK];
    loop {
        let (stream, _) = listener.accept().context("can't accept")?;
        // How a client's connection ends is the client's concern.
        let _ = client(stream, &mut buffer, apart.is_some());
    }
}

/// Has this process stay on a CPU.
fn stay(cpu: usize) -> io::Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    Ok(sched_setaffinity(None, &cpus)?)
}

/// A socket that listens.
pub fn listen(address: SocketAddr, reuseport: bool) -> io::Result<Socket> {
    let listener = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    listener.set_reuse_address(true)?;
    listener.set_reuse_port(reuseport)?;
    listener.set_recv_buffer_size(RECEIVE)?;
    listener.bind(&address.into())?;
    listener.listen(4096)?;
    Ok(listener)
}

fn client(mut stream: Socket, buffer: &mut [u8], follow: bool) -> io::Result<()> {
    stream.set_tcp_nodelay(true)?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
    if follow {
        stay(stream.cpu_affinity()?)?;
    }
    let mut stream = TcpStream::from(stream);
    stream.write_all(&first)?;
    let mut taken = 0;
    loop {
        let got = stream.read(buffer)?;
        if got == 0 {
            return Ok(());
        }
        match Service::of(first[0]) {
            Some(Service::Echo) => stream.write_all(&buffer[..got])?,
            Some(Service::Sink) => {
                taken += got;
                while taken >= BULK {
                    taken -= BULK;
                    stream.write_all(&first)?;
                }
            }
            Some(Service::Source) => {
                for _ in 0..got {
                    stream.write_all(buffer)?;
                }
            }
            None => return Ok(()),
        }
    }
}
