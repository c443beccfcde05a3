// SPDX-License-Identifier: GPL-2.0

//! New connections at a steady rate, each of which asks who serves it; and who answers.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{hint, thread};

use anyhow::{Context, Result};
use rustix::time::{clock_gettime, ClockId};
use serde::Serialize;

use crate::serve::listen;

const QUESTION: &[u8] = b"who\n";

/// How many connections may be open at a time. Those that wait for a repetition of their SYN must
/// not hold the others up.
const WORKERS: u64 = 64;

/// What came of one connection.
#[derive(Serialize)]
struct Attempt(f64, String);

/// Connects `rate` times a second, as far as the computer keeps up, until standard input ends, and
/// prints as JSON when each attempt began and who answered, or which error came of it.
pub fn load(address: SocketAddr, rate: f64, timeout: Duration) -> Result<()> {
    let (stop, next, begun) = (AtomicBool::new(false), AtomicU64::new(0), now());
    let attempts = thread::scope(|scope| {
        let work = || {
            let mut attempts = Vec::new();
            loop {
                let due = begun + next.fetch_add(1, Ordering::Relaxed) as f64 / rate;
                thread::sleep(Duration::from_secs_f64((due - now()).max(0.0)));
                if stop.load(Ordering::Relaxed) {
                    return attempts;
                }
                let start = now();
                attempts.push(Attempt(start, ask(address, timeout)));
            }
        };
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        let ended = io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
        let attempts: Vec<_> = workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a worker doesn't panic"))
            .collect();
        ended.map(|_| attempts)
    })
    .context("can't read standard input")?;
    println!("{}", serde_json::to_string(&attempts)?);
    Ok(())
}

/// Seconds since boot, as Python's `time.monotonic()` has them.
fn now() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Who answers, or the kind of the error.
fn ask(address: SocketAddr, timeout: Duration) -> String {
    let answer = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.write_all(QUESTION)?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        Ok(line)
    };
    match answer() {
        Ok(line) => line.split(' ').next().unwrap_or_default().to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// Tells each client that asks at `address` who answers, with `ballast` bytes of memory in use: a
/// process that is killed gives them back, page by page, before it closes its sockets.
pub fn answer(address: SocketAddr, ballast: usize) -> Result<()> {
    // SAFETY: Has no effect but on the size of pages. A kernel without huge ones refuses.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    hint::black_box(vec![1_u8; ballast].leak());
    let listener = listen(address, false).with_context(|| format!("can't listen at {address}"))?;
    println!("ready");
    loop {
        let (stream, client) = listener.accept().context("can't accept")?;
        let client = client.as_socket().context("a client without an address")?;
        let mut stream = TcpStream::from(stream);
        let mut question = [0; QUESTION.len()];
        // How a client's connection ends is the client's concern.
        let _ = stream
            .read_exact(&mut question)
            .and_then(|()| stream.write_all(format!("{address} {client}\n").as_bytes()));
    }
}
