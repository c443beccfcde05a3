// SPDX-License-Identifier: GPL-2.0

//! The numbers and names of `Documentation/netlink/specs/tcp_dispatch.yaml`.
//!
//! Written by hand, so that they read like the rest of the crate; the test at
//! the end holds every one of them against the specification.

/// Name that the family registers.
pub(crate) const FAMILY_NAME: &str = "tcp_dispatch";
/// Version of the family that this crate was written for.
pub(crate) const FAMILY_VERSION: u8 = 1;
/// Name of the multicast group that events go to.
pub(crate) const EVENTS_GROUP: &str = "events";

/// An attribute set: what the numbers of one nest mean.
#[derive(Debug)]
pub(crate) struct AttributeSet {
    /// The specification's name of the set.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(crate) name: &'static str,
    /// Its attributes, in the specification's order.
    pub(crate) attributes: &'static [AttributeName],
}

/// An attribute of a set.
#[derive(Debug)]
pub(crate) struct AttributeName {
    /// Its number.
    pub(crate) kind: u16,
    /// Its name in the specification.
    pub(crate) name: &'static str,
    /// For a nest, the set that it holds.
    pub(crate) nested: Option<&'static AttributeSet>,
}

impl AttributeSet {
    /// The attribute of a number, if the set has it.
    pub(crate) fn get(&self, kind: u16) -> Option<&AttributeName> {
        self.attributes.iter().find(|a| a.kind == kind)
    }
}

/// Declares a set: a module with a constant for each attribute and `SET`.
macro_rules! attribute_set {
    (@nested) => { None };
    (@nested $module:ident) => { Some(&super::$module::SET) };
    ($module:ident $set:literal {
        $($constant:ident = $kind:literal $name:literal $(in $nested:ident)?,)*
    }) => {
        #[doc = concat!("Attributes of the set `", $set, "`.")]
        pub(crate) mod $module {
            $(pub(crate) const $constant: u16 = $kind;)*
            pub(crate) static SET: super::AttributeSet = super::AttributeSet {
                name: $set,
                attributes: &[$(super::AttributeName {
                    kind: $constant,
                    name: $name,
                    nested: attribute_set!(@nested $($nested)?),
                },)*],
            };
        }
    };
}

attribute_set!(socket_address "socket-address" {
    IPV4 = 1 "ipv4",
    PORT = 2 "port",
    IPV6 = 3 "ipv6",
});

attribute_set!(stats "stats" {
    CONNECTIONS = 1 "connections",
    PACKETS_IN = 2 "packets-in",
    BYTES_IN = 3 "bytes-in",
    PACKETS_OUT = 4 "packets-out",
    BYTES_OUT = 5 "bytes-out",
});

attribute_set!(drops "drops" {
    NO_PROCESS = 1 "no-process",
    CONNECTION_LIMIT = 2 "connection-limit",
    CONFLICT = 3 "conflict",
    NO_MEMORY = 4 "no-memory",
    OUTSIDE = 5 "outside",
    NO_CONNECTION = 6 "no-connection",
    SIGNED = 7 "signed",
});

attribute_set!(service "service" {
    SERVICE_ADDRESS = 1 "service-address" in socket_address,
    PROCESSES = 2 "processes",
    CONNECTIONS = 3 "connections",
    STATS = 4 "stats" in stats,
    DROPS = 5 "drops" in drops,
    SCHEDULER = 6 "scheduler",
    REFUSAL = 7 "refusal",
    AFFINITY_TIMEOUT = 8 "affinity-timeout",
    AFFINITY_PREFIX_LEN = 9 "affinity-prefix-len",
    REGISTRANT_UID = 10 "registrant-uid",
    REGISTRANT_GID = 11 "registrant-gid",
    REGISTRANT_PREFIX = 12 "registrant-prefix",
    REGISTRANT_PREFIX_LEN = 13 "registrant-prefix-len",
    REGISTRANT_PREFIX_IPV6 = 14 "registrant-prefix-ipv6",
});

