// SPDX-License-Identifier: GPL-2.0

//! Bytes on their way between this program and the guest.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// The key that ends the VM from within an interactive shell, as in telnet: Ctrl-].
const ESCAPE: u8 = 0x1d;

/// Where the command's output goes.
pub type Sink = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// A sink that writes to `to` and keeps nothing back.
pub fn sink(mut to: impl Write + Send + 'static) -> Sink {
    Box::new(move |bytes| {
        to.write_all(bytes)?;
        to.flush()
    })
}

/// What a sink was given.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// A sink that keeps everything here.
    pub fn sink(&self) -> Sink {
        let Self(kept) = self.clone();
        Box::new(move |bytes| {
            kept.lock()
                .expect("no thread panics while it holds this")
                .extend_from_slice(bytes);
            Ok(())
        })
    }

    /// All of it, once there is no more to come.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().expect("no thread panicked"))
    }
}

/// Passes what comes on to `sink`, up to `mark`. Says whether that came.
///
/// The guest ends the command's output with it: a stream that just ends has lost something.
pub fn output(mut from: impl Read, mark: &[u8], sink: &mut Sink) -> io::Result<bool> {
    let mut held = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // QEMU is gone, and closed the other end with something unread in it.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        if length == 0 {
            sink(&held)?;
            return Ok(false);
        }
        held.extend_from_slice(&buffer[..length]);
        if let Some(at) = held.windows(mark.len()).position(|window| window == mark) {
            sink(&held[..at])?;
            return Ok(true);
        }
        // Only what may be the mark's beginning waits for more.
        let kept = (1..mark.len())
            .rev()
            .find(|&length| held.ends_with(&mark[..length]))
            .unwrap_or(0);
        let passed = held.len() - kept;
        sink(&held[..passed])?;
        held.drain(..passed);
    }
}

/// Passes `from` on to the guest. Says whether the key for ending the VM was pressed.
pub fn input(mut from: impl Read, to: &UnixStream, escapes: bool) -> io::Result<bool> {
    let mut to = to;
    let mut buffer = vec![0; 1 << 12];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if length == 0 {
            // Only this half: QEMU takes a socket that is closed altogether for an error, and
            // drops what it has not read yet.
            to.shutdown(Shutdown::Write)?;
            return Ok(false);
        }
        if escapes && buffer[..length].contains(&ESCAPE) {
            return Ok(true);
        }
        to.write_all(&buffer[..length])?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Gives its pieces one a read.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    fn pass(pieces: &[&'static [u8]]) -> (Vec<u8>, bool) {
        let (to, from) = mpsc::channel();
        let mut sink: Sink =
            Box::new(move |bytes| to.send(bytes.to_vec()).map_err(io::Error::other));
        let whole = output(Pieces(pieces.to_vec()), b"<end>", &mut sink).unwrap();
        drop(sink);
        (from.iter().flatten().collect(), whole)
    }

    #[test]
    fn output_ends_with_the_mark_wherever_it_is_cut() {
        assert_eq!(pass(&[b"hello<end>"]), (b"hello".to_vec(), true));
        assert_eq!(
            pass(&[b"hel", b"lo<e", b"n", b"d>"]),
            (b"hello".to_vec(), true)
        );
        assert_eq!(pass(&[b"<", b"end", b">"]), (b"".to_vec(), true));
    }

    #[test]
    fn what_only_looks_like_the_mark_is_passed_on() {
        assert_eq!(pass(&[b"<en", b"<end>"]), (b"<en".to_vec(), true));
        assert_eq!(pass(&[b"a<e", b"b<end>"]), (b"a<eb".to_vec(), true));
    }

    #[test]
    fn output_without_the_mark_is_passed_on_and_known_to_be_cut() {
        assert_eq!(pass(&[b"hello<e"]), (b"hello<e".to_vec(), false));
    }
}
