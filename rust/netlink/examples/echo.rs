// SPDX-License-Identifier: GPL-2.0

//! A daemon that registers itself: it echoes what clients of a service send.
//! At SIGTERM it takes no new connections, and ends when the last has ended.
//!
//! `echo SERVICE PROCESS`, as in `echo 192.0.2.1:7 10.77.0.1:7`

use signal_hook::{consts::SIGTERM, iterator::Signals};
use std::error::Error;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use tcp_dispatch_netlink::{DrainEnd, Registration};

fn main() -> ExitCode {
    if let Err(error) = serve() {
        eprintln!("echo: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn serve() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [service, process] = arguments.as_slice() else {
        return Err("usage: echo SERVICE PROCESS".into());
    };
    let mut signals = Signals::new([SIGTERM])?;
    let listener = TcpListener::bind(process)?;
    let mut registration = Registration::of(&listener, service.parse()?).register()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(&stream));
        }
    });

    signals.forever().next();
    registration.drain(Some(Duration::from_secs(60)))?;
    match registration.wait_drained(None)? {
        DrainEnd::Drained => Ok(()),
        other => Err(format!("the drain ended otherwise: {other:?}").into()),
    }
}

fn echo(stream: &TcpStream) -> io::Result<u64> {
    let (mut from, mut to) = (stream, stream);
    io::copy(&mut from, &mut to)
}
