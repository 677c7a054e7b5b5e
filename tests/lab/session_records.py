# SPDX-License-Identifier: Apache-2.0
"""Records of sessions as a lab's balancer writes them, what the clients themselves say of the sessions (lab.fates), and what Postfix
has logged of them."""
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from .api import Api
from .mailer import TESTS
from .messages import DOMAIN
from .network import VIP4, client_addresses
from .shell import Timeout, in_namespace, wait_until

# Postfix that logs what is compared, and what makes it refuse.
UNWELCOME, BUSY = client_addresses(0)[0][13:15]
POSTFIX = f"""
smtpd_client_port_logging = yes
smtpd_delay_reject = no
smtpd_client_restrictions = check_client_access inline:{{ {{ {UNWELCOME} = 554 5.7.1 go away }}, {{ {BUSY} = 421 4.3.2 too busy }} }}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ nobody@{DOMAIN} = 550 5.1.1 no such user }}, {{ later@{DOMAIN} = 450 4.2.0 later }} }}
"""
ENDPOINT = r"unknown\[([0-9.]+)\]:(\d+)"
DISCONNECT = re.compile(rf"disconnect from {ENDPOINT} (.*)")
LOST = re.compile(rf"lost connection after (\S+).* from {ENDPOINT}")
REJECT = re.compile(rf"reject: (\w+) from {ENDPOINT}: (\d{{3}}) (\d\.\d+\.\d+) ")


class Fates:
    """A client with a plan of fates, [[fate, source address], ...] or [fate, source address, port], started in its namespace."""

    def __init__(self, lab, sessions, concurrency=60, port=25):
        plan = {"target": VIP4, "port": port, "sessions": sessions, "concurrency": concurrency, "ca_file": str(lab.authority.certificate)}
        self.count = len(sessions)
        directory = pathlib.Path(tempfile.mkdtemp(dir=lab.directory, prefix="fates-"))
        (directory / "plan").write_text(json.dumps(plan) + "\n")
        self._notes = directory / "notes"  # no pipe, which would hold up a client whose notes nobody reads yet
        with open(directory / "plan") as read, open(self._notes, "w") as written:
            self.process = subprocess.Popen(in_namespace(lab.network.clients[0], [sys.executable, "-m", "lab.fates"]), stdin=read,
                                            stdout=written, env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})

    def _noted(self):
        whole, _, _ = self._notes.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def held(self, count):
        """What is known of sessions that are held, when so many are."""
        def held():
            found = [note for note in self._noted() if "held" in note]
            return found if len(found) >= count else None
        return wait_until(held, 120, f"{count} sessions are held")

    def told(self):
        """What became of each session, as the client saw it."""
        code = self.process.wait()
        out = [note for note in self._noted() if "held" not in note]
        assert code == 0 and len(out) == self.count, f"the client ended with {code} after {len(out)} of {self.count} sessions"
        return out


def records_setting(path, more=""):
    return ("checks:", f'records: {{ to = "{path}"; {more} }};\n\nchecks:')


def read_records(directory, name="sessions.jsonl"):
    """All of them, by the client's endpoint."""
    out = collections.defaultdict(list)
    for path in pathlib.Path(directory).glob(f"{name}*"):
        whole, _, _ = path.read_text().rpartition("\n")  # the last line may be in the writing
        for line in whole.splitlines():
            record = json.loads(line)
            out[record["client"], record["client_port"]].append(record)
    return out


def metric(lab, name):
    """The sum of a metric's samples."""
    _, _, text = Api(lab.network.balancer).request("/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def wait_recorded(lab, directory, told, timeout_s=120):
    """Waits until there is a record of each session, and returns all of them. What is missing after that is told."""
    of_endpoint = collections.Counter((session["client"], session["port"]) for session in told)  # which may come again

    def missing():
        records = read_records(directory)
        return [endpoint for endpoint, count in of_endpoint.items() if len(records[endpoint]) < count]
    with contextlib.suppress(Timeout):
        wait_until(lambda: not missing(), timeout_s, "records of all sessions", interval_s=0.5)
    assert not missing(), (missing(), lab.balancer.ctl("flows", "--json"), {
        name: count for name, count in lab.balancer.counters().items() if "record" in name or "not_believed" in name})
    return read_records(directory)


@dataclasses.dataclass
class Logged:
    """What Postfix has logged of one session."""
    said: dict = None           # its last line: {"rcpt": "1/2", "quit": "1", ...}
    lost_after: str = ""        # the command after which the connection was lost
    rejected: list = dataclasses.field(default_factory=list)    # (command, code, enhanced code)

    def count(self, command):
        """(accepted, all) of a command."""
        good, _, total = self.said.get(command, "0").partition("/")
        return int(good), int(total or good)


def postfix_says(lab):
    """(backend, client address, port) -> what was logged of the sessions from there, in the order in which they ended."""
    out = collections.defaultdict(list)
    for backend in lab.backends:
        now = collections.defaultdict(Logged)  # by process: it has one session at a time
        for line in backend.log.read_text().splitlines():
            process = line.partition("/smtpd[")[2].partition("]")[0]
            if found := REJECT.search(line):
                now[process].rejected.append((found[1], int(found[4]), found[5]))
            elif found := LOST.search(line):
                now[process].lost_after = found[1]
            elif found := DISCONNECT.search(line):
                session = now.pop(process, Logged())
                session.said = dict(word.split("=") for word in found[3].split())
                out[backend.name, found[1], int(found[2])].append(session)
    return out
