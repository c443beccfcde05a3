// SPDX-License-Identifier: GPL-2.0

//! Failures, told to a person: what failed, on which object, what to do.

use std::fmt;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    doing: String,
    cause: String,
    next: Option<String>,
}

impl Failure {
    /// `doing` completes the sentence "cannot …".
    pub fn new(doing: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self {
            doing: doing.into(),
            cause: cause.to_string(),
            next: None,
        }
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

/// Says what was being done when the kernel refused.
pub trait Context<T> {
    /// `doing` completes the sentence "cannot …".
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;

    /// As [`Context::doing`], with what to do about some error numbers.
    fn doing_or(
        self,
        doing: impl FnOnce() -> String,
        next: impl FnOnce(nix::errno::Errno) -> Option<String>,
    ) -> Result<T, Failure>;
}

impl<T> Context<T> for Result<T, tcp_dispatch_netlink::Error> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.doing_or(doing, |_| None)
    }

    fn doing_or(
        self,
        doing: impl FnOnce() -> String,
        next: impl FnOnce(nix::errno::Errno) -> Option<String>,
    ) -> Result<T, Failure> {
        use nix::errno::Errno;
        self.map_err(|error| {
            let failure = Failure::new(doing(), &error);
            let Some(errno) = error.errno().map(Errno::from_raw) else {
                return failure;
            };
            let next = next(errno).or_else(|| {
                matches!(errno, Errno::EPERM | Errno::EACCES).then(|| {
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
    use nix::errno::Errno;
    use tcp_dispatch_netlink::{Error, KernelError};

    fn refused(errno: Errno) -> Result<(), Error> {
        Err(Error::Kernel(KernelError::new(errno as i32)))
    }

    #[test]
    fn a_failure_says_what_failed_why_and_what_to_do() {
        let failure = refused(Errno::ENOENT)
            .doing_or(
                || "add process 10.77.0.1:80".to_owned(),
                |errno| (errno == Errno::ENOENT).then(|| "add the service first".to_owned()),
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
