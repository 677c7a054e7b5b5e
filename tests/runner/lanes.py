# SPDX-License-Identifier: Apache-2.0
"""pytest: a folder at once, or files side by side in lanes. Each lab has namespaces of its own, and most of a lab's time is
waiting; what must have the machine for itself bears the marker `quiet` and runs alone, afterwards."""
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

from .compiling import ROOT

NOTHING_COLLECTED = 5
LANES = 2
# Files that end last set the end: those that take longest begin first. Others by their size.
LONG_FILES = ["failure", "api", "live", "looking", "proxy", "weights", "page"]


def expression(quiet, is_long):
    """What pytest -m gets, in place of the choice in pytest.ini; None stands for either."""
    parts = ["quiet" if quiet else "not quiet"] if quiet is not None else []
    return " and ".join(parts + ["(long or not long)" if is_long else "not long"])


def in_order(files):
    def rank(name):
        stem = pathlib.Path(name).stem.removesuffix("_test")
        return (LONG_FILES.index(stem) if stem in LONG_FILES else len(LONG_FILES), -(ROOT / name).stat().st_size)
    return sorted(files, key=rank)


class Pytest:
    """Runs of pytest with the same choice of cases."""

    def __init__(self, results, pattern=None, is_long=False):
        self._results = results
        self._pattern = pattern
        self._long = is_long

    def run(self, places, quiet=None, shown=True):
        """One run, its cases counted. A run that fails without a failed case is a failure itself, and so is one without any
        case, unless a choice was made that may leave none. Returns what it said, if that was not shown."""
        marks = expression(quiet, self._long)
        with tempfile.TemporaryDirectory() as reports:
            report = pathlib.Path(reports) / "report.xml"
            command = [sys.executable, "-m", "pytest", "-v", "--durations=10", "-p", "no:cacheprovider", f"--junitxml={report}",
                       *(["-k", self._pattern] if self._pattern else []), "-m", marks, *places]
            done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, text=True,
                                  **({} if shown else {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}))
            has_failures = report.exists() and self._results.add_junit(report)
        may_be_none = quiet is not None or self._pattern
        if not has_failures and done.returncode not in ((0, NOTHING_COLLECTED) if may_be_none else (0,)):
            self._results.add("failed", f"pytest of {' '.join(map(str, places))} (exit code {done.returncode})")
        return done.stdout or ""

    def side_by_side(self, files, lanes=LANES):
        """The files' cases that may run beside others; what each file said is shown when it is through."""
        waiting = queue.SimpleQueue()
        for name in in_order(files):
            waiting.put(name)
        saying = threading.Lock()

        def lane():
            while True:
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                begun = time.monotonic()
                said = self.run([name], quiet=False, shown=False)
                self._results.took(time.monotonic() - begun, f"{name}, beside others")
                with saying:
                    print(said, flush=True)
        threads = [threading.Thread(target=lane) for _ in range(min(lanes, len(files)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
