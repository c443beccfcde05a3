# SPDX-License-Identifier: GPL-2.0
"""How a test says what must hold."""


class Failed(Exception):
    """Something that must hold does not."""


class Skip(Exception):
    """The test can't be had here; the text says why."""


def true(condition, what):
    """`condition` holds; `what` is printed if it doesn't."""
    if not condition:
        raise Failed(what)


def equal(got, want, what):
    """`got` is `want`; `what` names it."""
    if got != want:
        raise Failed(f"{what}: got {got!r}, want {want!r}")


def raises(error, function, *arguments):
    """`function` fails with `error`, which is returned."""
    try:
        got = function(*arguments)
    except error as caught:
        return caught
    raise Failed(f"{function.__name__}{arguments!r} gave {got!r} instead of failing with {error.__name__}")
