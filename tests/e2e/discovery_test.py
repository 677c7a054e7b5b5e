# SPDX-License-Identifier: Apache-2.0
"""Members of a pool that are not in the file: they come and go by a JSON document and by hand, and no session is cut by it; a
source that fails, lies or is gone changes nothing."""
import json
import os

import pytest

from lab.members import ADDRESSES, IN_FILE, discovered, hold, new_sessions, require_all_delivered, states, wait_states
from lab.name_server import DNS_PORT, NameServer
from lab.network import VIP4
from lab.shell import wait_until


class Source:
    """The document, replaced at once, as an operator's tool does."""

    def __init__(self, path):
        self.path = path

    def tell(self, *names):
        self.write(json.dumps({"backends": [{"name": name, "address": ADDRESSES[name]} for name in names]}))

    def write(self, text):
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        os.rename(beside, self.path)


@pytest.fixture
def source(lab, config):
    """The lab with a pool mta that is discovered whole, all three to begin with."""
    made = Source(lab.directory / "mta.json")
    made.tell(*ADDRESSES)
    lab.start_backends()
    lab.start_balancer(config((IN_FILE, f'discover = {{ file = "{made.path}"; }};')))
    return made


def test_members_come_and_go_by_a_file_and_no_session_is_cut(lab, source):
    assert {entry["origin"] for entry in lab.balancer.status()["backends"] if entry["pool"] == "mta"} == {"discovered"}
    held = hold(lab)
    assert set(held.backends()) == set(ADDRESSES)

    source.tell("mta1", "mta2")
    wait_states(lab, mta1="up", mta2="up", mta3="removed, draining")
    assert set(new_sessions(lab)) == {"mta1", "mta2"}, "the one that left gets nothing new"
    assert "1 left: mta3" in lab.balancer.ctl("events")
    source.tell(*ADDRESSES)
    wait_states(lab, mta1="up", mta2="up", mta3="up")
    assert set(new_sessions(lab)) == set(ADDRESSES)

    # Too many at once; then something that is no document; then nothing at all; then a process that begins with that.
    source.tell("mta1")
    wait_until(lambda: discovered(lab)["missing"] == 2, 20, "two are missing")
    source.write('{"backends": [{"name": "mta1", "addres": "10.0.1.10"}]}')
    wait_until(lambda: 'unknown setting (did you mean "address"?)' in discovered(lab)["fault"], 20, discovered(lab)["fault"])
    source.path.unlink()
    wait_until(lambda: "No such file" in discovered(lab)["fault"], 20, "the file is gone")
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_states(lab, mta1="up", mta2="up", mta3="up")
    said = lab.balancer.ctl("discovered")
    assert "refused as it is now" in said and "sluicectl backend accept mta" in said, said
    assert set(new_sessions(lab)) == set(ADDRESSES), "nothing of that took a server away"
    assert not held.ended

    lab.balancer.ctl("backend", "accept", "mta")
    wait_states(lab, mta1="up", mta2="removed, draining", mta3="removed, draining")
    assert set(new_sessions(lab)) == {"mta1"}
    require_all_delivered(lab, held)


def test_members_are_added_and_removed_by_hand(lab, source):
    source.tell("mta1", "mta2")
    wait_states(lab, mta1="up", mta2="up")
    held = hold(lab)
    for wrong, why in ((("add", "mta", "mta3"), "allowed: backend add POOL BACKEND ADDRESS"),
                       (("add", "mta", "mta3", "nowhere"), "is not an address"),
                       (("add", "mta", "mta1", "10.0.1.12"), "is there already"),
                       (("add", "mta", "mta3", "10.0.1.10"), "its name or endpoint is there already"),
                       (("add", "mta", "mta3", "192.0.2.25"), "is the VIP of a service"),
                       (("add", "nowhere", "mta3", "10.0.1.12"), "there is no pool"),
                       (("remove", "mta", "mta1"), "was not added by hand"),
                       (("accept", "mta"), "nothing is missing"),
                       (("eat", "mta"), "allowed: add, remove, accept")):
        done = lab.balancer.ctl_run("backend", *wrong)
        assert done.returncode != 0 and why in done.stderr, (wrong, done.stderr)
    lab.balancer.ctl("backend", "add", "mta", "mta3", "10.0.1.12", "--weight", "300")
    wait_states(lab, mta1="up", mta2="up", mta3="up")
    found = lab.balancer.backend("mta", "mta3", 25)
    assert found["origin"] == "hand" and found["weight"]["configured"] == 300
    assert new_sessions(lab, 60)["mta3"] > 20

    lab.balancer.control.stop()  # what was added is kept, through a restart and a reload
    lab.balancer.start_control()
    lab.balancer.ctl("reload")
    wait_states(lab, mta1="up", mta2="up", mta3="up")
    late = lab.mailer(target=VIP4, sessions=30, messages=0, hold="greeted", timeout_s=120)
    late.wait_open(30)
    assert late.backends()["mta3"] > 0
    lab.balancer.ctl("backend", "remove", "mta", "mta3")
    wait_states(lab, mta1="up", mta2="up", mta3="removed, draining")
    assert set(new_sessions(lab)) == {"mta1", "mta2"}
    late.go()
    late.wait()
    assert late.outcomes == {"delivered": 30}, late.summary()
    require_all_delivered(lab, held)


