// SPDX-License-Identifier: GPL-2.0

//! Requests by netlink, many at a time: with a system call and an answer each, a million take minutes.

use std::io::{self, Read};

use anyhow::{ensure, Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

/// How many requests are sent at a time: they fit into a send buffer of usual size.
const REQUESTS: u32 = 200;

/// A message's length, type, flags, sequence number and port.
const HEADER: usize = 16;
/// Where answers have the number of an error, if it is one.
const ERROR: usize = HEADER;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_ACK: u16 = 0x004;
const NLA_F_NESTED: u16 = 0x8000;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// What requests have in common.
pub struct Kind {
    /// The protocol of netlink.
    pub protocol: i32,
    /// The type of the messages.
    pub kind: u16,
    /// Their flags, besides that they are requests.
    pub flags: u16,
    /// The protocol's own header.
    pub header: [u8; 4],
}

impl Kind {
    /// A command of a family of generic netlink.
    pub fn generic(family: &str, command: u8) -> Result<Self> {
        Ok(Self {
            kind: number_of(family).with_context(|| format!("there is no family {family}"))?,
            ..Self::of_number(GENL_ID_CTRL, command)
        })
    }

    fn of_number(kind: u16, command: u8) -> Self {
        let version = 1;
        Self {
            protocol: libc::NETLINK_GENERIC,
            kind,
            flags: 0,
            header: [command, version, 0, 0],
        }
    }

    fn socket(&self) -> io::Result<Socket> {
        let protocol = Some(Protocol::from(self.protocol));
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, protocol)
    }

    /// Sends `number` requests, whose attributes `write` adds.
    pub fn send(&self, number: u32, write: impl Fn(u32, &mut Attributes)) -> Result<()> {
        let mut socket = self.socket().context("can't open a netlink socket")?;
        let mut requests = Attributes::default();
        for first in (0..number).step_by(REQUESTS as usize) {
            let last = number.min(first + REQUESTS) - 1;
            requests.0.clear();
            for each in first..=last {
                let ack = if each == last { NLM_F_ACK } else { 0 };
                self.request(each, ack, &mut requests, &write);
            }
            let sent = socket.send(&requests.0).context("can't send requests")?;
            ensure!(sent == requests.0.len(), "a part of requests was sent");
            until_done(&mut socket, last)
                .with_context(|| format!("a request of {first} to {last} was refused"))?;
        }
        Ok(())
    }

    /// Adds a request to others.
    fn request(
        &self,
        number: u32,
        flags: u16,
        to: &mut Attributes,
        write: impl Fn(u32, &mut Attributes),
    ) {
        let start = to.0.len();
        to.0.extend(0_u32.to_ne_bytes());
        to.0.extend(self.kind.to_ne_bytes());
        let flags = NLM_F_REQUEST | self.flags | flags;
        to.0.extend(flags.to_ne_bytes());
        to.0.extend(number.to_ne_bytes());
        to.0.extend(0_u32.to_ne_bytes());
        to.0.extend(self.header);
        write(number, to);
        let length = (to.0.len() - start) as u32;
        to.0[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// The bytes of a request.
    #[cfg(test)]
    pub fn bytes(&self, number: u32, write: impl Fn(u32, &mut Attributes)) -> Vec<u8> {
        let mut request = Attributes::default();
        self.request(number, NLM_F_ACK, &mut request, write);
        request.0
    }
}

/// Attributes of a request.
#[derive(Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// Adds an attribute: its length, which leaves out what fills its last word, its name, its value.
    pub fn put(&mut self, name: u16, value: &[u8]) {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(name.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// Adds an attribute that holds those that `fill` adds.
    pub fn nest(&mut self, name: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.put(NLA_F_NESTED | name, &[]);
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

/// Waits until the last request was carried out. It is answered, and those are that fail.
fn until_done(socket: &mut Socket, last: u32) -> io::Result<()> {
    let mut buffer = [0; 1 << 14];
    loop {
        let length = socket.read(&mut buffer)?;
        let mut answers = &buffer[..length];
        while answers.len() >= ERROR + 4 {
            let error = word(answers, ERROR) as i32;
            if half(answers, 4) == NLMSG_ERROR && error != 0 {
                return Err(io::Error::from_raw_os_error(-error));
            }
            if half(answers, 4) == NLMSG_ERROR && word(answers, 8) == last {
                return Ok(());
            }
            let length = (word(answers, 0) as usize).next_multiple_of(4);
            answers = &answers[length.clamp(HEADER, answers.len())..];
        }
    }
}

/// The number that a family of generic netlink has as long as it is there.
fn number_of(family: &str) -> io::Result<u16> {
    let kind = Kind::of_number(GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    let mut request = Attributes::default();
    let name = [family.as_bytes(), b"\0"].concat();
    kind.request(0, 0, &mut request, |_, to| {
        to.put(CTRL_ATTR_FAMILY_NAME, &name);
    });
    let mut socket = kind.socket()?;
    socket.send(&request.0)?;
    let mut buffer = [0; 1 << 14];
    let length = socket.read(&mut buffer)?;
    let answer = &buffer[..length];
    if answer.len() < HEADER + 4 || half(answer, 4) == NLMSG_ERROR {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut attributes = &answer[HEADER + 4..];
    while attributes.len() >= 6 {
        if half(attributes, 2) == CTRL_ATTR_FAMILY_ID {
            return Ok(half(attributes, 4));
        }
        let length = usize::from(half(attributes, 0)).next_multiple_of(4);
        attributes = &attributes[length.clamp(4, attributes.len())..];
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_of_generic_netlink_has_the_number_that_the_kernel_gave_it() {
        // The one that each kernel has, of which all others are asked for.
        assert_eq!(number_of("nlctrl").unwrap(), GENL_ID_CTRL);
        assert!(number_of("no such family").is_err());
    }

    #[test]
    fn a_request_that_is_refused_is_an_error() {
        // Nor is there a command of this number.
        let refused = Kind::of_number(GENL_ID_CTRL, 255).send(3, |_, _| {});
        let error = format!("{:#}", refused.unwrap_err());
        assert!(error.contains("os error 95"), "{error}");
    }
}
