# SPDX-License-Identifier: Apache-2.0
"""A reload cuts no session that its file does not tell it to cut: flows are bound to addresses and ports, not to names or order,
and what leaves the file drains.

Sessions in mid-message live through one reload after another, each of another kind; then all of them end well, each message
stored once. What `sluicectl diff` foretells is held against what comes.
"""
import collections
import json
import shutil

import pytest

from lab.network import VIP4
from lab.shell import wait_until

OPEN = 48
MTA1 = '{ name = "mta1"; address = "10.0.1.10"; }'
MTA2 = '{ name = "mta2"; address = "10.0.1.11"; }'
MTA3 = '{ name = "mta3"; address = "10.0.1.12"; }'
RELAY = '{ name = "relay";        vip = "192.0.2.25";      port = 25;  pool = "mta"; }'
SUBMISSION = '{ name = "submission";   vip = "192.0.2.25";      port = 587; pool = "mta"; }'
POOL = 'name  = "mta";\n    check = "greeting";'


@pytest.fixture
def world(lab, config):
    lab.start_backends()
    path = config()
    lab.start_balancer(path)
    return World(lab, path)


class World:
    def __init__(self, lab, path):
        self.lab = lab
        self.path = path

    def hold(self, **plan):
        for backend in self.lab.backends:
            backend.forget_stored()
        held = self.lab.mailer(target=VIP4, sessions=OPEN, hold="half_sent", size=60_000, timeout_s=240, **plan)
        held.wait_held(OPEN)
        assert all(held.backends()[backend.name] > 2 for backend in self.lab.backends), held.backends()
        return held

    def edited(self, *replacements):
        """The file with all `old`, which it must have, replaced by `new`."""
        text = self.path.read_text()
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        return text

    def diff(self, *replacements):
        """What a reload would do, as JSON and as text."""
        path = self.lab.directory / "next.cfg"
        path.write_text(self.edited(*replacements))
        return json.loads(self.lab.balancer.ctl("diff", str(path), "--json")), self.lab.balancer.ctl("diff", str(path))

    def reload(self, *replacements):
        self.path.write_text(self.edited(*replacements))
        said = self.lab.balancer.ctl("reload")
        wait_until(lambda: self.lab.balancer.status()["dataplane"]["settled"], 30, "in use")
        return said

    def removed(self):
        """Open flows of backends that left the file, by name, over all of their ports."""
        flows = collections.Counter()
        for backend in self.lab.balancer.status()["backends"]:
            if backend["state"] == "removed, draining":
                flows[backend["name"]] += backend["figures"]["flows_now"]
        return dict(flows)

    def require_all_delivered(self, held):
        assert not held.ended, held.ended
        held.go()
        held.wait()
        assert held.outcomes == {"delivered": OPEN}, held.summary()
        self.lab.wait_delivered()
        found = self.lab.tally(held)
        assert not (found.lost or found.duplicated or found.corrupted), found

    def new_sessions(self, **plan):
        mailer = self.lab.mailer(target=VIP4, sessions=40, messages=0, attempts=3, timeout_s=60, **plan).wait()
        assert mailer.outcomes == {"delivered": 40}, mailer.summary()
        return mailer.backends()


def test_names_order_checks_and_schedulers_cut_nothing(world):
    held = world.hold()
    steps = [
        ("services in another order", (RELAY + ",\n  " + SUBMISSION, SUBMISSION + ",\n  " + RELAY)),
        ("backends in another order", (f"{MTA1},\n      {MTA2}", f"{MTA2},\n      {MTA1}")),
        ("a service's name", ('name = "relay"; ', 'name = "inbound"; ')),
        ("a backend's name", ('name = "mta1"; address = "10.0.1.10"', 'name = "first"; address = "10.0.1.10"')),
        ("a pool's name", ('name  = "mta";', 'name  = "servers";'), ('pool = "mta";', 'pool = "servers";')),
        ("a check's name", ("  greeting:  {", "  hello:  {"), ('"greeting"', '"hello"')),
        ("a check of its own", ('port = 25;  pool = "servers";', 'port = 25;  pool = "servers"; check = "handshake";')),
        ("the scheduler", ('check = "handshake"; }', 'check = "handshake"; scheduler = "least_conn"; }')),
    ]
    for what, *replacements in steps:
        plan, text = world.diff(*replacements)
        assert plan["cuts"] == [] and plan["drains"] == [] and plan["flows_cut"] == 0, (what, plan)
        assert ("Nothing changes." in text) == plan["empty"] == ("order" in what), (what, text)
        world.reload(*replacements)
        assert not held.ended and not world.removed(), what
    assert "backend mta/mta2:25 -> backend servers/mta2:25" not in world.lab.balancer.ctl("diff", str(world.path))
    figures = {backend["name"]: backend["figures"]["flows_created"] for backend in world.lab.balancer.status()["backends"]
               if backend["pool"] == "servers" and backend["port"] == 25}
    share = held.backends()
    assert figures["first"] >= share["mta1"] and figures["mta2"] >= share["mta2"], "figures go with the address"
    world.new_sessions()
    world.require_all_delivered(held)
    world.lab.balancer.require_counter_law()


