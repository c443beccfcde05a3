// SPDX-License-Identifier: GPL-2.0

//! The example `echo`, async.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use tcp_dispatch_netlink::{DrainEnd, Registration};
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{signal, SignalKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Err(error) = serve().await {
        eprintln!("echo_tokio: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn serve() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [service, process] = arguments.as_slice() else {
        return Err("usage: echo_tokio SERVICE PROCESS".into());
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(process).await?;
    let mut registration = Registration::of(&listener, service.parse()?).register()?;
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        }
    });

    terminate.recv().await;
    registration.drain(Some(Duration::from_secs(60)))?;
    match registration.wait_drained_async().await? {
        DrainEnd::Drained => Ok(()),
        other => Err(format!("the drain ended otherwise: {other:?}").into()),
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let (mut from, mut to) = stream.split();
    io::copy(&mut from, &mut to).await
}
