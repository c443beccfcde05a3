// SPDX-License-Identifier: GPL-2.0

//! Checksum arithmetic, against the kernel's own and against a plain sum.

mod support;

use proptest::prelude::*;
use support::{double_word, families, ip, kernel, word, Family};
use tcp_dispatch_core::checksum::{
    pseudo_header, replace2, replace4, replace_by, replace_partial_by, Sum,
};
use tcp_dispatch_core::Address;

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
}

families! {
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_sum_of_an_address_is_that_of_its_bytes(ip in ip::<A>()) {
            prop_assert_eq!(u16::from_be_bytes(ip.sum().fold()), support::sum(&ip));
        }

        #[test]
        fn the_pseudo_header_is_summed_as_the_rfcs_draw_it(
            source in ip::<A>(),
            destination in ip::<A>(),
            len: u16,
        ) {
            let ours = pseudo_header(source, destination, u32::from(len)).fold();
            let drawn = [&source[..], &destination, &A::pseudo_header_end(len)].concat();
            prop_assert_eq!(u16::from_be_bytes(ours), support::sum(&drawn));
        }
    }
}
