// SPDX-License-Identifier: GPL-2.0

//! The command line of `dispatchctl service`.

use super::values::{self, Affinity, OrNone};
use clap::{Args, Subcommand};
use tcp_dispatch_netlink::{Address, AddressFamily, Prefix, Refusal, Scheduler, ServiceSettings};

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Add a service.
    Add {
        /// The address that clients connect to, as in 192.0.2.1:80 or
        /// [2001:db8::1]:80.
        #[arg(value_parser = values::address)]
        service: Address,
        #[command(flatten)]
        options: ServiceOptions,
    },
    /// Change how a service works. What is not given stays.
    Set {
        /// The address that clients connect to.
        #[arg(value_parser = values::address)]
        service: Address,
        #[command(flatten)]
        options: ServiceOptions,
    },
    /// Delete a service and its registrations. Its connections go on.
    Del {
        /// The address that clients connect to.
        #[arg(value_parser = values::address)]
        service: Address,
    },
    /// Show all there is to know of a service, and its processes.
    Show {
        /// The address that clients connect to.
        #[arg(value_parser = values::address)]
        service: Address,
        /// Print JSON: the service alone.
        #[arg(long)]
        json: bool,
    },
    /// List the services.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// How a service works.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceOptions {
    /// How a process is chosen for a new connection.
    ///
    /// rr: round robin. wrr: round robin by weight. lc: the fewest
    /// connections. wlc: the fewest for the weight. mh: Maglev hashing of the
    /// client's address. sh: hashing of the client's address. saq: the
    /// shortest accept queue. cpu: among those whose CPUs include the one that
    /// received the packet.
    #[arg(long, value_name = "NAME", value_parser = values::named::<Scheduler>(Scheduler::NAMES))]
    pub scheduler: Option<Scheduler>,
    /// What a client sees whom no process can take.
    ///
    /// tcp: as TCP does, a reset if nobody listens, nothing if all accept
    /// queues are full. reset: a reset. retry: nothing, so that the client
    /// tries again.
    #[arg(long, value_name = "NAME", value_parser = values::named::<Refusal>(Refusal::NAMES))]
    pub refusal: Option<Refusal>,
    /// Send a client's next connection to the same process for that long after
    /// its last one; clients whose first PREFIXLEN bits agree count as one, as
    /// in 300/24 or for IPv6 300/64. 0 ends it.
    #[arg(long, value_name = "SECONDS[/PREFIXLEN]")]
    pub affinity: Option<Affinity>,
    /// Let this user register processes.
    #[arg(long, value_name = "NAME|UID|none", value_parser = values::user)]
    pub allow_user: Option<OrNone<u32>>,
    /// Let the members of this group register processes.
    #[arg(long, value_name = "NAME|GID|none", value_parser = values::group)]
    pub allow_group: Option<OrNone<u32>>,
    /// The range that they may take process addresses from, of the service's
    /// family.
    #[arg(long, value_name = "RANGE|none", value_parser = values::range)]
    pub allow_range: Option<OrNone<Prefix>>,
}

impl ServiceOptions {
    /// What of the options can't be for a service of this address.
    pub fn check(&self, service: Address) -> Result<(), String> {
        let family = AddressFamily::of(service.ip());
        let bits = family.bits();
        if let Some(OrNone(Some(range))) = self.allow_range {
            if range.family() != family {
                return Err(format!(
                    "its processes have addresses of {family}, and {range} is a range of {}",
                    range.family()
                ));
            }
        }
        match self.affinity.and_then(|affinity| affinity.prefix_len) {
            Some(len) if len > bits => Err(format!(
                "an address of {family} has {bits} bits, and the affinity is by {len}"
            )),
            _ => Ok(()),
        }
    }

    /// The settings, as the library takes them.
    pub fn settings(&self) -> ServiceSettings {
        let mut settings = ServiceSettings::default();
        if let Some(scheduler) = self.scheduler {
            settings = settings.scheduler(scheduler);
        }
        if let Some(refusal) = self.refusal {
            settings = settings.refusal(refusal);
        }
        if let Some(affinity) = self.affinity {
            settings = settings.affinity_timeout(affinity.timeout);
            if let Some(len) = affinity.prefix_len {
                settings = settings.affinity_prefix_len(len);
            }
        }
        if let Some(OrNone(uid)) = self.allow_user {
            settings = settings.registrant_uid(uid);
        }
        if let Some(OrNone(gid)) = self.allow_group {
            settings = settings.registrant_gid(gid);
        }
        if let Some(OrNone(range)) = self.allow_range {
            settings = settings.registrant_range(range);
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::parse;
    use crate::cli::Command;
    use std::time::Duration;

    fn settings(line: &str) -> ServiceSettings {
        match parse(line).unwrap().command {
            Command::Service(ServiceCommand::Add { options, .. })
            | Command::Service(ServiceCommand::Set { options, .. }) => options.settings(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_option_of_a_service_becomes_the_setting_of_its_name() {
        let given = settings(
            "service add 192.0.2.1:80 --scheduler wlc --refusal retry --affinity 300/24 \
             --allow-user 33 --allow-group root --allow-range 10.77.8.0/24",
        );
        let expected = ServiceSettings::default()
            .scheduler(Scheduler::Wlc)
            .refusal(Refusal::Retry)
            .affinity_timeout(Duration::from_secs(300))
            .affinity_prefix_len(24)
            .registrant_uid(Some(33))
            .registrant_gid(Some(0))
            .registrant_range(Some("10.77.8.0/24".parse().unwrap()));
        assert_eq!(given, expected);
    }

    #[test]
    fn a_setting_of_a_service_is_ended_by_none_and_left_by_silence() {
        let given = settings(
            "service set 192.0.2.1:80 --allow-user none --allow-group none --allow-range none",
        );
        let expected = ServiceSettings::default()
            .registrant_uid(None)
            .registrant_gid(None)
            .registrant_range(None);
        assert_eq!(given, expected);
        assert_eq!(
            settings("service set 192.0.2.1:80"),
            ServiceSettings::default()
        );
    }

    #[test]
    fn options_of_the_other_family_are_refused_with_the_reason() {
        let check = |line: &str| match parse(line).unwrap().command {
            Command::Service(ServiceCommand::Add { service, options })
            | Command::Service(ServiceCommand::Set { service, options }) => options.check(service),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            check("service add 192.0.2.1:80 --affinity 300/33"),
            Err("an address of IPv4 has 32 bits, and the affinity is by 33".to_owned())
        );
        assert_eq!(check("service set 192.0.2.1:80 --affinity 300/32"), Ok(()));
        assert_eq!(
            check("service set [2001:db8::1]:80 --affinity 300/64"),
            Ok(())
        );
        assert_eq!(
            check("service add [2001:db8::1]:80 --allow-range 10.77.8.0/24"),
            Err(
                "its processes have addresses of IPv6, and 10.77.8.0/24 is a range of IPv4"
                    .to_owned()
            )
        );
        assert!(check("service set 192.0.2.1:80 --allow-range fd77:6470::/80").is_err());
        assert_eq!(
            check("service set [2001:db8::1]:80 --allow-range fd77:6470::/80"),
            Ok(())
        );
        assert_eq!(
            check("service set [2001:db8::1]:80 --allow-range none"),
            Ok(())
        );
    }

    #[test]
    fn an_unknown_scheduler_is_a_usage_error_that_names_the_others() {
        let error = parse("service add 192.0.2.1:80 --scheduler best").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("rr, wrr, lc"), "{error}");
    }
}
