# SPDX-License-Identifier: GPL-2.0
"""Finds the tests and runs them: a process a file, and in it a process a test."""

import argparse
import dataclasses
import faulthandler
import importlib
import inspect
import json
import os
import pathlib
import re
import resource
import select
import signal
import sys
import tempfile
import traceback
import types
import warnings

from . import background, check, dispatch, ip, kernel_log, ktap, module, namespace, wait

_DIRECTORY = pathlib.Path(__file__).resolve().parent.parent
_LEFT = "nothing of this file is left, and the kernel did not complain"
_DEADLINE = 180


def test(function=None, *, deadline=_DEADLINE, only=None):
    """Marks a function as a test. Its name is the sentence that it proves; what it returns is shown with the result.

    `only` is the version of IP that it is about, where its file is for both.
    """
    if function is None:
        return lambda function: test(function, deadline=deadline, only=only)
    function.deadline = deadline * wait.SCALE
    function.title = function.__name__.replace("_", " ")
    function.versions = (only,) if only else ip.BOTH
    return function


@dataclasses.dataclass
class _Part:
    """A test file over one version of IP."""

    file: types.ModuleType
    version: ip.Version
    tests: list

    @property
    def name(self):
        """The file's name, and the version if it isn't IPv4."""
        return self.over(self.file.__name__)

    def over(self, name):
        """A name with the version, if it isn't IPv4."""
        return name if self.version is ip.IPV4 else f"{name} over {self.version}"

    def setup(self):
        """Sets the file's topology up. A file for both versions asks for the one."""
        return self.file.setup(self.version) if inspect.signature(self.file.setup).parameters else self.file.setup()


def _parts(pattern):
    """The test files with the tests that match; twice those that are for both versions of IP."""
    for path in sorted(_DIRECTORY.glob("test_*.py")):
        file = importlib.import_module(path.stem)
        tests = [value for value in vars(file).values() if hasattr(value, "deadline") and value.__module__ == path.stem]
        for version in ip.BOTH if inspect.signature(file.setup).parameters else (ip.IPV4,):
            part = _Part(file, version, [])
            for each in tests:
                if version in each.versions and re.search(pattern, f"{path.stem}: {part.over(each.title)}"):
                    part.tests.append(each)
            if part.tests:
                yield part


def main():
    """Runs what matches the argument; the exit status says whether all passed."""
    sys.path.insert(0, str(_DIRECTORY))
    parser = argparse.ArgumentParser(description="Runs the selftests of tcp_dispatch. Needs root.")
    parser.add_argument("pattern", nargs="?", default="", help="regular expression that `file: title` is to match")
    parser.add_argument("--list", action="store_true", help="name the tests, and run none")
    parser.add_argument(
        "--partition",
        type=_slice,
        default=slice(None),
        metavar="M/N",
        help="run the Mth of N shares of what matches; a file isn't split",
    )
    arguments = parser.parse_args()
    matching = list(_parts(arguments.pattern))
    parts = matching[arguments.partition]
    if arguments.list:
        for part in parts:
            for each in part.tests:
                print(f"{part.file.__name__}: {part.over(each.title)}")
        return 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 1 << 16),) * 2)
    # Threads of a test end in its daemons by fork, as they should.
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
    report = ktap.Ktap(len(parts))
    for part in parts:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            background.die_with_parent()
            os.setsid()
            os._exit(_run_part(part))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _kill_group(pid)
        if status > 1 or status < 0:
            report.diagnostic(f"the process of {part.name} ended with status {status}")
        (report.not_ok if status else report.ok)(part.name)
    return 1 if report.failed or not matching else 0


def _slice(share):
    """Every Nth from the Mth on, which gives each share about as much to do."""
    number, shares = map(int, share.split("/"))
    if not 1 <= number <= shares:
        raise ValueError
    return slice(number - 1, None, shares)


