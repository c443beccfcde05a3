// SPDX-License-Identifier: GPL-2.0

//! The kernel's symbols, and whose code is at an address.

use std::cmp::Reverse;

use anyhow::{ensure, Context, Result};

/// How far a function may reach: what is farther from every symbol has none, like the code of a
/// module that is gone.
const REACH: u64 = 1 << 16;

/// Whose code is at an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Its name as people write it.
    pub name: String,
    /// The module that it is in, if it isn't the kernel's own.
    pub module: Option<String>,
}

/// What begins at an address.
struct Symbol {
    address: u64,
    is_code: bool,
    name: String,
    module: Option<String>,
}

/// The symbols of a kernel and its modules.
pub struct Symbols {
    /// By address, one for each.
    symbols: Vec<Symbol>,
}

impl Symbols {
    /// Reads the lines of a `/proc/kallsyms`.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut symbols = Vec::new();
        for line in lines {
            let symbol = symbol(line)
                .with_context(|| format!("the guest's list of symbols has a line `{line}`"))?;
            symbols.push(symbol);
        }
        ensure!(
            symbols.iter().any(|symbol| symbol.address != 0),
            "the guest's kernel tells no addresses of its symbols"
        );
        // The linker's own names for where a section begins or ends, and others of a function,
        // have more underscores before them than that by which it is known.
        symbols.sort_by_cached_key(|symbol| {
            let underscores = symbol.name.len() - symbol.name.trim_start_matches('_').len();
            let name = symbol.name.clone();
            (
                symbol.address,
                Reverse(symbol.is_code),
                underscores,
                name.len(),
                name,
            )
        });
        symbols.dedup_by_key(|symbol| symbol.address);
        Ok(Self { symbols })
    }

    /// The function at `address`: the last that begins there or before.
    pub fn function(&self, address: u64) -> Function {
        let plain = |name: &str| Function {
            name: name.into(),
            module: None,
        };
        // The upper half of the addresses is the kernel's.
        if address >> 63 == 0 {
            return plain("user space");
        }
        let next = self
            .symbols
            .partition_point(|symbol| symbol.address <= address);
        match self.symbols[..next].last() {
            Some(symbol) if symbol.is_code && address - symbol.address < REACH => Function {
                name: readable(&symbol.name),
                module: symbol.module.clone(),
            },
            _ => plain("code without a symbol"),
        }
    }
}

/// Reads `ADDRESS TYPE NAME` or, from a module, `ADDRESS TYPE NAME\t[MODULE]`.
fn symbol(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let is_code = matches!(words.next()?, "t" | "T" | "w" | "W");
    let name = words.next()?.into();
    let module = match words.next() {
        Some(module) => Some(module.strip_prefix('[')?.strip_suffix(']')?.into()),
        None => None,
    };
    Some(Symbol {
        address,
        is_code,
        name,
        module,
    })
}

/// A symbol's name without mangling, and without the mark of what the compiler puts before a
/// function.
fn readable(name: &str) -> String {
    let name = name.strip_prefix("__pfx_").unwrap_or(name);
    format!("{:#}", rustc_demangle::demangle(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\
ffffffff81000000 T _stext
ffffffff81000000 T startup_64
ffffffff81000100 t __pfx_ip_rcv
ffffffff81000110 T ip_rcv
ffffffff81000200 T __pi_memcpy
ffffffff81000200 W memcpy
ffffffff81000200 T __memcpy
ffffffff81000300 T _etext
ffffffff81000400 D init_task
ffffffffc0000000 t _RNvNtCs1234_12tcp_dispatch3nat7rewrite\t[tcp_dispatch]
ffffffffc0000080 d table\t[tcp_dispatch]";

    fn at(address: u64) -> Function {
        Symbols::parse(LIST.lines()).unwrap().function(address)
    }

    fn name(address: u64) -> String {
        at(address).name
    }

    #[test]
    fn a_function_reaches_from_its_symbol_to_the_next() {
        assert_eq!(name(0xffff_ffff_8100_0110), "ip_rcv");
        assert_eq!(name(0xffff_ffff_8100_01ff), "ip_rcv");
        assert_eq!(name(0xffff_ffff_8100_0200), "memcpy");
    }

    #[test]
    fn what_stands_before_a_function_belongs_to_it() {
        assert_eq!(name(0xffff_ffff_8100_0100), "ip_rcv");
        assert_eq!(name(0xffff_ffff_8100_00ff), "startup_64");
    }

    #[test]
    fn the_plainest_of_several_names_is_taken() {
        assert_eq!(name(0xffff_ffff_8100_0000), "startup_64");
        assert_eq!(name(0xffff_ffff_8100_02ff), "memcpy");
    }

    #[test]
    fn code_where_no_function_is_has_no_symbol() {
        assert_eq!(name(0xffff_ffff_80ff_ffff), "code without a symbol");
        assert_eq!(name(0xffff_ffff_8100_0400), "code without a symbol");
        assert_eq!(name(0xffff_ffff_c000_0080), "code without a symbol");
    }

    #[test]
    fn code_far_from_every_symbol_has_none() {
        let symbols = Symbols::parse(["ffffffffc0000000 t run\t[ipvs]"]).unwrap();
        assert_eq!(symbols.function(0xffff_ffff_c000_ffff).name, "run");
        assert_eq!(
            symbols.function(0xffff_ffff_c001_0000).name,
            "code without a symbol"
        );
    }

    #[test]
    fn the_lower_half_is_user_space() {
        assert_eq!(name(0), "user space");
        assert_eq!(name(0x7fff_ffff_ffff_ffff), "user space");
        assert_eq!(name(0x8000_0000_0000_0000), "code without a symbol");
    }

    #[test]
    fn a_modules_function_has_its_module_and_a_rust_name() {
        let function = at(0xffff_ffff_c000_007f);
        assert_eq!(function.name, "tcp_dispatch::nat::rewrite");
        assert_eq!(function.module.as_deref(), Some("tcp_dispatch"));
        assert_eq!(at(0xffff_ffff_8100_0110).module, None);
    }

    #[test]
    fn lines_that_are_no_symbols_are_refused() {
        assert!(Symbols::parse("ffffffff81000000 T".lines()).is_err());
        assert!(Symbols::parse("hello".lines()).is_err());
        assert!(Symbols::parse("ffffffffc0000000 t run tcp_dispatch".lines()).is_err());
    }

    #[test]
    fn hidden_addresses_are_an_error() {
        assert!(Symbols::parse("0000000000000000 T ip_rcv".lines()).is_err());
        assert!(Symbols::parse("".lines()).is_err());
    }
}
