// SPDX-License-Identifier: GPL-2.0

//! Measuring.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

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

/// How operations are measured.
pub struct Batches {
    /// How many numbers there are.
    pub number: u32,
    /// How many operations make one of them.
    pub operations: u32,
    /// How long it sleeps before each.
    pub pause: Duration,
    /// A daemon that it exchanges a byte with before each.
    pub meanwhile: Option<SocketAddr>,
    /// Whether it waits to be told when to begin.
    pub wait: bool,
}

/// Measures operations with the daemon at `address`, and prints what it counted.
pub fn measure(address: SocketAddr, operation: Operation, how: Batches) -> Result<()> {
    let Batches {
        number,
        operations,
        pause,
        meanwhile,
        wait,
    } = how;
    let what = || format!("{address} doesn't serve");
    let mut doer = Doer::new(operation, address).with_context(what)?;
    let mut other = meanwhile
        .map(|address| Doer::new(Operation::RoundTrip, address))
        .transpose()
        .context("the daemon meanwhile doesn't serve")?;
    let mut batch = || -> Result<f64> {
        if let Some(other) = &mut other {
            other.once().context("the daemon meanwhile doesn't serve")?;
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
        let begun = now();
        for _ in 0..operations {
            doer.once().with_context(what)?;
        }
        Ok((now() - begun) as f64 / f64::from(operations))
    };
    // Caches of routes, windows of congestion control and the like are as they stay.
    batch()?;
    if wait {
        println!("ready");
        io::stdin().read_line(&mut String::new())?;
        // Its processor has been elsewhere.
        batch()?;
    }
    marker::begin();
    let measured: Result<Vec<_>> = (0..number).map(|_| batch()).collect();
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
