// SPDX-License-Identifier: GPL-2.0

//! Rules of the routing policy.

use super::{wire, Rtnetlink, TABLE_LOCAL};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage};
use netlink_packet_route::{AddressFamily as Wire, RouteNetlinkMessage};
use nix::errno::Errno;
use std::fmt;
use tcp_dispatch_netlink::{AddressFamily, Error, Prefix};

/// A rule `from SOURCE lookup TABLE` that what this computer sends may go by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The family whose packets it is for.
    pub family: AddressFamily,
    /// When it is asked; lower first.
    pub priority: u32,
    /// The sources that it is for; none: all.
    pub source: Option<Prefix>,
    /// The table that it sends them to.
    pub table: u32,
    /// Who made it.
    pub protocol: RouteProtocol,
    /// Whether it is for a part of what these sources send: to some
    /// destinations, of some mark, …
    pub asks_more: bool,
}

impl Rule {
    /// Whether it may take packets whose source is of `range`.
    pub fn may_take(&self, range: Prefix) -> bool {
        self.family == range.family() && self.source.is_none_or(|source| source.overlaps(range))
    }

    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header = RuleHeader {
            family: wire(self.family),
            src_len: self.source.as_ref().map_or(0, Prefix::len),
            table: u8::try_from(self.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
            action: RuleAction::ToTable,
            ..RuleHeader::default()
        };
        message.attributes = vec![
            RuleAttribute::Priority(self.priority),
            RuleAttribute::Table(self.table),
            RuleAttribute::Protocol(self.protocol),
        ];
        let source = self.source.as_ref().map(Prefix::address);
        message.attributes.extend(source.map(RuleAttribute::Source));
        message
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "from {source} ")?,
            None => f.write_str("from all ")?,
        }
        if self.asks_more {
            f.write_str("… ")?;
        }
        match self.table {
            TABLE_LOCAL => f.write_str("lookup local"),
            table => write!(f, "lookup {table}"),
        }
    }
}

impl Rtnetlink {
    /// A family's rules that what this computer sends may go by. A family that
    /// the kernel doesn't have has none.
    pub fn rules(&mut self, family: AddressFamily) -> Result<Vec<Rule>, Error> {
        let rules = self.messages(wire(family))?;
        Ok(rules
            .into_iter()
            .filter_map(|message| read(family, message))
            .collect())
    }

    fn messages(&mut self, family: Wire) -> Result<Vec<RuleMessage>, Error> {
        let mut message = RuleMessage::default();
        message.header.family = family;
        let answer = match self.dump(RouteNetlinkMessage::GetRule(message)) {
            Err(error) if error.errno() == Some(Errno::EAFNOSUPPORT as i32) => {
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let rules = answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRule(message) => Some(message),
            _ => None,
        });
        Ok(rules.collect())
    }

    /// Adds a rule.
    pub fn add_rule(&mut self, rule: &Rule) -> Result<(), Error> {
        let request = RouteNetlinkMessage::NewRule(rule.message());
        self.request(request, NLM_F_CREATE | NLM_F_EXCL).map(|_| ())
    }

    /// Deletes a rule.
    pub fn del_rule(&mut self, rule: &Rule) -> Result<(), Error> {
        self.request(RouteNetlinkMessage::DelRule(rule.message()), 0)
            .map(|_| ())
    }
}

fn read(family: AddressFamily, message: RuleMessage) -> Option<Rule> {
    let header = message.header;
    if header.action != RuleAction::ToTable {
        return None;
    }
    let mut asks_more = header.dst_len != 0;
    let mut priority = 0;
    let mut source = None;
    let mut table = u32::from(header.table);
    let mut protocol = RouteProtocol::Unspec;
    for attribute in message.attributes {
        match attribute {
            RuleAttribute::Priority(number) => priority = number,
            RuleAttribute::Table(number) => table = number,
            RuleAttribute::Protocol(maker) => protocol = maker,
            RuleAttribute::Source(first) => {
                source = Some(Prefix::new(first, header.src_len).ok()?);
            }
            // What processes send is of the port's L3 domain at most.
            RuleAttribute::L3MDev(true) => return None,
            // Of what this computer sends itself, this is `lo`.
            RuleAttribute::Iifname(name) if name != "lo" => return None,
            RuleAttribute::Iifname(_)
            | RuleAttribute::Oifname(_)
            | RuleAttribute::FwMark(_)
            | RuleAttribute::UidRange(_)
            | RuleAttribute::IpProtocol(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_) => asks_more = true,
            // All ones: none.
            RuleAttribute::SuppressPrefixLen(length) if length != u32::MAX => asks_more = true,
            _ => {}
        }
    }
    Some(Rule {
        family,
        priority,
        source,
        table,
        protocol,
        asks_more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_that_the_kernel_does_not_have_has_no_rules() {
        let mut route = Rtnetlink::open().unwrap();
        // The kernel's DECnet is gone; before, it was seldom there.
        assert_eq!(route.messages(Wire::Decnet).unwrap(), []);
    }
}
