// SPDX-License-Identifier: GPL-2.0

//! Which instructions access memory as one with reading it: those that locks, references and
//! other shared state are made of.

/// Whether the instruction of these bytes is such: one with a `lock` prefix, or an `xchg` with
/// memory, which needs none.
pub fn is_atomic(bytes: &[u8]) -> bool {
    let is_prefix = |byte: &u8| {
        matches!(
            byte,
            // lock, repetition, segments, and the sizes of operands and addresses
            0xf0 | 0xf2 | 0xf3 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0x40..=0x4f
        )
    };
    let prefixes = bytes.iter().take_while(|byte| is_prefix(byte)).count();
    let (prefixes, rest) = bytes.split_at(prefixes);
    let is_xchg = match *rest {
        [0x86 | 0x87, modrm, ..] => modrm >> 6 != 3,
        _ => false,
    };
    is_xchg || prefixes.contains(&0xf0)
}

#[cfg(test)]
mod tests {
    use super::is_atomic;

    #[test]
    fn what_has_a_lock_prefix_is_atomic() {
        // lock xadd %eax,(%rdi); lock incl %gs:(%rax); lock cmpxchg %rdx,(%rdi)
        assert!(is_atomic(&[0xf0, 0x0f, 0xc1, 0x07]));
        assert!(is_atomic(&[0x65, 0xf0, 0xff, 0x00]));
        assert!(is_atomic(&[0xf0, 0x48, 0x0f, 0xb1, 0x17]));
    }

    #[test]
    fn an_exchange_with_memory_is_atomic_and_one_of_registers_is_not() {
        // xchg %rax,(%rdi); xchg %rax,%rdi
        assert!(is_atomic(&[0x48, 0x87, 0x07]));
        assert!(!is_atomic(&[0x48, 0x87, 0xc7]));
    }

    #[test]
    fn what_only_has_such_a_byte_is_not() {
        // mov $0xf0,%al; add %gs:(%rax),%eax; cmpxchg %rdx,%gs:(%rdi)
        assert!(!is_atomic(&[0xb0, 0xf0]));
        assert!(!is_atomic(&[0x65, 0x03, 0x00]));
        assert!(!is_atomic(&[0x65, 0x48, 0x0f, 0xb1, 0x17]));
        assert!(!is_atomic(&[]));
    }
}