def _run_part(part):
    """Sets the file's topology up, runs its tests and tears it down. Returns an exit status."""
    report = ktap.Ktap(len(part.tests) + 1, 1, part.name)
    left, file = part.over(_LEFT), part.file.__name__
    since = kernel_log.mark()
    references = module.references()
    try:
        topology = _within(part.setup, _DEADLINE * wait.SCALE)
    except check.Skip as reason:
        for each in part.tests:
            report.skip(part.over(each.title), reason)
    except BaseException:
        report.diagnostic("the set-up of the file failed:\n" + _explain(file))
        for each in part.tests:
            report.not_ok(part.over(each.title))
    else:
        for each in part.tests:
            _run_test(report, each, part.over(each.title), topology)
            try:
                dispatch.reset_all()
            except Exception:
                report.diagnostic("services were left to the next test:\n" + _explain(file))
    try:
        _within(lambda: _tear_down(since, references), _DEADLINE * wait.SCALE)
        report.ok(left)
    except BaseException:
        report.diagnostic(_explain(file))
        report.not_ok(left)
    return 1 if report.failed else 0


def _tear_down(since, references):
    """Ends what the file started, and looks for what is left."""
    background.kill_all()
    namespace.delete_all()
    module.ensure_loaded()
    here = dispatch.Dispatch(None)
    check.equal(here.services(), {}, "services outside of the test's namespaces")
    check.equal(here.connections(), [], "connections outside of the test's namespaces")
    wait.until(lambda: module.references() == references, f"the module has {references} references again")
    complaints = kernel_log.complaints(since)
    check.true(not complaints, "the kernel's log has:\n" + "\n".join(complaints))


def _within(function, seconds):
    """Calls a function that may take so long and no longer."""

    def late(*_):
        raise check.Failed(f"not done within {seconds:.0f} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(int(seconds))
    try:
        return function()
    finally:
        signal.alarm(0)


def _run_test(report, each, title, topology):
    """Runs one test in a process of its own and reports it by its title."""
    sys.stdout.flush()
    output = tempfile.TemporaryFile("w+", errors="replace")
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        background.die_with_parent()
        os.setsid()
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        faulthandler.register(signal.SIGUSR1, file=2)
        os.write(sender, json.dumps(_outcome(each, topology)).encode())
        os._exit(0)
    os.close(sender)
    hung = not _ended(pid, each.deadline)
    if hung:
        os.kill(pid, signal.SIGUSR1)  # it writes where it hangs into its output
        _ended(pid, 2 * wait.SCALE)
    _kill_group(pid)
    os.waitpid(pid, 0)
    _wait_for_group(pid)
    outcome = {} if hung else json.loads(os.read(receiver, 1 << 16) or "{}")
    os.close(receiver)
    if outcome.get("result") == "ok":
        report.diagnostic(outcome["text"])
        report.ok(title)
    elif outcome.get("result") == "skip":
        report.skip(title, outcome["text"])
    else:
        died = f"killed: not done within {each.deadline:.0f} s" if hung else "its process died"
        report.diagnostic(outcome.get("text", died))
        output.seek(0)
        report.diagnostic("\n".join(output.read().splitlines()[-60:]))
        report.not_ok(title)
    output.close()


def _outcome(each, topology):
    """Calls the test."""
    try:
        return {"result": "ok", "text": each(topology) or ""}
    except check.Skip as reason:
        return {"result": "skip", "text": str(reason).replace("\n", " ")}
    except BaseException:
        return {"result": "failed", "text": _explain(each.__module__)[:8000]}


def _explain(file):
    """The exception that is being handled, with the lines of the test that led to it."""
    kind, error, trace = sys.exc_info()
    frames = [frame for frame in traceback.extract_tb(trace) if pathlib.Path(frame.filename).stem == file]
    where = [f"{file}.py:{frame.lineno}: {frame.line}" for frame in frames]
    if isinstance(error, check.Failed) and where:
        return "\n".join([*where, str(error)])
    return "".join(traceback.format_exception(kind, error, trace))


def _ended(pid, seconds):
    """Waits until a child has ended, but only so long."""
    process = os.pidfd_open(pid)
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


def _wait_for_group(leader):
    """Waits until what was killed has closed its files: it may have addresses that the next test needs."""

    def lives(process):
        try:
            # Behind the name, which may have anything in it: the state, the parent, the group.
            state, _, group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            return False
        return int(group) == leader and state not in "ZX"

    wait.until(
        lambda: not any(map(lives, pathlib.Path("/proc").glob("[0-9]*"))), "the processes that a test started end"
    )


def _kill_group(leader):
    """Kills a process and what it started."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass
