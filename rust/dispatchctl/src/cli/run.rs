// SPDX-License-Identifier: GPL-2.0

//! The command line of `dispatchctl run`.

use super::process::ProcessOptions;
use super::values;
use clap::Args;
use std::ffi::OsString;
use std::time::Duration;
use tcp_dispatch_netlink::Address;

/// How to run a daemon.
#[derive(Args, Clone, Debug)]
pub struct RunSettings {
    /// The service that the daemon serves.
    #[arg(value_parser = values::address)]
    pub service: Address,
    /// The address that the daemon listens on. Without it, a free address of
    /// the range that the service gives to registrants, else of the
    /// namespace's range, with the service's port.
    #[arg(long, value_name = "ADDR:PORT", value_parser = values::address)]
    pub address: Option<Address>,
    #[command(flatten)]
    pub options: ProcessOptions,
    /// At SIGTERM, reset connections that are left after this time, as in 30s,
    /// 2m or 1h.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::drain_time)]
    pub drain_timeout: Duration,
    /// The daemon and its arguments. {address} and {port} in them are filled
    /// in; for IPv6 write [{address}]:{port}.
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use crate::cli::tests::parse;
    use crate::cli::Command;
    use std::time::Duration;

    #[test]
    fn a_daemon_is_what_stands_behind_two_dashes() {
        let line = "run 192.0.2.1:80 --weight 3 -- nginx -g {address}:{port} --weight";
        let Command::Run(settings) = parse(line).unwrap().command else {
            panic!("not run");
        };
        assert_eq!(
            settings.command,
            ["nginx", "-g", "{address}:{port}", "--weight"]
        );
        assert_eq!(settings.options.weight, Some(3));
        assert_eq!(settings.address, None);
        assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    }

    #[test]
    fn no_daemon_is_a_usage_error() {
        for line in ["run 192.0.2.1:80", "run 192.0.2.1:80 --", "run -- nginx"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
