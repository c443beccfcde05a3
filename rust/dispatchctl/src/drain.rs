// SPDX-License-Identifier: GPL-2.0

//! Draining, for whoever asks for it on the command line.

use crate::cli::ProcessName;
use crate::failure::{Context, Failure};
use crate::process::lists_others;
use std::time::Duration;
use tcp_dispatch_netlink::{Client, Drain, DrainEnd};

/// What is being done, for a failure.
pub fn doing(name: ProcessName) -> String {
    format!("drain process {} of service {}", name.process, name.service)
}

/// Lets a process drain.
pub fn start(
    client: &mut Client,
    name: ProcessName,
    timeout: Option<Duration>,
) -> Result<Drain, Failure> {
    Drain::start(client, name.service, name.process, timeout).doing_or(
        || doing(name),
        |refusal| lists_others(refusal, name.service),
    )
}

/// Waits for the end of the last connection, however long it takes.
pub fn wait(client: &mut Client, drain: &mut Drain, name: ProcessName) -> Result<(), Failure> {
    match drain.wait(client, None).doing(|| doing(name))? {
        DrainEnd::Drained => Ok(()),
        other => Err(failure(name, other)),
    }
}

/// A drain that ended otherwise.
fn failure(name: ProcessName, end: DrainEnd) -> Failure {
    let ProcessName { service, process } = name;
    let failure = |cause| Failure::new(doing(name), cause);
    match end {
        DrainEnd::Active => failure("somebody set it active again while it drained"),
        DrainEnd::Deleted => failure("its registration was deleted, or its owner ended").next(
            format!("`dispatchctl connection list --service {service} --process {process}` shows connections that go on"),
        ),
        DrainEnd::TimedOut | DrainEnd::Drained => failure("it has connections left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_somebody_stopped_is_a_failure_that_says_so() {
        let name = ProcessName {
            service: "192.0.2.1:80".parse().unwrap(),
            process: "10.77.0.1:80".parse().unwrap(),
        };
        assert_eq!(
            failure(name, DrainEnd::Active).to_string(),
            "cannot drain process 10.77.0.1:80 of service 192.0.2.1:80: \
             somebody set it active again while it drained"
        );
        let deleted = failure(name, DrainEnd::Deleted).to_string();
        assert!(deleted.contains("connection list --service"), "{deleted}");
    }
}
