# SPDX-License-Identifier: GPL-2.0
"""What a kselftest's output says, and whether two sets of runs say the same."""

import collections
import dataclasses
import re

# "ok 3 tls.12_aes_gcm.sendfile", "not ok 2 - name # SKIP why"
_TAP = re.compile(r"\s*(?:# +)?(not ok|ok)\s+\d+\s*(?:-\s+)?(.*)")
_DIRECTIVE = re.compile(r"(.*?)#\s*(SKIP|XFAIL|TODO|FLAKY)\b.*", re.IGNORECASE)
# "TEST: Client, global address    [ OK ]"
_BRACKET = re.compile(r"\s*(?:TEST: )?(.*?)\s*\[\s*(OK|PASS|DONE|FAIL|SKIP|XFAIL)\s*\]\s*", re.IGNORECASE)
_COLOUR = re.compile(r"\033\[[0-9;]*m")

STATUS = "exit status"
# What kselftests exit with that could not run.
SKIPPED = 4
# What a shell and `env` exit with if there is no such program.
_NO_PROGRAM = (126, 127)
TIMEOUT = "timeout"


@dataclasses.dataclass
class Run:
    """One run: what came of each test in it."""

    status: int | str
    output: str
    seconds: float
    set_up: int  # how many namespaces of its own had services

    def __post_init__(self):
        self.outcomes = {STATUS: str(self.status), **dict(_tests(self.output))}

    @property
    def passed(self):
        """How many tests in it passed; the run counts as one that has no others."""
        if len(self.outcomes) == 1:
            return int(self.status == 0)
        return sum(outcome in ("ok", "pass", "done") for outcome in self.outcomes.values())

    @property
    def broken(self):
        """Why it proves nothing, if it could not run to its end."""
        if self.status == TIMEOUT:
            return "it did not end in time"
        if self.status in _NO_PROGRAM:
            return "there is no such program"
        if self.status == SKIPPED or not self.passed:
            return "nothing in it passed"
        return None


def _tests(output):
    """Yields (name, outcome) of each test.

    A name of several words may have counters and times in it, and counts without its numbers.
    """
    seen = collections.Counter()
    for line in _COLOUR.sub("", output).splitlines():
        if match := _TAP.fullmatch(line):
            outcome, name = match.groups()
            if directive := _DIRECTIVE.fullmatch(name):
                name, outcome = directive[1] or name, directive[2].lower()
            name = name.partition("# time=")[0]
        elif match := _BRACKET.fullmatch(line):
            name, outcome = match[1], match[2].lower()
        else:
            continue
        name = name.strip()
        if " " in name:
            # Where numbers are aligned, the spaces are of their length.
            name = re.sub(r"\s+", " ", re.sub(r"\d+", "N", name))
        seen[name] += 1
        yield f"{name} ({seen[name]})", outcome


def differences(without, within):
    """What the runs with the module gave that none without it did, or the other way round: a line each."""
    tests = {test for run in (*without, *within) for test in run.outcomes}
    for test in sorted(tests):
        sets = [sorted({run.outcomes.get(test, "missing") for run in runs}) for runs in (without, within)]
        if sets[0] != sets[1]:
            yield f"{test}: without the module {' or '.join(sets[0])}, with it {' or '.join(sets[1])}"


def new(without, within):
    """The differences that count after the last run: what happened only with the module."""
    tests = {test for run in (*without, *within) for test in run.outcomes}
    for test in sorted(tests):
        known = {run.outcomes.get(test, "missing") for run in without}
        for outcome in sorted({run.outcomes.get(test, "missing") for run in within} - known):
            yield f"{test}: {outcome} with the module, {' or '.join(sorted(known))} without it"
