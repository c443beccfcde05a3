// SPDX-License-Identifier: GPL-2.0

//! The command line of `dispatchctl connection`.

use super::values;
use clap::{Args, Subcommand};
use tcp_dispatch_netlink::{Address, ConnectionFilter, Prefix, TcpState};

/// What to do with connections.
#[derive(Debug, Subcommand)]
pub enum ConnectionCommand {
    /// Assign a client's connection to a process before its first packet.
    Add {
        /// The client's address.
        #[arg(value_parser = values::address)]
        client: Address,
        /// The service's address.
        #[arg(value_parser = values::address)]
        service: Address,
        /// The address that the process listens on.
        #[arg(value_parser = values::address)]
        process: Address,
    },
    /// Delete a connection's entry. The client's next packet resets it.
    Del {
        /// The client's address.
        #[arg(value_parser = values::address)]
        client: Address,
        /// The service's address.
        #[arg(value_parser = values::address)]
        service: Address,
    },
    /// List the connections.
    List {
        #[command(flatten)]
        filter: FilterOptions,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which connections to list.
#[derive(Args, Clone, Debug)]
pub struct FilterOptions {
    /// Only those of this service.
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
    service: Option<Address>,
    /// Only those of this process address.
    #[arg(long, value_name = "ADDRESS", value_parser = values::address)]
    process: Option<Address>,
    /// Only those of clients of this range, as in 198.51.100.0/24 or
    /// 2001:db8::/48, or of this client's IP address.
    #[arg(long, value_name = "RANGE", value_parser = values::clients)]
    client: Option<Prefix>,
    /// Only those whose socket is in this state.
    #[arg(long, value_name = "NAME", value_parser = values::named::<TcpState>(TcpState::NAMES))]
    state: Option<TcpState>,
}

impl FilterOptions {
    /// The filter, as the library takes it.
    pub fn filter(&self) -> ConnectionFilter {
        ConnectionFilter {
            service_address: self.service,
            process_address: self.process,
            client_prefix: self.client,
            state: self.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::parse;
    use crate::cli::Command;

    #[test]
    fn every_option_of_the_list_narrows_it() {
        let line = "connection list --service 192.0.2.1:80 --process 10.77.0.1:80 \
                    --client 198.51.100.0/24 --state time-wait";
        let Command::Connection(ConnectionCommand::List { filter, .. }) =
            parse(line).unwrap().command
        else {
            panic!("not a list");
        };
        let expected = ConnectionFilter {
            service_address: Some("192.0.2.1:80".parse().unwrap()),
            process_address: Some("10.77.0.1:80".parse().unwrap()),
            client_prefix: Some("198.51.100.0/24".parse().unwrap()),
            state: Some(TcpState::TimeWait),
        };
        assert_eq!(filter.filter(), expected);
    }

    #[test]
    fn a_list_is_narrowed_by_addresses_of_ipv6_as_well() {
        let line = "connection list --service [2001:db8::1]:80 --client 2001:db8:1::/48";
        let Command::Connection(ConnectionCommand::List { filter, .. }) =
            parse(line).unwrap().command
        else {
            panic!("not a list");
        };
        let expected = ConnectionFilter {
            service_address: Some("[2001:db8::1]:80".parse().unwrap()),
            client_prefix: Some("2001:db8:1::/48".parse().unwrap()),
            ..ConnectionFilter::default()
        };
        assert_eq!(filter.filter(), expected);
    }

    #[test]
    fn an_unknown_state_and_a_range_with_host_bits_are_usage_errors() {
        for option in ["--state sleeping", "--client 198.51.100.7/24"] {
            let error = parse(&format!("connection list {option}")).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{option}");
        }
    }
}
