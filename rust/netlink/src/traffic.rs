// SPDX-License-Identifier: GPL-2.0

//! What services and processes count alike.

use crate::attribute::{uint, Received};
use crate::{Drops, Stats};
use netlink_packet_core::DecodeError;
use serde::Serialize;

/// What a service or a process has and had to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Traffic {
    /// How many connections the connection table holds.
    pub connections: u64,
    /// What went through.
    pub stats: Stats,
    /// What was refused or dropped.
    pub drops: Drops,
}

/// Numbers of the attributes in a set that has them.
pub(crate) struct Kinds {
    pub(crate) connections: u16,
    pub(crate) stats: u16,
    pub(crate) drops: u16,
}

impl Traffic {
    /// Takes the attribute, if it is one of the three.
    pub(crate) fn take(
        &mut self,
        attribute: &Received<'_>,
        kinds: &Kinds,
    ) -> Result<(), DecodeError> {
        let kind = attribute.kind();
        if kind == kinds.connections {
            self.connections = uint(attribute)?;
        } else if kind == kinds.stats {
            self.stats = Stats::decode(attribute.value())?;
        } else if kind == kinds.drops {
            self.drops = Drops::decode(attribute.value())?;
        }
        Ok(())
    }
}
