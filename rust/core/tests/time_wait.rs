// SPDX-License-Identifier: GPL-2.0

//! SYNs that meet TIME_WAIT, against what the kernel's code says, written out beside.

use proptest::prelude::*;
use tcp_dispatch_core::time_wait::TimeWait;

/// `tcp_timewait_state_process()`, for a SYN, with `tcp_paws_reject()`.
fn kernel(rcv_nxt: u32, ts_recent: Option<u32>, sequence: u32, timestamp: Option<u32>) -> bool {
    let after = |a: u32, b: u32| (b.wrapping_sub(a) as i32) < 0;
    let saw_tstamp = ts_recent.is_some() && timestamp.is_some();
    let (recent, value) = (ts_recent.unwrap_or(0), timestamp.unwrap_or(0));
    let paws_reject = saw_tstamp && (recent.wrapping_sub(value) as i32) > 0 && recent != 0;
    !paws_reject
        && (after(sequence, rcv_nxt) || saw_tstamp && (recent.wrapping_sub(value) as i32) < 0)
}

/// A number, and one that is often near it.
fn pair() -> impl Strategy<Value = (u32, u32)> {
    let near = prop_oneof![-2..=2i32, any::<i32>()];
    (prop_oneof![Just(0), any::<u32>()], near).prop_map(|(a, by)| (a, a.wrapping_add_signed(by)))
}

proptest! {
    #[test]
    fn a_syn_is_judged_as_the_kernel_judges_it(
        (rcv_nxt, sequence) in pair(),
        (recent, value) in pair(),
        has_recent in any::<bool>(),
        has_value in any::<bool>(),
    ) {
        let ts_recent = has_recent.then_some(recent);
        let timestamp = has_value.then_some(value);
        prop_assume!(recent.wrapping_sub(value) != 1 << 31);
        prop_assume!(sequence.wrapping_sub(rcv_nxt) != 1 << 31);
        prop_assert_eq!(
            TimeWait { rcv_nxt, ts_recent }.is_over(sequence, timestamp),
            kernel(rcv_nxt, ts_recent, sequence, timestamp)
        );
    }
}

#[test]
fn a_late_copy_of_the_first_syn_begins_nothing() {
    let of = |ts_recent| TimeWait {
        rcv_nxt: 1002,
        ts_recent,
    };
    assert!(!of(None).is_over(1000, None));
    assert!(!of(Some(50)).is_over(1000, Some(40)));
    assert!(of(None).is_over(2000, None));
    assert!(of(Some(50)).is_over(1000, Some(60)));
    assert!(!of(Some(50)).is_over(2000, Some(40)));
}