def test_a_backend_may_move_to_another_pool_and_proxy_and_forwarding_may_change(world):
    held = world.hold()
    other = '{ name = "other"; check = "greeting"; backends = ( ' + MTA3 + ' ); },\n  {\n    name  = "mta6";'
    world.reload((f",\n      {MTA3}", ""), ('{\n    name  = "mta6";', other), (SUBMISSION, SUBMISSION.replace('"mta"', '"other"')),
                 (RELAY, RELAY + ',\n  { name = "side"; vip = "192.0.2.25"; port = 2525; pool = "other"; }'))
    assert not held.ended
    world.reload(('port = 25;  pool = "mta"; }', 'port = 25;  pool = "mta"; forwarding = "fullnat"; }'))
    assert not held.ended
    assert set(world.new_sessions()) == {"mta1", "mta2"}
    world.require_all_delivered(held)


def test_what_leaves_the_file_drains_and_may_come_back(world):
    held = world.hold()
    of_victim = held.backends()["mta3"]
    without = (f",\n      {MTA3}", "")
    plan, text = world.diff(without)
    assert plan["flows_cut"] == 0 and plan["flows_draining"] == of_victim, plan
    assert f"Open flows of what is removed go on: {of_victim}" in text and "what is left after 600 s is cut" in text, text
    world.reload(without)
    assert "mta3" not in world.new_sessions()
    assert world.removed()["mta3"] == of_victim
    assert "removed, draining" in world.lab.balancer.ctl("status")
    world.reload((MTA2, f"{MTA2},\n      {MTA3}"))
    assert world.removed() == {} and "mta3" in world.new_sessions()
    world.reload(without)
    assert world.removed()["mta3"] == of_victim
    world.require_all_delivered(held)
    wait_until(lambda: not world.removed(), 60, "the drained backend forgotten")


def test_a_removed_service_takes_no_new_session_and_keeps_its_open_ones(world):
    held = world.hold()
    plan, _ = world.diff((RELAY + ",\n  ", ""))
    assert plan["flows_draining"] == OPEN and plan["flows_cut"] == 0, plan
    world.reload((RELAY + ",\n  ", ""))
    refused = world.lab.mailer(target=VIP4, sessions=5, messages=0, timeout_s=10).wait()
    assert "delivered" not in refused.outcomes, refused.summary()
    removed = world.lab.balancer.status()["removed_services"]
    assert [service["name"] for service in removed] == ["relay"] and removed[0]["figures"]["flows_now"] == OPEN, removed
    world.require_all_delivered(held)
    wait_until(lambda: not world.lab.balancer.status()["removed_services"], 60, "the service forgotten")


def test_a_deadline_cuts_what_is_left_and_reset_cuts_at_once(world):
    world.reload((POOL, POOL + " removal_deadline = 4.0;"))
    held = world.hold()
    share = held.backends()
    world.reload((f",\n      {MTA3}", ""))
    assert not held.ended
    wait_until(lambda: len(held.ended) >= share["mta3"], 60, "those at the deadline told")
    assert {event["backend"] for event in held.ended} == {"mta3"}
    plan, text = world.diff((" removal_deadline = 4.0;", ' on_removal = "reset";'), (f"{MTA1},\n      ", ""))
    assert plan["flows_cut"] == share["mta1"] and f"Open flows that are cut: {share['mta1']}" in text, (plan, text)
    world.reload((" removal_deadline = 4.0;", ' on_removal = "reset";'), (f"{MTA1},\n      ", ""))
    wait_until(lambda: len(held.ended) >= share["mta1"] + share["mta3"], 60, "those that are reset told")
    held.go()
    held.wait()
    assert held.outcomes["delivered"] == share["mta2"], held.summary()


@pytest.mark.parametrize("state", ["gone", "corrupt"])
def test_what_drains_and_what_was_renamed_outlives_control_and_its_state(world, state):
    """All that a new control process knows of the old one is what the data plane has."""
    held = world.hold()
    of_victim = held.backends()["mta3"]
    world.reload((f",\n      {MTA3}", ""), ('name = "mta1"; address = "10.0.1.10"', 'name = "first"; address = "10.0.1.10"'),
                 ('name  = "mta";', 'name  = "servers";'), ('pool = "mta";', 'pool = "servers";'))
    assert world.removed() == {"mta3": of_victim}
    balancer = world.lab.balancer
    balancer.kill_control()
    if state == "gone":
        shutil.rmtree(balancer.state)
    else:
        (standing,) = balancer.state.rglob("standing.json")
        standing.write_text(standing.read_text()[:100])
    balancer.start_control()
    wait_until(lambda: balancer.status()["dataplane"]["settled"], 30, "in use")
    wait_until(lambda: world.removed() == {"10.0.1.12": of_victim}, 30, f"recognised, now {world.removed()}")
    assert not held.ended
    assert set(world.new_sessions()) == {"mta1", "mta2"}
    world.require_all_delivered(held)
    wait_until(lambda: not world.removed(), 60, "forgotten when its last session has ended")
    balancer.require_counter_law()
