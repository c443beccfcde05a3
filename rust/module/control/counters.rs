// SPDX-License-Identifier: GPL-2.0

//! Counters in messages.

use crate::{
    bindings::*,
    stats::{Drop, Drops, Stat, Stats},
    wrappers::genetlink::Message,
};
use kernel::prelude::*;

/// Puts `stats` into an attribute of type `attribute`.
pub(super) fn put_stats(message: &mut Message, attribute: u32, stats: &Stats) -> Result {
    message.nest(attribute, |message| {
        for (attribute, stat) in [
            (TCP_DISPATCH_A_STATS_CONNECTIONS, Stat::Connections),
            (TCP_DISPATCH_A_STATS_PACKETS_IN, Stat::PacketsIn),
            (TCP_DISPATCH_A_STATS_BYTES_IN, Stat::BytesIn),
            (TCP_DISPATCH_A_STATS_PACKETS_OUT, Stat::PacketsOut),
            (TCP_DISPATCH_A_STATS_BYTES_OUT, Stat::BytesOut),
        ] {
            message.put_uint(attribute, stats.sum(stat))?;
        }
        Ok(())
    })
}

/// Puts `drops` into an attribute of type `attribute`.
pub(super) fn put_drops(message: &mut Message, attribute: u32, drops: &Drops) -> Result {
    message.nest(attribute, |message| {
        for (attribute, reason) in [
            (TCP_DISPATCH_A_DROPS_NO_PROCESS, Drop::NoProcess),
            (TCP_DISPATCH_A_DROPS_CONNECTION_LIMIT, Drop::ConnectionLimit),
            (TCP_DISPATCH_A_DROPS_CONFLICT, Drop::Conflict),
            (TCP_DISPATCH_A_DROPS_NO_MEMORY, Drop::NoMemory),
            (TCP_DISPATCH_A_DROPS_OUTSIDE, Drop::Outside),
            (TCP_DISPATCH_A_DROPS_NO_CONNECTION, Drop::NoConnection),
            (TCP_DISPATCH_A_DROPS_SIGNED, Drop::Signed),
        ] {
            message.put_uint(attribute, drops.sum(reason))?;
        }
        Ok(())
    })
}
