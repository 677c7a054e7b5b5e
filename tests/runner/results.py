# SPDX-License-Identifier: Apache-2.0
"""What a run found: outcomes counted from the runners' own reports, and where the time went."""
import collections
import contextlib
import threading
import time
import xml.etree.ElementTree

SLOWEST = 10


class Results:
    """Counts of passed, failed and skipped, the names of what failed, and the steps' times. May be filled by threads."""

    def __init__(self):
        self.counts = collections.Counter()
        self.failures = []
        self.times = []
        self._lock = threading.Lock()

    def add(self, outcome, name):
        with self._lock:
            self.counts[outcome] += 1
            if outcome == "failed":
                self.failures.append(name)

    def took(self, seconds, name):
        with self._lock:
            self.times.append((seconds, name))

    @contextlib.contextmanager
    def step(self, name):
        """Says that a step begins, and notes how long it took."""
        print(f"\n== {name} [{time.strftime('%H:%M:%S')}]", flush=True)
        begun = time.monotonic()
        yield
        self.took(time.monotonic() - begun, name)

    def slowest(self):
        """The steps that took longest, longest first, a line each."""
        return [f"{int(seconds) // 60:4} min {int(seconds) % 60:2} s  {name}"
                for seconds, name in sorted(self.times, reverse=True)[:SLOWEST]]

    def line(self):
        skipped = f", {self.counts['skipped']} skipped" if self.counts["skipped"] else ""
        return f"{self.counts['passed']} passed, {self.counts['failed']} failed{skipped}"

    def good(self):
        return bool(self.counts["passed"]) and not self.counts["failed"]

    def add_junit(self, path, prefix=""):
        """Adds a JUnit-style report. Returns whether it held any failure."""
        failed = False
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            name = f"{prefix}{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                self.add("failed", name)
                failed = True
            elif case.find("skipped") is not None:
                self.add("skipped", name)
            elif case.get("status") != "notrun":  # GoogleTest also lists, as not run, cases that a filter left out
                self.add("passed", name)
        return failed
