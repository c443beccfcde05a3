// SPDX-License-Identifier: GPL-2.0

//! Checksum arithmetic, against the kernel's own and against a plain sum.

mod support;

use proptest::prelude::*;
use tcp_dispatch_core::checksum::{
    pseudo_header, replace2, replace4, replace_by, replace_partial_by, Sum,
};

/// `include/net/checksum.h` and `include/asm-generic/checksum.h`, line by line.
mod kernel {
    pub fn csum_add(csum: u32, addend: u32) -> u32 {
        let res = csum.wrapping_add(addend);
        res.wrapping_add(u32::from(res < addend))
    }

    pub fn csum_sub(csum: u32, addend: u32) -> u32 {
        csum_add(csum, !addend)
    }

    pub fn csum_fold(csum: u32) -> u16 {
        let mut sum = csum;
        sum = (sum & 0xffff) + (sum >> 16);
        sum = (sum & 0xffff) + (sum >> 16);
        !sum as u16
    }

    pub fn csum16_add(csum: u16, addend: u16) -> u16 {
        let res = csum.wrapping_add(addend);
        res.wrapping_add(u16::from(res < addend))
    }

    pub fn csum16_sub(csum: u16, addend: u16) -> u16 {
        csum16_add(csum, !addend)
    }

    pub fn csum_replace2(sum: u16, old: u16, new: u16) -> u16 {
        !csum16_add(csum16_sub(!sum, old), new)
    }

    pub fn csum_replace4(sum: u16, from: u32, to: u32) -> u16 {
        let tmp = csum_sub(!u32::from(sum), from);
        csum_fold(csum_add(tmp, to))
    }

    pub fn csum_replace_by_diff(sum: u16, diff: u32) -> u16 {
        csum_fold(csum_add(diff, !u32::from(sum)))
    }

    pub fn replace_partial(sum: u16, from: u32, to: u32) -> u16 {
        !csum_fold(csum_add(csum_sub(u32::from(sum), from), to))
    }
}

/// Any word, with the zeros and their neighbours more often.
fn word() -> impl Strategy<Value = u16> {
    prop_oneof![
        4 => any::<u16>(),
        4 => prop::sample::select(vec![0, 1, 0xfffe, 0xffff, 0x00ff, 0xff00]),
    ]
}

/// Any two words.
fn double_word() -> impl Strategy<Value = u32> {
    (word(), word()).prop_map(|(high, low)| u32::from(high) << 16 | u32::from(low))
}

/// Any sum from `from` to `to`.
fn difference(from: u32, to: u32) -> Sum {
    Sum::from_csum(to).sub(Sum::from_csum(from))
}

#[test]
fn the_example_of_rfc_1071_has_its_sum() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::ZERO.add_bytes(&bytes).fold(), [0xdd, 0xf2]);
}

#[test]
fn the_example_of_rfc_1624_has_its_checksum() {
    // The one that RFC 1141's arithmetic gets wrong: 0000 must come of it.
    let check = replace2([0xdd, 0x2f], [0x55, 0x55], [0x32, 0x85]);
    assert_eq!(check, [0x00, 0x00]);
}

#[test]
fn the_two_zeros_are_chosen_as_the_kernel_does() {
    let zeros = [0_u16, 0xffff];
    for check in zeros {
        for from in zeros {
            for to in zeros {
                let bytes = replace2(check.to_ne_bytes(), from.to_ne_bytes(), to.to_ne_bytes());
                let expected = kernel::csum_replace2(check, from, to);
                assert_eq!(
                    u16::from_ne_bytes(bytes),
                    expected,
                    "{check:x} {from:x} {to:x}"
                );
            }
        }
    }
    // Where they differ from each other: nothing but zeros is 0xffff for two
    // bytes, and never for four.
    assert_eq!(replace2([0xff; 2], [0xff; 2], [0; 2]), [0xff; 2]);
    assert_eq!(replace4([0xff; 2], [0xff; 4], [0; 4]), [0; 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn replacing_two_bytes_equals_the_kernels_result(
        check in word(),
        from in word(),
        to in word(),
    ) {
        let ours = replace2(check.to_ne_bytes(), from.to_ne_bytes(), to.to_ne_bytes());
        prop_assert_eq!(u16::from_ne_bytes(ours), kernel::csum_replace2(check, from, to));
    }

    #[test]
    fn replacing_four_bytes_equals_the_kernels_result(
        check in word(),
        from in double_word(),
        to in double_word(),
    ) {
        let ours = replace4(check.to_ne_bytes(), from.to_ne_bytes(), to.to_ne_bytes());
        prop_assert_eq!(u16::from_ne_bytes(ours), kernel::csum_replace4(check, from, to));
    }

    #[test]
    fn replacing_by_a_difference_equals_the_kernels_result(
        check in word(),
        diff in double_word(),
    ) {
        let ours = replace_by(check.to_ne_bytes(), Sum::from_csum(diff));
        prop_assert_eq!(u16::from_ne_bytes(ours), kernel::csum_replace_by_diff(check, diff));
    }

    #[test]
    fn replacing_in_a_pseudo_headers_sum_equals_the_kernels_result(
        check in word(),
        from in double_word(),
        to in double_word(),
    ) {
        // Both are 0 where nothing but zeros is added, which no pseudo-header
        // is: it has TCP's number in it.
        prop_assume!(check != 0);
        let ours = replace_partial_by(check.to_ne_bytes(), difference(from, to));
        prop_assert_eq!(u16::from_ne_bytes(ours), kernel::replace_partial(check, from, to));
    }

    #[test]
    fn one_step_for_address_and_port_equals_the_kernels_two(
        check in word(),
        address in (double_word(), double_word()),
        port in (word(), word()),
    ) {
        let (from, to) = (u32::from(port.0), u32::from(port.1));
        let both = difference(address.0, address.1).add(difference(from, to));
        let ours = replace_by(check.to_ne_bytes(), both);
        let first = kernel::csum_replace4(check, address.0, address.1);
        let second = kernel::csum_replace4(first, from, to);
        prop_assert_eq!(u16::from_ne_bytes(ours), second);
    }

    #[test]
    fn adding_and_folding_equal_the_kernels_results(one in double_word(), other in double_word()) {
        let sum = Sum::from_csum(one).add(Sum::from_csum(other));
        let expected = kernel::csum_add(one, other);
        prop_assert_eq!(sum.to_csum(), expected);
        prop_assert_eq!(u16::from_ne_bytes(sum.to_field()), kernel::csum_fold(expected));
    }

    #[test]
    fn the_sum_of_bytes_is_their_plain_sum(bytes: Vec<u8>) {
        let ours = Sum::ZERO.add_bytes(&bytes).fold();
        prop_assert_eq!(u16::from_be_bytes(ours), support::sum(&bytes));
    }

    #[test]
    fn the_sum_of_fields_is_the_sum_of_their_bytes(two: [u8; 2], four: [u8; 4]) {
        let ours = Sum::ZERO.add2(two).add4(four).fold();
        let bytes = [&two[..], &four].concat();
        prop_assert_eq!(u16::from_be_bytes(ours), support::sum(&bytes));
    }

    #[test]
    fn the_pseudo_header_is_summed_as_rfc_9293_draws_it(
        source: [u8; 4],
        destination: [u8; 4],
        len: u16,
    ) {
        let ours = pseudo_header(source, destination, u32::from(len)).fold();
        let drawn = [&source[..], &destination, &[0, 6], &len.to_be_bytes()].concat();
        prop_assert_eq!(u16::from_be_bytes(ours), support::sum(&drawn));
    }
}
