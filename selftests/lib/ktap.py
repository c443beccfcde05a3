# SPDX-License-Identifier: GPL-2.0
"""KTAP version 1, as Documentation/dev-tools/ktap.rst of the kernel has it."""

import sys


class Ktap:
    """One level of results: a plan, then a line a result."""

    def __init__(self, plan, depth=0, name=None):
        self._indent = "  " * depth
        self._number = 0
        self.failed = 0
        self._line("KTAP version 1")
        if name:
            self._line(f"# Subtest: {name}")
        self._line(f"1..{plan}")

    def _line(self, text):
        sys.stdout.write(f"{self._indent}{text}\n")
        sys.stdout.flush()

    def diagnostic(self, text):
        """Prints what explains the next result."""
        for line in text.rstrip().splitlines():
            self._line(f"# {line}")

    def ok(self, title):
        """The test passed."""
        self._number += 1
        self._line(f"ok {self._number} {title}")

    def not_ok(self, title):
        """The test failed."""
        self._number += 1
        self.failed += 1
        self._line(f"not ok {self._number} {title}")

    def skip(self, title, reason):
        """The test could not be had."""
        self._number += 1
        self._line(f"ok {self._number} {title} # SKIP {reason}")
