// SPDX-License-Identifier: GPL-2.0

//! The numbers and names of `Documentation/netlink/specs/tcp_dispatch.yaml`.
//!
//! Written by hand, so that they read like the rest of the crate; the test at
//! the end holds every one of them against the specification.

/// Name that the family registers.
pub(crate) const FAMILY_NAME: &str = "tcp_dispatch";
/// Version of the family that this crate was written for.
pub(crate) const FAMILY_VERSION: u8 = 1;

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
});

attribute_set!(service "service" {
    SERVICE_ADDRESS = 1 "service-address" in socket_address,
    PROCESSES = 2 "processes",
    CONNECTIONS = 3 "connections",
    STATS = 4 "stats" in stats,
    DROPS = 5 "drops" in drops,
});

attribute_set!(process "process" {
    SERVICE_ADDRESS = 1 "service-address" in socket_address,
    PROCESS_ADDRESS = 2 "process-address" in socket_address,
    CONNECTIONS = 3 "connections",
    STATS = 4 "stats" in stats,
    DROPS = 5 "drops" in drops,
});

attribute_set!(connection "connection" {
    CLIENT_ADDRESS = 1 "client-address" in socket_address,
    SERVICE_ADDRESS = 2 "service-address" in socket_address,
    PROCESS_ADDRESS = 3 "process-address" in socket_address,
    STATE = 4 "state",
    AGE = 5 "age",
});

attribute_set!(net "net" {
    PROCESS_PREFIX = 1 "process-prefix",
    PROCESS_PREFIX_LEN = 2 "process-prefix-len",
    MAX_CONNECTIONS = 3 "max-connections",
    SERVICES = 4 "services",
    CONNECTIONS = 5 "connections",
    DROPS = 6 "drops" in drops,
});

/// An operation of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Command {
    ServiceAdd = 1,
    ServiceDel = 2,
    ServiceGet = 3,
    ProcessAdd = 4,
    ProcessDel = 5,
    ProcessGet = 6,
    ConnectionAdd = 7,
    ConnectionDel = 8,
    ConnectionGet = 9,
    NetGet = 10,
    NetSet = 11,
}

impl Command {
    /// The set that the operation's attributes are of.
    pub(crate) fn attribute_set(self) -> &'static AttributeSet {
        use Command::*;
        match self {
            ServiceAdd | ServiceDel | ServiceGet => &service::SET,
            ProcessAdd | ProcessDel | ProcessGet => &process::SET,
            ConnectionAdd | ConnectionDel | ConnectionGet => &connection::SET,
            NetGet | NetSet => &net::SET,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TcpState;
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
    fn every_operation_has_the_specifications_number_and_attribute_set() {
        use Command::*;
        let ours = [
            ("service-add", ServiceAdd),
            ("service-del", ServiceDel),
            ("service-get", ServiceGet),
            ("process-add", ProcessAdd),
            ("process-del", ProcessDel),
            ("process-get", ProcessGet),
            ("connection-add", ConnectionAdd),
            ("connection-del", ConnectionDel),
            ("connection-get", ConnectionGet),
            ("net-get", NetGet),
            ("net-set", NetSet),
        ];
        let spec = spec();
        assert_eq!(spec["operations"]["enum-model"].as_str(), Some("unified"));
        let theirs = list(&spec["operations"], "list");
        assert_eq!(ours.len(), theirs.len());
        let mut next = 1;
        for ((our_name, command), theirs) in ours.iter().zip(theirs) {
            let number = theirs["value"].as_u64().unwrap_or(next);
            next = number + 1;
            assert_eq!(*our_name, name(theirs));
            assert_eq!(*command as u64, number, "{our_name}");
            assert_eq!(
                Some(command.attribute_set().name),
                theirs["attribute-set"].as_str()
            );
        }
    }

    #[test]
    fn every_state_has_the_specifications_number_and_name() {
        let spec = spec();
        let states = &list(&spec, "definitions")[0];
        assert_eq!(name(states), "tcp-state");
        let entries = list(states, "entries");
        for (number, entry) in entries.iter().enumerate() {
            let state = TcpState::from(number as u32);
            assert_eq!(state.to_string(), name(entry));
            assert_eq!(u32::from(state), number as u32);
        }
        let beyond = TcpState::from(entries.len() as u32);
        assert_eq!(beyond, TcpState::Other(entries.len() as u32));
    }
}
