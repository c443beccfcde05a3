// SPDX-License-Identifier: GPL-2.0

//! Failures, told to a person: what failed, on which object, what to do.

use nix::errno::Errno;
use std::fmt;
use std::process::ExitCode;
use tcp_dispatch_netlink::Error;

/// Exit status of a command that failed.
const FAILED: u8 = 1;
/// Exit status of a command line that makes no sense.
pub const USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    doing: String,
    cause: String,
    next: Option<String>,
    status: u8,
}

impl Failure {
    /// `doing` completes the sentence "cannot …".
    pub fn new(doing: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self {
            doing: doing.into(),
            cause: cause.to_string(),
            next: None,
            status: FAILED,
        }
    }

    /// Ends dispatchctl with this exit status.
    pub fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The exit status.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }

    /// Adds what to do about it.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.cause)?;
        if let Some(next) = &self.next {
            write!(f, "\n{next}")?;
        }
        Ok(())
    }
}

/// What the kernel refused, as far as it matters for what to do.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'error> {
    /// Its error number.
    pub errno: Errno,
    /// The attribute that it speaks of, named as in the specification.
    pub attribute: Option<&'error str>,
}

impl Refusal<'_> {
    /// Whether the service isn't there.
    pub fn lacks_service(&self) -> bool {
        self.errno == Errno::ENOENT && self.attribute == Some("service-address")
    }
}

/// Says what was being done when the kernel refused.
pub trait Context<T> {
    /// `doing` completes the sentence "cannot …".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;

    /// As [`Context::doing`], with what to do about some of the kernel's refusals.
    fn doing_or(
        self,
        doing: impl FnOnce() -> String,
        next: impl FnOnce(&Refusal<'_>) -> Option<String>,
    ) -> Result<T, Failure>;
}

impl<T> Context<T> for Result<T, Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.doing_or(doing, |_| None)
    }

    fn doing_or(
        self,
        doing: impl FnOnce() -> String,
        next: impl FnOnce(&Refusal<'_>) -> Option<String>,
    ) -> Result<T, Failure> {
        self.map_err(|error| {
            let failure = Failure::new(doing(), &error);
            let Error::Kernel(error) = &error else {
                return failure;
            };
            let refusal = Refusal {
                errno: Errno::from_raw(error.errno),
                attribute: error.attribute.as_deref(),
            };
            let next = next(&refusal).or_else(|| {
                matches!(refusal.errno, Errno::EPERM | Errno::EACCES).then(|| {
                    "run it as root, or with CAP_NET_ADMIN over the network namespace".to_owned()
                })
            });
            match next {
                Some(next) => failure.next(next),
                None => failure,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::KernelError;

    fn refused(errno: Errno) -> Result<(), Error> {
        Err(Error::Kernel(KernelError::new(errno as i32)))
    }

    #[test]
    fn a_failure_says_what_failed_why_and_what_to_do() {
        let failure = refused(Errno::ENOENT)
            .doing_or(
                || "add process 10.77.0.1:80".to_owned(),
                |refusal| {
                    (refusal.errno == Errno::ENOENT).then(|| "add the service first".to_owned())
                },
            )
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "cannot add process 10.77.0.1:80: No such file or directory (ENOENT)\n\
             add the service first"
        );
    }

    #[test]
    fn a_missing_permission_says_which_one() {
        let failure = refused(Errno::EPERM)
            .doing(|| "add service 192.0.2.1:80".to_owned())
            .unwrap_err();
        assert!(failure.to_string().contains("CAP_NET_ADMIN"), "{failure}");
    }
}
