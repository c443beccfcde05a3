// SPDX-License-Identifier: GPL-2.0

//! Measuring.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use rustix::time::{clock_gettime, ClockId};
use serde::Serialize;

use crate::marker;
use crate::operation::{Doer, Operation};

/// What a measurement prints. Under `-icount` with a nanosecond an instruction, nanoseconds of the
/// clock are instructions.
#[derive(Serialize)]
struct Measurement {
    /// How many operations the profiler's window holds.
    operations: u32,
    /// Of one operation, the median of the batches.
    instructions: f64,
    /// Of one operation in each batch, ascending.
    batches: Vec<f64>,
}

/// Measures `batches` times what `operations` operations take, and prints it.
pub fn measure(
    address: SocketAddr,
    operation: Operation,
    operations: u32,
    batches: u32,
) -> Result<()> {
    let what = || format!("{address} doesn't serve");
    let mut doer = Doer::new(operation, address).with_context(what)?;
    let mut batch = || -> Result<f64> {
        let begun = now();
        for _ in 0..operations {
            doer.once().with_context(what)?;
        }
        Ok((now() - begun) as f64 / f64::from(operations))
    };
    // Caches of routes, windows of congestion control and the like are as they stay.
    batch()?;
    marker::begin();
    let measured: Result<Vec<_>> = (0..batches).map(|_| batch()).collect();
    marker::end();
    let mut batches = measured?;
    batches.sort_by(f64::total_cmp);
    let measurement = Measurement {
        operations: operations * batches.len() as u32,
        instructions: batches[batches.len() / 2],
        batches,
    };
    println!("{}", serde_json::to_string(&measurement)?);
    Ok(())
}

fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
