# SPDX-License-Identifier: Apache-2.0
"""The mail client as tests and the demo use it: started in a client's namespace, watched while it runs.

A reader thread keeps the state; everything else is called by one thread.
"""
import collections
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading

from .mail_client import Plan
from .shell import CommandError, in_namespace, tail, wait_until

TESTS = pathlib.Path(__file__).resolve().parent.parent


class Mailer:
    """One run of the mail client. Attributes hold what it has told so far.

    opened     open events, in order: session, port, backend, local (address, port), time
    held       sessions that wait in mid-message
    ended      end events: session, attempt, backend, outcome, detail, time. Outcomes: delivered, refused (a 4xx or 5xx),
               reset, closed (the server ended it), timeout, tls, unreachable
    attempted  message id -> body hash, of messages begun
    confirmed  message id -> backend that took responsibility for it
    moments    when each of these was confirmed, in order: (time, backend)
    sums       counts at the end: messages, retried, given_up, open:BACKEND, end:OUTCOME
    """

    def __init__(self, namespace, log_path, **plan):
        self.plan = Plan(**plan)
        self.opened, self.held, self.ended = [], [], []
        self.attempted, self.confirmed, self.moments = {}, {}, []
        self.sums, self.seconds = {}, None
        self._log_path = log_path
        command = [sys.executable, "-m", "lab.mail_client",
                   json.dumps(dataclasses.asdict(self.plan))]
        with open(log_path, "ab") as log:
            self._process = subprocess.Popen(
                in_namespace(namespace, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True, env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            event = json.loads(line)
            match event["event"]:
                case "open":
                    self.opened.append(event)
                case "held":
                    self.held.append(event)
                case "begin":
                    self.attempted[event["id"]] = event["hash"]
                case "message":
                    self.confirmed[event["id"]] = event["backend"]
                    self.moments.append((event["time"], event["backend"]))
                case "end":
                    self.ended.append(event)
                case "done":
                    self.sums, self.seconds = event["sums"], event["seconds"]

    def go(self):
        """Lets held sessions continue."""
        self._order("go")

    def stop(self):
        """Begins no further session."""
        self._order("stop")

    def _order(self, word):
        try:
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already, which is what both orders lead to

    def running(self):
        return self._process.poll() is None

    def wait_for(self, condition, timeout_s, what):
        """Waits until `condition(self)`, while the client runs."""
        def check():
            return condition(self) or (not self.running() and not self._reader.is_alive() and "ended")
        if wait_until(check, timeout_s, what) == "ended" and not condition(self):
            raise CommandError(f"{what}: the mail client ended before; {self.summary()}; its log ends:\n"
                               f"{tail(self._log_path)}")

    def wait_open(self, count, timeout_s=180):
        self.wait_for(lambda mailer: len(mailer.opened) >= count, timeout_s, f"{count} sessions open")

    def wait_held(self, count, timeout_s=180):
        self.wait_for(lambda mailer: len(mailer.held) >= count, timeout_s, f"{count} sessions in mid-message")

    def wait(self, timeout_s=300):
        """Waits for the end. Raises if the client itself failed; failed sessions are for the caller to judge."""
        wait_until(lambda: not self.running(), timeout_s, f"mail client done ({self.summary()})")
        self._reader.join()
        if self._process.returncode != 0 or self.seconds is None:
            raise CommandError(f"mail client ended with code {self._process.returncode}; its log ends:\n"
                               f"{tail(self._log_path)}")
        return self

    def kill(self):
        self._process.kill()
        self._process.wait()

    @property
    def outcomes(self):
        """How sessions ended: outcome -> count."""
        return collections.Counter(event["outcome"] for event in self.ended)

    def backends(self):
        """Which backend greeted: name -> count of sessions."""
        if self.plan.details:
            return collections.Counter(event["backend"] for event in self.opened)
        return collections.Counter({name.removeprefix("open:"): count for name, count in self.sums.items()
                                    if name.startswith("open:")})

    def summary(self):
        """One line for error messages."""
        failures = [f"{event['outcome']}: {event['detail']}" for event in self.ended if event["outcome"] != "delivered"]
        return (f"{len(self.opened)} opened, {len(self.confirmed)} messages confirmed, outcomes {dict(self.outcomes)}"
                + (f", for example {failures[0]}" if failures else ""))
