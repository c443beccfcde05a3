// SPDX-License-Identifier: GPL-2.0

//! A blocking netlink socket that sends one request and takes its answer.

use crate::answer::{Answer, Interrupt};
use crate::extack::Extack;
use crate::{Error, KernelError};
use netlink_packet_core::{
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST,
};
use netlink_sys::SocketAddr;
use nix::errno::Errno;
use nix::libc::{MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// How often a dump that was interrupted is started again.
const DUMP_RESTARTS: usize = 4;

/// A netlink socket of one protocol, in the network namespace of the thread
/// that opened it. Checking is strict, errors are explained.
pub struct Socket {
    socket: netlink_sys::Socket,
    sequence: u32,
}

/// Messages that answered a request.
#[derive(Debug)]
pub struct Attempt<R> {
    /// The messages.
    pub messages: Vec<R>,
    /// The kernel's tables changed meanwhile, so that parts may be missing.
    pub interrupted: bool,
}

/// A refusal, and what is needed to resolve its attributes.
pub(crate) struct Refusal {
    pub(crate) errno: i32,
    pub(crate) extack: Extack,
    pub(crate) request: Vec<u8>,
}

/// Why a request failed, its attributes not resolved to names yet.
pub(crate) enum Failure {
    Refused(Refusal),
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Kernel(KernelError {
                message: refusal.extack.message,
                ..KernelError::new(refusal.errno)
            }),
            Failure::Other(error) => error,
        }
    }
}

impl Socket {
    /// Opens a socket of a netlink protocol (`netlink_sys::protocols`).
    pub fn open(protocol: isize) -> Result<Self, Error> {
        let failed = |action| move |source| Error::Socket { action, source };
        let mut socket = netlink_sys::Socket::new(protocol).map_err(failed("open"))?;
        socket.bind_auto().map_err(failed("bind"))?;
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(failed("connect"))?;
        socket.set_ext_ack(true).map_err(failed("configure"))?;
        socket.set_cap_ack(true).map_err(failed("configure"))?;
        socket
            .set_netlink_get_strict_chk(true)
            .map_err(failed("configure"))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Sends a request and returns the messages that answer it.
    pub fn request<Q, R>(&mut self, message: Q, flags: u16) -> Result<Vec<R>, Error>
    where
        Q: NetlinkSerializable,
        R: NetlinkDeserializable,
    {
        let attempt = self.attempt(message, flags | NLM_F_ACK)?;
        Ok(attempt.messages)
    }

    /// Asks for all objects of a kind; starts again a few times if the kernel's
    /// tables changed meanwhile.
    pub fn dump<Q, R>(&mut self, message: impl Fn() -> Q) -> Result<Attempt<R>, Error>
    where
        Q: NetlinkSerializable,
        R: NetlinkDeserializable,
    {
        Ok(self.try_dump(message)?)
    }

    /// As [`Socket::dump`], the refusal unresolved.
    pub(crate) fn try_dump<Q, R>(&mut self, message: impl Fn() -> Q) -> Result<Attempt<R>, Failure>
    where
        Q: NetlinkSerializable,
        R: NetlinkDeserializable,
    {
        let mut attempt = self.attempt(message(), NLM_F_DUMP)?;
        for _ in 0..DUMP_RESTARTS {
            if !attempt.interrupted {
                break;
            }
            attempt = self.attempt(message(), NLM_F_DUMP)?;
        }
        Ok(attempt)
    }

    /// Sends a request once.
    pub(crate) fn attempt<Q, R>(&mut self, message: Q, flags: u16) -> Result<Attempt<R>, Failure>
    where
        Q: NetlinkSerializable,
        R: NetlinkDeserializable,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut request = vec![0; message.buffer_len()];
        message.serialize(&mut request);

        let failed = |action| move |source| Error::Socket { action, source };
        retry(|| self.socket.send(&request, 0)).map_err(failed("send to"))?;
        let mut answer = Answer::new(self.sequence);
        loop {
            let (datagram, sender) = match retry(|| self.socket.recv_from_full()) {
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    return Err(Error::Overrun.into());
                }
                other => other.map_err(failed("receive from"))?,
            };
            // Any process may send to a netlink socket: only the kernel is 0.
            if sender.port_number() != 0 {
                continue;
            }
            match answer.take(&datagram) {
                Ok(true) => break,
                Ok(false) => {}
                Err(Interrupt::Refused { errno, extack }) => {
                    return Err(Failure::Refused(Refusal {
                        errno,
                        extack,
                        request,
                    }));
                }
                Err(Interrupt::Overrun) => return Err(Error::Overrun.into()),
                Err(Interrupt::Malformed(error)) => {
                    return Err(Error::Decode(error.to_string()).into());
                }
            }
        }
        Ok(Attempt {
            messages: answer.messages,
            interrupted: answer.interrupted,
        })
    }

    /// Joins a multicast group. From then on the socket is one for events: an
    /// answer to a request would be lost among them.
    pub(crate) fn join(&mut self, group: u32) -> Result<(), Error> {
        self.socket
            .add_membership(group)
            .map_err(|source| Error::Socket {
                action: "join the multicast group of",
                source,
            })
    }

    /// Receives a datagram of the kernel's, if one is there; doesn't wait.
    pub(crate) fn try_receive(&self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let mut datagram = Vec::new();
            let received = retry(|| {
                let peek = MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT;
                let (length, _) = self.socket.recv_from(&mut datagram, peek)?;
                datagram.clear();
                datagram.reserve(length);
                self.socket.recv_from(&mut datagram, MSG_DONTWAIT)
            });
            return match received {
                // Any process may send to a netlink socket: only the kernel is 0.
                Ok((_, sender)) if sender.port_number() != 0 => continue,
                Ok(_) => Ok(Some(datagram)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    Err(Error::Overrun)
                }
                Err(source) => Err(Error::Socket {
                    action: "receive from",
                    source,
                }),
            };
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Repeats a system call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
