// SPDX-License-Identifier: GPL-2.0

//! KTAP version 1 (Documentation/dev-tools/ktap.rst), taken strictly.
//!
//! A report that breaks its word has failed, whatever its results say: a plan that isn't met, a
//! result that is missing or comes twice, a line that is no KTAP.

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It did not run, and why.
    Skipped(String),
}

/// A test's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestResult {
    /// The tests that it is part of, outermost first, and its own name.
    pub path: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// What was said about it before its result.
    pub diagnostics: Vec<String>,
}

/// Something that a line of a report makes known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A test's result.
    Result(TestResult),
    /// The report is not what it should be.
    Problem(String),
}

/// A report, taken a line at a time.
#[derive(Default)]
pub struct Parser {
    /// The tests that are being reported, outermost first.
    levels: Vec<Level>,
    items: Vec<Item>,
}

/// The results at one depth.
struct Level {
    indent: usize,
    name: Option<String>,
    plan: Option<usize>,
    done: usize,
    /// Whether any of its results is a failure.
    failed: bool,
    diagnostics: Vec<String>,
}

/// What a line without its indentation is.
enum Line<'a> {
    Version,
    Plan(usize),
    Diagnostic(&'a str),
    Result {
        passed: bool,
        number: usize,
        name: &'a str,
        directive: Option<(&'a str, &'a str)>,
    },
    Other,
}

impl Parser {
    /// Takes a line and returns what it makes known.
    pub fn line(&mut self, line: &str) -> Vec<Item> {
        let text = line.trim_start_matches(' ');
        let indent = line.len() - text.len();
        let text = text.trim_end();
        if !text.is_empty() {
            self.text(indent, text);
        }
        std::mem::take(&mut self.items)
    }

    /// Ends the report and returns what that makes known.
    pub fn end(mut self) -> Vec<Item> {
        if self.levels.is_empty() {
            self.problem("there is no report: `KTAP version 1` is missing".into());
        }
        self.close_to(0);
        if let Some(level) = self.levels.pop() {
            self.check(&level);
        }
        self.items
    }

    /// Whether all that was planned has come.
    pub fn is_complete(&self) -> bool {
        matches!(&self.levels[..], [root] if root.plan == Some(root.done))
    }

    fn text(&mut self, indent: usize, text: &str) {
        match (parse(text), self.levels.last().map(|level| level.indent)) {
            (Line::Version, None) if indent == 0 => self.open(indent),
            (Line::Version, Some(last)) if indent > last => self.open(indent),
            // KUnit of old kernels begins a subtest so.
            (Line::Diagnostic(note), Some(last))
                if indent > last && note.starts_with("Subtest: ") =>
            {
                self.open(indent);
                self.diagnostic(indent, note);
            }
            (Line::Diagnostic(note), Some(_)) => self.diagnostic(indent, note),
            (Line::Plan(count), Some(last)) if indent == last => self.plan(count),
            (
                Line::Result {
                    passed,
                    number,
                    name,
                    directive,
                },
                Some(_),
            ) if self.levels.iter().any(|level| level.indent == indent) => {
                self.result(indent, passed, number, name, directive);
            }
            _ => self.problem(format!("this line is no KTAP, or not at its place: {text}")),
        }
    }

    fn open(&mut self, indent: usize) {
        self.levels.push(Level {
            indent,
            name: None,
            plan: None,
            done: 0,
            failed: false,
            diagnostics: Vec::new(),
        });
    }

    fn diagnostic(&mut self, indent: usize, note: &str) {
        // It belongs to the results at its indentation; one that fits nowhere to the outermost.
        let at = self
            .levels
            .iter()
            .rposition(|level| level.indent <= indent)
            .unwrap_or(0);
        let level = &mut self.levels[at];
        match note.strip_prefix("Subtest: ") {
            Some(name) if level.done == 0 && level.plan.is_none() => {
                level.name = Some(name.to_owned())
            }
            _ => level.diagnostics.push(note.to_owned()),
        }
    }

    fn plan(&mut self, count: usize) {
        let Some(level) = self.levels.last_mut() else {
            return;
        };
        match (level.plan, level.done) {
            (None, 0) => level.plan = Some(count),
            (None, _) => self.problem("the plan comes after results".into()),
            (Some(_), _) => self.problem("there are two plans".into()),
        }
    }

