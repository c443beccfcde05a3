// SPDX-License-Identifier: GPL-2.0

//! What is measured.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

/// The receive buffer of a connection in bytes, at both ends: `net.core.rmem_max`, unless somebody
/// changed it. Whether 64 KiB fit into a window that may grow or not is a packet more or less of
/// each echo.
pub const RECEIVE: usize = 212_992;
/// How much one bulk operation moves, in bytes.
pub const BULK: usize = 1 << 20;
/// How much one echo moves in each direction, in bytes.
const ECHO: usize = 1 << 16;

/// An operation, from the client's point of view.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Operation {
    /// One byte there and back, on an open connection
    RoundTrip,
    /// Connecting, one byte there and back, closing
    Connect,
    /// 64 KiB there and back, on an open connection
    Echo,
    /// 1 MiB to the daemon, on an open connection
    Send,
    /// 1 MiB from the daemon, on an open connection
    Receive,
}

/// What a connection's first byte asks of the daemon, which sends it back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Send everything back.
    Echo,
    /// Take everything, and send a byte for each [`BULK`] bytes.
    Sink,
    /// Send [`BULK`] bytes for each byte.
    Source,
}

impl Service {
    /// The byte that asks for it.
    pub fn byte(self) -> u8 {
        match self {
            Self::Echo => b'e',
            Self::Sink => b'k',
            Self::Source => b's',
        }
    }

    /// What a byte asks for.
    pub fn of(byte: u8) -> Option<Self> {
        [Self::Echo, Self::Sink, Self::Source]
            .into_iter()
            .find(|service| service.byte() == byte)
    }
}

/// An operation that can be done again and again.
pub struct Doer {
    operation: Operation,
    address: SocketAddr,
    service: Service,
    /// The open connection, for operations on one: the daemon serves one client at a time.
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Doer {
    /// Connects to the daemon at `address`.
    pub fn new(operation: Operation, address: SocketAddr) -> io::Result<Self> {
        let service = match operation {
            Operation::RoundTrip | Operation::Connect | Operation::Echo => Service::Echo,
            Operation::Send => Service::Sink,
            Operation::Receive => Service::Source,
        };
        let stream = match operation {
            Operation::Connect => None,
            _ => Some(connect(address, service)?),
        };
        Ok(Self {
            operation,
            address,
            service,
            stream,
            buffer: vec![0; BULK],
        })
    }

    /// Does it once.
    pub fn once(&mut self) -> io::Result<()> {
        let mut one = [0];
        let buffer = &mut self.buffer;
        let Some(stream) = &mut self.stream else {
            return end(connect(self.address, self.service)?);
        };
        match self.operation {
            Operation::RoundTrip | Operation::Connect => {
                stream.write_all(&one)?;
                stream.read_exact(&mut one)
            }
            Operation::Echo => {
                stream.write_all(&buffer[..ECHO])?;
                stream.read_exact(&mut buffer[..ECHO])
            }
            Operation::Send => {
                stream.write_all(buffer)?;
                stream.read_exact(&mut one)
            }
            Operation::Receive => {
                stream.write_all(&one)?;
                stream.read_exact(buffer)
            }
        }
    }
}

/// Opens a connection, and exchanges the first byte.
fn connect(address: SocketAddr, service: Service) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_recv_buffer_size(RECEIVE)?;
    socket.connect(&address.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.write_all(&[service.byte()])?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// Closes a connection, and waits until the daemon has closed it, too.
///
/// Else it would be up to the scheduler whether the daemon does that before the next connection
/// comes, and with it how many packets there are and what each costs.
fn end(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(io::Error::other(
            "the daemon sent more than it was asked for",
        )),
    }
}
