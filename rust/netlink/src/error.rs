// SPDX-License-Identifier: GPL-2.0

//! What can go wrong, in one sentence each.

use nix::errno::Errno;
use std::fmt;
use std::io;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no family of that name.
    #[error("the module tcp_dispatch is not loaded; load it with `modprobe tcp_dispatch`")]
    NotLoaded,
    /// The module is one of before there were events.
    #[error("the module tcp_dispatch that is loaded tells no events; load the current one")]
    NoEvents,
    /// The kernel refused the request.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The netlink socket failed.
    #[error("cannot {action} a netlink socket: {source}")]
    Socket {
        /// What was tried.
        action: &'static str,
        /// What came of it.
        source: io::Error,
    },
    /// The kernel's answer makes no sense.
    #[error("cannot understand the kernel's answer: {0}")]
    Decode(String),
    /// The kernel ended its answer without giving one.
    #[error("the kernel answered nothing where a reply was due")]
    NoReply,
    /// A socket can't be registered as a process.
    #[error("cannot register the listening socket: {0}")]
    Listener(String),
    /// The kernel dropped parts of its answer.
    #[error("the kernel lost a part of its answer for want of memory; try again")]
    Overrun,
}

impl Error {
    /// The kernel's error number, if it refused the request.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel(error) => Some(error.errno),
            _ => None,
        }
    }
}

/// The kernel's refusal of a request, with its own explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelError {
    /// The error number, positive.
    pub errno: i32,
    /// The kernel's explanation.
    pub message: Option<String>,
    /// The offending attribute, named as in the specification.
    pub attribute: Option<String>,
    /// An attribute that the request should have had.
    pub missing: Option<String>,
}

impl KernelError {
    /// A refusal without further explanation.
    pub fn new(errno: i32) -> Self {
        Self {
            errno,
            message: None,
            attribute: None,
            missing: None,
        }
    }

    /// Symbol of the error number, as in `EADDRNOTAVAIL`.
    pub fn symbol(&self) -> String {
        match Errno::from_raw(self.errno) {
            Errno::UnknownErrno => format!("error {}", self.errno),
            errno => format!("{errno:?}"),
        }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => f.write_str(message.trim_end_matches('.'))?,
            None => f.write_str(Errno::from_raw(self.errno).desc())?,
        }
        f.write_str(" (")?;
        if let Some(attribute) = &self.attribute {
            write!(f, "{attribute}: ")?;
        } else if let Some(missing) = &self.missing {
            write!(f, "{missing} is missing: ")?;
        }
        write!(f, "{})", self.symbol())
    }
}

impl std::error::Error for KernelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_as_explanation_attribute_and_symbol() {
        let error = KernelError {
            errno: 99,
            message: Some("Address is not of the process prefix".into()),
            attribute: Some("process-address".into()),
            missing: None,
        };
        assert_eq!(
            error.to_string(),
            "Address is not of the process prefix (process-address: EADDRNOTAVAIL)"
        );
    }

    #[test]
    fn a_refusal_without_explanation_says_what_the_number_means() {
        assert_eq!(
            KernelError::new(1).to_string(),
            "Operation not permitted (EPERM)"
        );
    }

    #[test]
    fn a_refusal_for_a_missing_attribute_names_it() {
        let error = KernelError {
            missing: Some("service-address.port".into()),
            ..KernelError::new(22)
        };
        assert_eq!(
            error.to_string(),
            "Invalid argument (service-address.port is missing: EINVAL)"
        );
    }

    #[test]
    fn a_number_without_a_symbol_is_shown_as_a_number() {
        assert_eq!(KernelError::new(4000).symbol(), "error 4000");
    }
}