attribute_set!(process "process" {
    SERVICE_ADDRESS = 1 "service-address" in socket_address,
    PROCESS_ADDRESS = 2 "process-address" in socket_address,
    CONNECTIONS = 3 "connections",
    STATS = 4 "stats" in stats,
    DROPS = 5 "drops" in drops,
    WEIGHT = 6 "weight",
    STATE = 7 "state",
    DRAIN_TIMEOUT = 8 "drain-timeout",
    CPUS = 9 "cpus",
    OWNER = 10 "owner",
    PID = 11 "pid",
    PIDFD = 12 "pidfd",
    UID = 13 "uid",
    ACCEPT_QUEUE = 14 "accept-queue",
    ACCEPT_QUEUE_MAX = 15 "accept-queue-max",
});

attribute_set!(connection "connection" {
    CLIENT_ADDRESS = 1 "client-address" in socket_address,
    SERVICE_ADDRESS = 2 "service-address" in socket_address,
    PROCESS_ADDRESS = 3 "process-address" in socket_address,
    STATE = 4 "state",
    AGE = 5 "age",
    CLIENT_PREFIX = 6 "client-prefix",
    CLIENT_PREFIX_LEN = 7 "client-prefix-len",
    CLIENT_PREFIX_IPV6 = 8 "client-prefix-ipv6",
});

attribute_set!(refused "refused" {
    SERVICE_ADDRESS = 1 "service-address" in socket_address,
    CLIENT_ADDRESS = 2 "client-address" in socket_address,
    REASON = 3 "reason",
    COUNT = 4 "count",
});

attribute_set!(net "net" {
    PROCESS_PREFIX = 1 "process-prefix",
    PROCESS_PREFIX_LEN = 2 "process-prefix-len",
    MAX_CONNECTIONS = 3 "max-connections",
    SERVICES = 4 "services",
    CONNECTIONS = 5 "connections",
    DROPS = 6 "drops" in drops,
    PROCESS_PREFIX_IPV6 = 7 "process-prefix-ipv6",
    PROCESS_PREFIX_IPV6_LEN = 8 "process-prefix-ipv6-len",
});

/// Declares the operations: their numbers, names and attribute sets.
macro_rules! commands {
    ($($command:ident = $number:literal $name:literal of $set:ident,)*) => {
        /// An operation of the family, or an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Command {
            $($command = $number,)*
        }

        impl Command {
            /// All of them, in the specification's order.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$command,)*];

            /// The operation of a number, if there is one.
            pub(crate) fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$command),)*
                    _ => None,
                }
            }

            /// Its name in the specification.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$command => $name,)*
                }
            }

            /// The set that the operation's attributes are of.
            pub(crate) fn attribute_set(self) -> &'static AttributeSet {
                match self {
                    $(Self::$command => &$set::SET,)*
                }
            }
        }
    };
}

