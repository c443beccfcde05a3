// SPDX-License-Identifier: GPL-2.0

//! Whom a registration belongs to.

use crate::attribute::{bytes, Attribute};
use crate::names::names;
use crate::spec::process;
use std::os::fd::{AsRawFd, BorrowedFd};

names! {
    /// Whom a registration belongs to, and ends with.
    Owner "owner" {
        /// Nobody. It stays until it is deleted.
        None = 0 "none",
        /// The netlink socket that made it.
        Socket = 1 "socket",
        /// A process of the kernel's.
        Pid = 2 "pid",
    }
}

/// Whom a new registration is to belong to.
#[derive(Clone, Copy, Debug, Default)]
pub enum OwnedBy<'fd> {
    /// Nobody: it stays until it is deleted.
    #[default]
    Nobody,
    /// The [`Client`](crate::Client) that registers it.
    Client,
    /// The process of the kernel's that registers it.
    Caller,
    /// The process of this number. Whoever gives the number must know that it
    /// isn't somebody else's by now.
    Pid(u32),
    /// The process of this pidfd.
    PidFd(BorrowedFd<'fd>),
}

impl OwnedBy<'_> {
    /// A request's attributes.
    pub(crate) fn encode(self) -> Vec<Attribute> {
        let (owner, process) = match self {
            Self::Nobody => return Vec::new(),
            Self::Client => (Owner::Socket, None),
            Self::Caller => (Owner::Pid, None),
            Self::Pid(pid) => (Owner::Pid, Some((process::PID, pid))),
            Self::PidFd(fd) => (
                Owner::Pid,
                // A file descriptor that is open isn't negative.
                Some((process::PIDFD, fd.as_raw_fd() as u32)),
            ),
        };
        let owner = bytes(process::OWNER, &u32::from(owner).to_ne_bytes());
        let process = process.map(|(kind, number)| bytes(kind, &number.to_ne_bytes()));
        std::iter::once(owner).chain(process).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::Nla;
    use std::os::fd::AsFd;

    fn kinds(owner: OwnedBy<'_>) -> Vec<u16> {
        owner.encode().iter().map(Nla::kind).collect()
    }

    #[test]
    fn an_owner_is_sent_with_what_names_it() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(kinds(OwnedBy::Nobody), []);
        assert_eq!(kinds(OwnedBy::Client), [process::OWNER]);
        assert_eq!(kinds(OwnedBy::Caller), [process::OWNER]);
        assert_eq!(kinds(OwnedBy::Pid(1)), [process::OWNER, process::PID]);
        assert_eq!(
            kinds(OwnedBy::PidFd(file.as_fd())),
            [process::OWNER, process::PIDFD]
        );
    }

    #[test]
    fn a_client_and_a_caller_are_told_apart_by_the_kind_of_owner() {
        let owner = |owner: OwnedBy<'_>| {
            let mut value = [0; 4];
            owner.encode()[0].emit_value(&mut value);
            Owner::from(u32::from_ne_bytes(value))
        };
        assert_eq!(owner(OwnedBy::Client), Owner::Socket);
        assert_eq!(owner(OwnedBy::Caller), Owner::Pid);
    }
}