def churn(lab, source, rounds):
    """Every second somebody leaves or comes back, while sessions are open, begin and end."""
    held = hold(lab)
    talkers = lab.mailer(target=VIP4, sessions=20, messages=2 * rounds, pause_s=0.5, timeout_s=2 * rounds + 120)
    talkers.wait_open(20)
    told = 0
    for number in range(rounds):
        victim = f"mta{number // 2 % 3 + 1}"
        is_leaving = number % 2 == 0
        source.tell(*(name for name in ADDRESSES if not is_leaving or name != victim))
        told += 1
        wait_until(lambda: (states(lab).get(victim) in (None, "removed, draining")) == is_leaving, 20, f"{victim} in round {number}")
        new_sessions(lab, 10)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    talkers.wait()
    assert talkers.outcomes == {"delivered": 20}, talkers.summary()
    events = json.loads(lab.balancer.ctl("events", "--json"))["events"]
    changes = [event for event in events if event["kind"] == "discovery" and ("joined" in event["text"] or "left" in event["text"])]
    assert len(changes) >= told, "every one of them was taken"
    require_all_delivered(lab, held)


def test_coming_and_going_under_load_loses_nothing(lab, source):
    churn(lab, source, rounds=6)


@pytest.mark.long
def test_a_hundred_joins_and_leaves_lose_nothing(lab, source):
    churn(lab, source, rounds=100)


class Members:
    """The members of mail.test as addresses of one name."""

    def __init__(self, server):
        self.server = server

    def add(self, *names):
        self.server.update(*(f"add mta.mail.test. 1 A {ADDRESSES[name]}" for name in names))

    def remove(self, *names):
        self.server.update(*(f"delete mta.mail.test. A {ADDRESSES[name]}" for name in names))


def named_by(name):
    return ADDRESSES[name].replace(".", "-")


def require_names_are_kept(lab, bind):
    """A target that gets another address, and loses its first one: who is there already is called as before."""
    def in_side():
        return {entry["name"]: entry["state"] for entry in lab.balancer.status()["backends"] if entry["pool"] == "side"}

    second = f"first.mail.test-{named_by('mta2')}"
    lab.balancer.ctl("weight", "side/first.mail.test", "70")
    bind.update(f"add first.mail.test. 1 A {ADDRESSES['mta2']}")
    wait_until(lambda: in_side().get(second) == "up", 20, f"{second} is in service, now {in_side()}")
    assert in_side() == {"first.mail.test": "up", second: "up", "spare.mail.test": "up"}
    assert lab.balancer.backend("side", "first.mail.test", 25)["weight"]["by_hand"] == 70
    bind.update(f"delete first.mail.test. A {ADDRESSES['mta1']}")
    wait_until(lambda: in_side().get("first.mail.test") in (None, "removed, draining"), 20, f"the first is gone, now {in_side()}")
    assert in_side()[second] == "up", "though it is alone now, and could be called as its target"


def test_members_come_and_go_by_the_dns_and_its_failures_take_nobody(lab, config):
    lab.start_backends()
    bind = NameServer(lab, "mail.test")
    members = Members(bind)
    members.add("mta1", "mta2")
    bind.update("add _smtp._tcp.mail.test. 1 SRV 10 50 25 first.mail.test.", f"add first.mail.test. 1 A {ADDRESSES['mta1']}",
                "add _smtp._tcp.mail.test. 1 SRV 20 50 25 spare.mail.test.", f"add spare.mail.test. 1 A {ADDRESSES['mta3']}")
    of = f'servers = ["127.0.0.1:{DNS_PORT}"]; }};'
    lab.start_balancer(config((IN_FILE, f'discover = {{ dns = "mta.mail.test"; {of}'),
                              ("services =\n(", 'services =\n(\n  { name = "side"; vip = "192.0.2.25"; port = 2525; pool = "side"; },'),
                              ("pools =\n(", 'pools =\n(\n  { name = "side"; check = "greeting"; '
                               f'discover = {{ dns = "_smtp._tcp.mail.test"; type = "SRV"; {of} }},')), healthy=False)
    first, second, third = (named_by(name) for name in ADDRESSES)
    wait_states(lab, **{first: "up", second: "up"})
    side = {entry["name"]: entry for entry in lab.balancer.status()["backends"] if entry["pool"] == "side"}
    assert set(side) == {"first.mail.test", "spare.mail.test"} and side["spare.mail.test"]["port"] == 25, side
    wait_until(lambda: lab.balancer.backend("side", "first.mail.test", 25)["weight"]["share"] == 1, 20, "the first tier alone")
    assert lab.balancer.backend("side", "spare.mail.test", 25)["weight"]["share"] == 0
    held = hold(lab)
    assert set(held.backends()) == {"mta1", "mta2"}
    require_names_are_kept(lab, bind)

    members.add("mta3")
    wait_states(lab, **{first: "up", second: "up", third: "up"})
    members.remove("mta2")
    wait_states(lab, **{first: "up", second: "removed, draining", third: "up"})
    assert set(new_sessions(lab)) == {"mta1", "mta3"}

    bind.update("delete mta.mail.test. A")
    of_mta = lambda: next(pool for pool in json.loads(lab.balancer.ctl("discovered", "--json"))["pools"] if pool["pool"] == "mta")  # noqa: E731
    wait_until(lambda: "there is no such name" in of_mta()["fault"], 20, "nobody is not believed")
    bind.stop()
    wait_until(lambda: "mta.mail.test: " in of_mta()["fault"] and "no such name" not in of_mta()["fault"], 40, "nobody answers")
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_until(lambda: states(lab)[first] == states(lab)[third] == "up", 20, "what was known is kept")
    assert set(new_sessions(lab)) == {"mta1", "mta3"}
    bind.start()
    members.add("mta1", "mta2", "mta3")
    wait_until(lambda: not of_mta()["fault"], 20, "it answers again")
    wait_states(lab, **{first: "up", second: "up", third: "up"})
    require_all_delivered(lab, held)
