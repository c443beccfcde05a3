// SPDX-License-Identifier: GPL-2.0

//! What the parser takes, and what it refuses.

use super::*;

/// The results of a report as "path: outcome", and its problems.
fn parse_all(report: &str) -> (Vec<String>, Vec<String>) {
    let mut parser = Parser::default();
    let mut items: Vec<_> = report.lines().flat_map(|line| parser.line(line)).collect();
    items.extend(parser.end());
    let (mut results, mut problems) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Result(result) => {
                results.push(format!("{}: {:?}", result.path.join("/"), result.outcome))
            }
            Item::Problem(problem) => problems.push(problem),
        }
    }
    (results, problems)
}

#[test]
fn a_flat_report_is_its_results() {
    let (results, problems) = parse_all(
        "KTAP version 1\n1..3\nok 1 one\nnot ok 2 - two\nok 3 three # SKIP no IPv6 here\n",
    );
    assert_eq!(
        results,
        [
            "one: Passed",
            "two: Failed",
            "three: Skipped(\"no IPv6 here\")"
        ]
    );
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn subtests_count_and_their_parents_do_not() {
    let (results, problems) = parse_all(
        "KTAP version 1\n1..2\n  KTAP version 1\n  # Subtest: a\n  1..2\n  ok 1 x\n  not ok 2 y\nnot ok 1 a\nok 2 b\n",
    );
    assert_eq!(results, ["a/x: Passed", "a/y: Failed", "b: Passed"]);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn a_report_of_kunit_is_understood() {
    let (results, problems) = parse_all(
        "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: tuple\n    # module: tcp_dispatch\n    1..2\n    \
         ok 1 hash\n    ok 2 order # SKIP\n# tuple: pass:1 fail:0 skip:1 total:2\n# Totals: pass:1 fail:0 skip:1 total:2\n\
         ok 1 tuple\n",
    );
    assert_eq!(
        results,
        ["tuple/hash: Passed", "tuple/order: Skipped(\"\")"]
    );
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn a_parent_that_fails_by_itself_counts() {
    let (results, problems) = parse_all(
        "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: a\n  1..1\n  ok 1 x\nnot ok 1 a\n",
    );
    assert_eq!(results, ["a/x: Passed", "a: Failed"]);
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn diagnostics_belong_to_the_result_after_them() {
    let mut parser = Parser::default();
    for line in ["KTAP version 1", "1..2", "# why one failed", "#  indented"] {
        assert!(parser.line(line).is_empty());
    }
    let [Item::Result(one)] = &parser.line("not ok 1 one")[..] else {
        panic!("one result")
    };
    assert_eq!(one.diagnostics, ["why one failed", " indented"]);
    let [Item::Result(two)] = &parser.line("ok 2 two")[..] else {
        panic!("one result")
    };
    assert!(two.diagnostics.is_empty());
    assert!(parser.is_complete());
}

#[test]
fn a_report_that_breaks_its_word_is_a_problem() {
    for (why, report) in [
        ("nothing at all", ""),
        ("no version", "1..1\nok 1 one\n"),
        ("no plan", "KTAP version 1\nok 1 one\n"),
        ("two plans", "KTAP version 1\n1..1\n1..1\nok 1 one\n"),
        ("a plan at the end", "KTAP version 1\nok 1 one\n1..1\n"),
        ("a missing result", "KTAP version 1\n1..2\nok 1 one\n"),
        ("a surplus result", "KTAP version 1\n1..1\nok 1 one\nok 2 two\n"),
        ("a result twice", "KTAP version 1\n1..2\nok 1 one\nok 1 one\n"),
        ("a number left out", "KTAP version 1\n1..2\nok 1 one\nok 3 three\n"),
        ("a result without a number", "KTAP version 1\n1..1\nok one\n"),
        ("garbage", "KTAP version 1\n1..1\nsegmentation fault\nok 1 one\n"),
        ("a bail out", "KTAP version 1\n1..1\nBail out! no module\n"),
        ("a second report", "KTAP version 1\n1..1\nok 1 one\nKTAP version 1\n1..1\nok 1 one\n"),
        ("a subtest without its result", "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  ok 1 x\n"),
        ("a subtest that is cut", "KTAP version 1\n1..1\n  KTAP version 1\n  1..2\n  ok 1 x\nok 1 a\n"),
        (
            "another's result",
            "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: a\n  1..1\n  ok 1 x\nok 1 b\n",
        ),
        ("a parent that hides a failure", "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok 1 x\nok 1 a\n"),
        (
            "a level left out",
            "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n    KTAP version 1\n    1..1\n    ok 1 x\nok 1 a\n",
        ),
    ] {
        let (_, problems) = parse_all(report);
        assert!(!problems.is_empty(), "{why} goes unnoticed");
    }
}

#[test]
fn a_name_may_hold_a_hash() {
    let (results, problems) =
        parse_all("KTAP version 1\n1..2\nok 1 issue # 5 is closed\nok 2 a # b # SKIP c\n");
    assert_eq!(
        results,
        ["issue # 5 is closed: Passed", "a # b: Skipped(\"c\")"]
    );
    assert!(problems.is_empty(), "{problems:?}");
}
