// SPDX-License-Identifier: GPL-2.0

//! The results of KUnit, which the module's own tests leave on the kernel's console.

use super::ktap::{Item, Outcome, Parser, TestResult};

/// Finds the reports among the console's messages.
///
/// A module that is loaded again reports again; each test counts once, and a failure prevails.
pub fn reports<'a>(messages: impl Iterator<Item = &'a str>) -> Vec<Item> {
    let mut found = Vec::new();
    let mut parser: Option<Parser> = None;
    for message in messages {
        if message == "KTAP version 1" {
            // At the left edge it begins a report, and one before it was cut short if it is not whole.
            finish(parser.replace(Parser::default()), &mut found);
        }
        let Some(current) = &mut parser else { continue };
        if is_ktap(message) {
            for item in current.line(message) {
                add(item, &mut found);
            }
        }
        if current.is_complete() {
            finish(parser.take(), &mut found);
        }
    }
    finish(parser, &mut found);
    found
}

fn finish(parser: Option<Parser>, found: &mut Vec<Item>) {
    for item in parser.into_iter().flat_map(Parser::end) {
        add(item, found);
    }
}

fn add(item: Item, found: &mut Vec<Item>) {
    let same = |earlier: &&mut Item| match (&**earlier, &item) {
        (Item::Result(earlier), Item::Result(item)) => earlier.path == item.path,
        _ => false,
    };
    match found.iter_mut().find(same) {
        Some(earlier)
            if matches!(
                &item,
                Item::Result(TestResult {
                    outcome: Outcome::Failed,
                    ..
                })
            ) =>
        {
            *earlier = item
        }
        Some(_) => {}
        None => found.push(item),
    }
}

/// Whether a message is a report's: other messages of the kernel come between them.
fn is_ktap(message: &str) -> bool {
    let text = message.trim_start();
    ["KTAP version ", "1..", "# ", "ok ", "not ok ", "Bail out!"]
        .iter()
        .any(|start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str =
        "KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: tuple\n    1..2\n    ok 1 hash\n\
                          veth0: renamed\n    ok 2 order\nok 1 tuple\n";

    fn outcomes(console: &str) -> Vec<String> {
        reports(console.lines())
            .into_iter()
            .map(|item| match item {
                Item::Result(result) => format!("{}: {:?}", result.path.join("/"), result.outcome),
                Item::Problem(problem) => problem,
            })
            .collect()
    }

    #[test]
    fn reports_are_found_among_other_messages() {
        let console = format!("loading\nok 1 not a report\n{REPORT}device left\n");
        assert_eq!(
            outcomes(&console),
            ["tuple/hash: Passed", "tuple/order: Passed"]
        );
    }

    #[test]
    fn a_test_that_ran_twice_counts_once_and_its_failure_stays() {
        let again = REPORT
            .replace("ok 1 hash", "not ok 1 hash")
            .replace("ok 1 tuple", "not ok 1 tuple");
        for console in [format!("{REPORT}{again}"), format!("{again}{REPORT}")] {
            assert_eq!(
                outcomes(&console),
                ["tuple/hash: Failed", "tuple/order: Passed"]
            );
        }
    }

    #[test]
    fn a_report_that_is_cut_is_a_problem() {
        let cut = &REPORT[..REPORT.find("    ok 2").unwrap()];
        assert!(
            outcomes(cut)
                .iter()
                .any(|line| line.contains("only 1 of the 2 results")),
            "{:?}",
            outcomes(cut)
        );
    }
}