    fn result(
        &mut self,
        indent: usize,
        passed: bool,
        number: usize,
        name: &str,
        directive: Option<(&str, &str)>,
    ) {
        let depth = self
            .levels
            .iter()
            .position(|level| level.indent == indent)
            .unwrap_or(0);
        self.close_to(depth + 1);
        let subtests = (self.levels.len() > depth + 1)
            .then(|| self.levels.pop())
            .flatten();
        let level = &mut self.levels[depth];
        level.done += 1;
        let (expected, plan) = (level.done, level.plan);
        let diagnostics = std::mem::take(&mut level.diagnostics);
        if number != expected {
            self.problem(format!(
                "result {number} comes where result {expected} should: {name}"
            ));
        } else if plan.is_some_and(|plan| number > plan) {
            self.problem(format!(
                "there are more results than the {} planned: {name}",
                plan.unwrap_or_default()
            ));
        }

        let outcome = match (directive, passed) {
            (Some(("SKIP", reason)), _) => Outcome::Skipped(reason.to_owned()),
            (Some((kind @ ("TODO" | "XFAIL"), reason)), _) => {
                Outcome::Skipped(format!("{kind} {reason}"))
            }
            (_, true) => Outcome::Passed,
            (_, false) => Outcome::Failed,
        };
        let mut path: Vec<_> = self
            .levels
            .iter()
            .filter_map(|level| level.name.clone())
            .collect();
        path.push(name.to_owned());
        match subtests {
            None => {}
            Some(subtests) => {
                self.check(&subtests);
                if subtests.name.as_ref().is_some_and(|inside| inside != name) {
                    let inside = subtests.name.unwrap_or_default();
                    self.problem(format!(
                        "the subtests of `{inside}` are followed by the result of `{name}`"
                    ));
                }
                match (&outcome, subtests.failed) {
                    // Its parts were counted.
                    (Outcome::Passed, false) | (Outcome::Failed, true) if subtests.done > 0 => {
                        self.levels[depth].failed |= subtests.failed;
                        return;
                    }
                    (Outcome::Passed, true) => {
                        self.problem(format!("`{name}` is ok though a part of it is not"))
                    }
                    _ => {}
                }
            }
        }
        self.levels[depth].failed |= outcome == Outcome::Failed;
        self.items.push(Item::Result(TestResult {
            path,
            outcome,
            diagnostics,
        }));
    }

    /// Closes what is nested deeper than a level's subtests; each should have had its result.
    fn close_to(&mut self, depth: usize) {
        while self.levels.len() > depth + 1 {
            if let Some(level) = self.levels.pop() {
                self.check(&level);
                let name = level.name.unwrap_or_else(|| "subtests".into());
                self.problem(format!("the result of `{name}` is missing"));
            }
        }
    }

    /// Checks that a level kept to its plan.
    fn check(&mut self, level: &Level) {
        let of = level
            .name
            .as_ref()
            .map_or_else(String::new, |name| format!(" of `{name}`"));
        match level.plan {
            None => self.problem(format!("the plan{of} is missing")),
            Some(plan) if level.done < plan => {
                let last = level.diagnostics.join("\n");
                self.problem(
                    format!("only {} of the {plan} results{of} came\n{last}", level.done)
                        .trim_end()
                        .into(),
                );
            }
            Some(_) => {}
        }
    }

    fn problem(&mut self, text: String) {
        self.items.push(Item::Problem(text));
    }
}

fn parse(text: &str) -> Line<'_> {
    if text == "KTAP version 1" {
        return Line::Version;
    }
    if let Some(note) = text.strip_prefix('#') {
        return Line::Diagnostic(note.strip_prefix(' ').unwrap_or(note));
    }
    if let Some(count) = text.strip_prefix("1..") {
        // A plan of nothing may say why.
        let count = count.split_once(" # ").map_or(count, |(count, _)| count);
        return count.parse().map_or(Line::Other, Line::Plan);
    }
    let (passed, rest) = match (text.strip_prefix("ok "), text.strip_prefix("not ok ")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Line::Other,
    };
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let Ok(number) = number.parse() else {
        return Line::Other;
    };
    let (name, directive) = directive(rest.strip_prefix("- ").unwrap_or(rest));
    Line::Result {
        passed,
        number,
        name,
        directive,
    }
}

/// Splits a name from the directive after it.
fn directive(text: &str) -> (&str, Option<(&str, &str)>) {
    let at = match text.rfind(" # ") {
        Some(at) => (text[..at].trim_end(), &text[at + 3..]),
        None => match text.strip_prefix("# ") {
            Some(rest) => ("", rest),
            None => return (text, None),
        },
    };
    let (word, reason) = at.1.split_once(' ').unwrap_or((at.1, ""));
    match word {
        "SKIP" | "TODO" | "XFAIL" | "TIMEOUT" | "ERROR" => (at.0, Some((word, reason))),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests;