commands! {
    ServiceAdd = 1 "service-add" of service,
    ServiceDel = 2 "service-del" of service,
    ServiceGet = 3 "service-get" of service,
    ProcessAdd = 4 "process-add" of process,
    ProcessDel = 5 "process-del" of process,
    ProcessGet = 6 "process-get" of process,
    ConnectionAdd = 7 "connection-add" of connection,
    ConnectionDel = 8 "connection-del" of connection,
    ConnectionGet = 9 "connection-get" of connection,
    NetGet = 10 "net-get" of net,
    NetSet = 11 "net-set" of net,
    ServiceSet = 12 "service-set" of service,
    ProcessSet = 13 "process-set" of process,
    ServiceAddNtf = 14 "service-add-ntf" of service,
    ServiceSetNtf = 15 "service-set-ntf" of service,
    ServiceDelNtf = 16 "service-del-ntf" of service,
    ProcessAddNtf = 17 "process-add-ntf" of process,
    ProcessSetNtf = 18 "process-set-ntf" of process,
    ProcessDelNtf = 19 "process-del-ntf" of process,
    ProcessDrainedNtf = 20 "process-drained-ntf" of process,
    RefusedNtf = 21 "refused-ntf" of refused,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Owner, ProcessState, Refusal, RefusedReason, Scheduler, TcpState};
    use serde_norway::Value;

    const SPEC: &str = include_str!("../../../Documentation/netlink/specs/tcp_dispatch.yaml");

    fn spec() -> Value {
        // Anchors and merge keys are plain aliases here; the parser resolves them.
        serde_norway::from_str(SPEC).expect("the specification is YAML")
    }

    fn name(entry: &Value) -> &str {
        entry
            .as_str()
            .or_else(|| entry["name"].as_str())
            .expect("an entry has a name")
    }

    fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
        value[key].as_sequence().expect(key)
    }

    #[test]
    fn the_family_is_called_as_in_the_specification() {
        let spec = spec();
        assert_eq!(spec["name"].as_str(), Some(FAMILY_NAME));
        let version = spec["version"].as_u64().unwrap_or(1);
        assert_eq!(version, u64::from(FAMILY_VERSION));
    }

    #[test]
    fn every_attribute_has_the_specifications_number_and_name() {
        let ours = [
            &socket_address::SET,
            &stats::SET,
            &drops::SET,
            &service::SET,
            &process::SET,
            &connection::SET,
            &refused::SET,
            &net::SET,
        ];
        let spec = spec();
        let theirs = list(&spec, "attribute-sets");
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours.name, name(theirs));
            let attributes = list(theirs, "attributes");
            assert_eq!(ours.attributes.len(), attributes.len(), "{}", ours.name);
            let mut next = 1;
            for (attribute, spec) in ours.attributes.iter().zip(attributes) {
                let number = spec["value"].as_u64().unwrap_or(next);
                next = number + 1;
                assert_eq!(u64::from(attribute.kind), number, "{}", attribute.name);
                assert_eq!(attribute.name, name(spec));
                assert_eq!(
                    attribute.nested.map(|set| set.name),
                    spec["nested-attributes"].as_str(),
                    "{}",
                    attribute.name
                );
            }
        }
    }

    #[test]
    fn every_operation_has_the_specifications_number_name_and_attribute_set() {
        let spec = spec();
        assert_eq!(spec["operations"]["enum-model"].as_str(), Some("unified"));
        let theirs = list(&spec["operations"], "list");
        assert_eq!(Command::ALL.len(), theirs.len());
        let mut next = 1;
        for (command, entry) in Command::ALL.iter().zip(theirs) {
            let number = entry["value"].as_u64().unwrap_or(next);
            next = number + 1;
            assert_eq!(command.name(), name(entry));
            assert_eq!(*command as u64, number, "{}", command.name());
            assert_eq!(Command::from_number(*command as u8), Some(*command));
            // A notification's attributes are those of the reply that it names.
            let replied = entry["notify"].as_str();
            let described = theirs
                .iter()
                .find(|other| Some(name(other)) == replied)
                .unwrap_or(entry);
            assert_eq!(
                Some(command.attribute_set().name),
                described["attribute-set"].as_str()
            );
        }
    }

    #[test]
    fn the_group_of_events_is_called_as_in_the_specification() {
        let spec = spec();
        let groups = list(&spec["mcast-groups"], "list");
        assert_eq!(groups.len(), 1);
        assert_eq!(name(&groups[0]), EVENTS_GROUP);
    }

    /// Compares an enumeration with the specification's.
    fn compare<T>(known_as: &str, ours: &[T])
    where
        T: Copy + std::fmt::Debug + std::fmt::Display + PartialEq + From<u32> + Into<u32>,
    {
        let spec = spec();
        let theirs = list(&spec, "definitions")
            .iter()
            .find(|definition| name(definition) == known_as)
            .expect(known_as);
        let entries = list(theirs, "entries");
        assert_eq!(ours.len(), entries.len(), "{known_as}");
        for (number, (ours, entry)) in (0u32..).zip(ours.iter().zip(entries)) {
            assert_eq!(ours.to_string(), name(entry), "{known_as}");
            assert_eq!((*ours).into(), number, "{known_as}");
            assert_eq!(T::from(number), *ours, "{known_as}");
        }
    }

    #[test]
    fn every_enumeration_has_the_specifications_numbers_and_names() {
        compare("scheduler", Scheduler::ALL);
        compare("refusal", Refusal::ALL);
        compare("process-state", ProcessState::ALL);
        compare("owner", Owner::ALL);
        compare("refused", RefusedReason::ALL);
        compare("tcp-state", TcpState::ALL);
        let spec = spec();
        let enumerations = list(&spec, "definitions")
            .iter()
            .filter(|definition| definition["type"].as_str() == Some("enum"));
        assert_eq!(enumerations.count(), 6);
    }
}
