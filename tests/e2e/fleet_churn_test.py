# SPDX-License-Identifier: Apache-2.0
"""Mail servers that join and leave by way of etcd a hundred times a minute, while etcd is busy with other things and mail flows: nothing
is lost, and nobody notices."""
import dataclasses
import json
import re
import sys

import pytest

from lab.churner import Plan
from lab.etcd import Etcd
from lab.lab import Lab
from lab.mailer import TESTS
from lab.members import IN_FILE, states
from lab.network import VIP4, backend_addresses
from lab.shell import Service, wait_until

SERVERS, STAYING = 6, 2
PER_MINUTE, LOAD_PER_SECOND = 100, 40
OPEN, NEVER_ENDS = 24, 1_000_000


@pytest.fixture
def lab():
    with Lab(backends=SERVERS) as made:
        yield made


@pytest.fixture
def etcd(lab, config):
    """With a balancer whose pool mta has the first of the servers."""
    made = Etcd(lab)
    lab.start_backends(processes=200)
    lab.start_balancer(config((IN_FILE, "discover = { etcd = true; };"),
                              ("services =\n(", f'fleet: {{ node = "edge1"; {made.settings()} }};\nservices =\n(')), healthy=False)
    for index in range(STAYING):
        made.register(index)
    wait_until(lambda: states(lab) == {f"mta{index + 1}": "up" for index in range(STAYING)}, 30, "those that stay are up")
    return made


def start_churn(lab, etcd, changes):
    certificate, key = etcd.client
    plan = Plan(endpoints=etcd.endpoints, files={"ca_file": str(etcd.authority.certificate), "cert_file": str(certificate), "key_file": str(key)},
                pool="mta", members={f"mta{index + 1}": backend_addresses(index)[0] for index in range(STAYING, SERVERS)}, changes=changes,
                per_minute=PER_MINUTE, load_per_second=LOAD_PER_SECOND)
    service = Service("churner", [sys.executable, "-m", "lab.churner", json.dumps(dataclasses.asdict(plan))], lab.directory / "churner.log",
                      lab.network.balancer, {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})
    lab.services.append(service)
    return service


def changes_told(service):
    return [json.loads(line) for line in service.log_path.read_text().splitlines() if line.startswith("{")]


def changes_taken(lab):
    """How many joins and leaves the node tells of; several at once are one line. Its log has them all, its events the newest."""
    text = (lab.balancer.directory / "sluice-control.log").read_text()
    return sum(int(count) for count in re.findall(r"\b(\d+) (?:joined|left)\b", text))


def churn(lab, etcd, changes):
    """Sessions that are held in mid-message all the time, that talk all the time, and new ones all the time."""
    held = lab.mailer(target=VIP4, sessions=OPEN, hold="half_sent", size=60_000, timeout_s=600)
    held.wait_held(OPEN)
    new = lab.mailer(target=VIP4, sessions=NEVER_ENDS, per_second=6, messages=4, pause_s=0.7, timeout_s=120)
    service = start_churn(lab, etcd, changes)
    seen = set()

    def all_are_up():
        now = states(lab)
        seen.update(name for name, state in now.items() if state == "up")
        return now == {f"mta{index + 1}": "up" for index in range(SERVERS)}

    def is_done():
        service.require_running()
        all_are_up()
        return len(changes_told(service)) == changes
    wait_until(is_done, changes * 60 / PER_MINUTE * 3 + 60, f"{changes} joins and leaves", interval_s=0.2)
    assert len(seen) > STAYING, f"{seen}: the others came and went without ever being in service"
    wait_until(all_are_up, 60, "all are there in the end")
    wait_until(lambda: set(new.backends()) == seen, 60, "new sessions are given to all of them")
    new.stop()
    new.wait()
    assert set(new.outcomes) == {"delivered"}, new.summary()
    assert not held.ended, held.ended
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": OPEN}, held.summary()
    lab.wait_delivered()
    found = lab.tally(held, new)
    assert found.clean, found
    taken = changes_taken(lab)
    assert taken >= changes // 2, f"{taken} of {changes} were seen: the others joined and left before the node looked"
    assert not json.loads(lab.balancer.ctl("fleet", "--json"))["etcd"]["fault"]
    lab.balancer.require_counter_law()


def test_joins_and_leaves_under_load_lose_nothing(lab, etcd):
    churn(lab, etcd, changes=24)


@pytest.mark.long
def test_a_hundred_a_minute_for_minutes_lose_nothing(lab, etcd):
    churn(lab, etcd, changes=300)
