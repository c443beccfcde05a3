// SPDX-License-Identifier: GPL-2.0

//! State of a connection's socket.

use serde::{Serialize, Serializer};
use std::fmt;

/// Declares the states from one list of names and numbers.
macro_rules! tcp_states {
    ($($(#[$doc:meta])* $state:ident = $number:literal $name:literal,)*) => {
        /// State of the socket that a process has for a connection, as in
        /// `include/net/tcp_states.h`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum TcpState {
            $($(#[$doc])* $state,)*
            /// A state that this crate has no name for.
            Other(u32),
        }

        impl From<u32> for TcpState {
            fn from(number: u32) -> Self {
                match number {
                    $($number => Self::$state,)*
                    other => Self::Other(other),
                }
            }
        }

        impl From<TcpState> for u32 {
            fn from(state: TcpState) -> u32 {
                match state {
                    $(TcpState::$state => $number,)*
                    TcpState::Other(other) => other,
                }
            }
        }

        impl fmt::Display for TcpState {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$state => f.pad($name),)*
                    Self::Other(other) => f.pad(&other.to_string()),
                }
            }
        }
    };
}

tcp_states! {
    /// The process has no socket of this connection.
    None = 0 "none",
    /// Both ends may send.
    Established = 1 "established",
    /// A SYN was sent.
    SynSent = 2 "syn-sent",
    /// A SYN came and was answered.
    SynRecv = 3 "syn-recv",
    /// The process closed; its FIN is not acknowledged.
    FinWait1 = 4 "fin-wait1",
    /// The process closed, the client has not yet.
    FinWait2 = 5 "fin-wait2",
    /// Both closed; late segments are awaited.
    TimeWait = 6 "time-wait",
    /// The socket is closed.
    Close = 7 "close",
    /// The client closed, the process has not yet.
    CloseWait = 8 "close-wait",
    /// Both closed, the client first; the process's FIN is not acknowledged.
    LastAck = 9 "last-ack",
    /// A listener.
    Listen = 10 "listen",
    /// Both closed at the same time.
    Closing = 11 "closing",
    /// The handshake is under way.
    NewSynRecv = 12 "new-syn-recv",
}

impl Serialize for TcpState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
