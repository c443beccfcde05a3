// SPDX-License-Identifier: GPL-2.0

//! State of a connection's socket.

use crate::names::names;

names! {
    /// State of the socket that a process has for a connection, as in
    /// `include/net/tcp_states.h`.
    TcpState "state" {
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
}
