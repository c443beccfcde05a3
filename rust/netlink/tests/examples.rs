// SPDX-License-Identifier: GPL-2.0

//! What is promised of the examples, beyond that they compile.

#[test]
fn a_daemon_that_registers_itself_takes_60_lines_at_most() {
    let examples = [
        include_str!("../examples/echo.rs"),
        include_str!("../examples/echo_tokio.rs"),
    ];
    for example in examples {
        assert!(example.lines().count() <= 60);
    }
}
