// SPDX-License-Identifier: GPL-2.0

//! The daemon.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use crate::operation::{Service, BULK, RECEIVE};

/// Serves one client after the other, for ever.
pub fn serve(address: SocketAddr, reuseport: bool) -> Result<()> {
    let listener =
        listen(address, reuseport).with_context(|| format!("can't listen at {address}"))?;
    // One for all, since a new one would cost each connection more than all the kernel does.
    let mut buffer = vec![0; BULK];
    loop {
        let (stream, _) = listener.accept().context("can't accept")?;
        // How a client's connection ends is the client's concern.
        let _ = client(stream.into(), &mut buffer);
    }
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

fn client(mut stream: TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
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
