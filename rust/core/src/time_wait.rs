// SPDX-License-Identifier: GPL-2.0

//! SYNs that meet a connection in TIME_WAIT.

/// What a socket in TIME_WAIT remembers of its peer.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait {
    /// The sequence number that it expects next.
    pub rcv_nxt: u32,
    /// The peer's last timestamp, if it had any.
    pub ts_recent: Option<u32>,
}

impl TimeWait {
    /// Whether a SYN with this sequence number and timestamp begins a new connection. If not, it is a
    /// late copy, which TIME_WAIT answers. RFC 9293, section 3.6.1; RFC 6191; as
    /// `tcp_timewait_state_process()` in `net/ipv4/tcp_minisocks.c` decides it.
    pub fn is_over(&self, sequence: u32, timestamp: Option<u32>) -> bool {
        let signed = |difference: u32| difference as i32;
        // How much later than the last timestamp.
        let later = match (self.ts_recent, timestamp) {
            (Some(recent), Some(timestamp)) => Some(signed(timestamp.wrapping_sub(recent))),
            _ => None,
        };
        // PAWS, RFC 7323; TCP takes a last timestamp of zero for none here.
        let is_late = self.ts_recent != Some(0) && later.is_some_and(|later| later < 0);
        let is_ahead = signed(sequence.wrapping_sub(self.rcv_nxt)) > 0;
        !is_late && (is_ahead || later.is_some_and(|later| later > 0))
    }
}
