// SPDX-License-Identifier: GPL-2.0

//! Rules of the routing policy.

use super::Rtnetlink;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleHeader, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tcp_dispatch_netlink::{Error, Prefix};

/// A rule `from SOURCE lookup TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When it is asked; lower first.
    pub priority: u32,
    /// The sources that it is for.
    pub source: Prefix,
    /// The table that it sends them to.
    pub table: u32,
    /// Who made it.
    pub protocol: RouteProtocol,
}

impl Rule {
    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header = RuleHeader {
            family: AddressFamily::Inet,
            src_len: self.source.len(),
            table: u8::try_from(self.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC),
            action: RuleAction::ToTable,
            ..RuleHeader::default()
        };
        message.attributes = vec![
            RuleAttribute::Source(self.source.address()),
            RuleAttribute::Priority(self.priority),
            RuleAttribute::Table(self.table),
            RuleAttribute::Protocol(self.protocol),
        ];
        message
    }
}

impl Rtnetlink {
    /// All rules that look at the source alone.
    pub fn rules(&mut self) -> Result<Vec<Rule>, Error> {
        let mut message = RuleMessage::default();
        message.header.family = AddressFamily::Inet;
        let answer = self.dump(RouteNetlinkMessage::GetRule(message))?;
        let rules = answer.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRule(message) => read(message),
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

fn read(message: RuleMessage) -> Option<Rule> {
    let header = message.header;
    if header.action != RuleAction::ToTable || header.dst_len != 0 {
        return None;
    }
    let mut rule = Rule {
        priority: 0,
        source: Prefix::new([0, 0, 0, 0].into(), 1).ok()?,
        table: u32::from(header.table),
        protocol: RouteProtocol::Unspec,
    };
    let mut source = None;
    for attribute in message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = priority,
            RuleAttribute::Table(table) => rule.table = table,
            RuleAttribute::Protocol(protocol) => rule.protocol = protocol,
            RuleAttribute::Source(first) => {
                source = Prefix::new(first, header.src_len).ok();
            }
            // A rule that asks for more does not get all that the range sends.
            RuleAttribute::Iifname(_)
            | RuleAttribute::Oifname(_)
            | RuleAttribute::FwMark(_)
            | RuleAttribute::UidRange(_)
            | RuleAttribute::IpProtocol(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_) => return None,
            _ => {}
        }
    }
    Some(Rule {
        source: source?,
        ..rule
    })
}
