# SPDX-License-Identifier: Apache-2.0
"""announce.mode = "address": control itself puts the VIPs on the front twin while they are in service, and tells the link, which
believed somebody else to have them."""
import json

import pytest

from lab.network import VIP4, VIP6
from lab.shell import run, wait_until

HOLD_DOWN_S = 1.0
ANNOUNCE = f'announce: {{ mode = "address"; hold_down = {HOLD_DOWN_S}; }};\n\nchecks:'
QUICK_END = ('name  = "mta";', 'name  = "mta"; panic_hold = 1.0;'), ('name  = "mta6";', 'name  = "mta6"; panic_hold = 1.0;')
VIPS = (VIP4, VIP6)
TWIN = "slf0"
ELSEWHERE = "02:99:99:99:99:99"  # nobody's


@pytest.fixture
def alone(lab, config):
    """A lab whose twins get no VIP but from control; started when the test has started its mail servers."""
    def start(*replacements):
        lab.network.vips_on_twins = False
        lab.start_balancer(config(("checks:", ANNOUNCE), *replacements))
        for vip in VIPS:
            wait_held(lab, vip, True)
        return lab
    return start


def held(lab, vip, device=TWIN):
    """The prefix length with which the twin has the VIP; nothing if it has not."""
    (link,) = json.loads(run("ip", "-n", lab.network.balancer, "-json", "address", "show", "dev", device))
    for entry in link["addr_info"]:
        if entry.get("local") == vip:
            return entry["prefixlen"]
    return None


def wait_held(lab, vip, there, timeout_s=60):
    wait_until(lambda: (held(lab, vip) is not None) == there, timeout_s, f"{vip} {'on' if there else 'not on'} the twin")


def announcement(lab):
    return json.loads(lab.balancer.ctl("announce", "--json"))


def states(lab):
    return {entry["state"] for entry in announcement(lab)["vips"]}


def send(lab, vip, **plan):
    return lab.mailer(target=vip, **{"sessions": 5, "messages": 0, "timeout_s": 60, **plan})


def mislead(lab):
    """Makes the client believe that the VIPs are at a MAC address which is nobody's."""
    for vip in VIPS:
        run("ip", "-n", lab.network.clients[0], "neigh", "replace", vip, "lladdr", ELSEWHERE, "dev", "eth0", "nud", "stale")


def believed(lab, vip):
    """At which MAC address the client believes the VIP to be."""
    known = json.loads(run("ip", "-n", lab.network.clients[0], "-json", "neigh", "show", vip, "dev", "eth0") or "[]")
    return known[0].get("lladdr") if known else None


def wait_believed(lab):
    (twin,) = json.loads(run("ip", "-n", lab.network.balancer, "-json", "link", "show", TWIN))
    for vip in VIPS:
        wait_until(lambda v=vip: believed(lab, v) == twin["address"], 30, f"the client has heard where {vip} is")


def test_vips_are_there_with_their_services_and_mail_and_the_link_follow(lab, alone):
    lab.start_backends()
    alone(*QUICK_END)
    for vip in VIPS:
        assert held(lab, vip) == (128 if ":" in vip else 32)
        mailer = send(lab, vip, messages=1).wait()
        assert mailer.outcomes == {"delivered": 5}, mailer.summary()
    lab.wait_delivered()
    assert lab.tally().clean, lab.tally()
    shown = lab.balancer.ctl("announce")
    assert "mode: address, protocol 125" in shown and "in service" in shown, shown

    for backend in lab.backends:
        backend.stop()
    for vip in VIPS:
        wait_held(lab, vip, False)
    assert states(lab) == {"withdrawn"}
    mislead(lab)
    for backend in lab.backends:
        backend.start()
    for vip in VIPS:
        wait_held(lab, vip, True)
    wait_believed(lab)
    for vip in VIPS:
        mailer = send(lab, vip).wait()
        assert mailer.outcomes == {"delivered": 5}, mailer.summary()


def test_they_outlive_control_and_go_with_the_data_plane_and_the_link(lab, alone):
    lab.start_greeters()
    alone()
    mailer = send(lab, VIP4, sessions=3, hold="greeted")
    mailer.wait_open(3)
    for end in (lab.balancer.kill_control, lambda: lab.balancer.control.stop()):
        end()
        assert all(held(lab, vip) for vip in VIPS), "control told nobody"
        lab.balancer.start_control()
        lab.balancer.wait_healthy()
    assert states(lab) == {"announced"} and all(held(lab, vip) for vip in VIPS)
    assert "withdrawn" not in lab.balancer.ctl("events")
    mailer.go()
    mailer.wait()
    assert mailer.outcomes == {"delivered": 3}, mailer.summary()

    run("ip", "-n", lab.network.wires, "link", "set", "lbf", "down")
    for vip in VIPS:
        wait_held(lab, vip, False)
    assert "no link towards clients: port front" in lab.balancer.ctl("announce")
    mislead(lab)
    run("ip", "-n", lab.network.wires, "link", "set", "lbf", "up")
    wait_believed(lab)

    lab.balancer.dataplane.stop()
    wait_until(lambda: states(lab) == {"withdrawn"}, 30, "withdrawn")
    mislead(lab)
    lab.balancer.start_dataplane()
    for vip in VIPS:
        wait_held(lab, vip, True)
    wait_believed(lab)
    assert announcement(lab)["fault"] == "" and announcement(lab)["addresses_remade"] == 0

    lab.balancer.control.stop()
    withdrawn = lab.balancer.run_control("--withdraw")  # as the data plane's unit does
    assert withdrawn.returncode == 0, withdrawn.stderr
    assert not any(held(lab, vip) for vip in VIPS)
    assert held(lab, "192.0.2.2"), "what is not ours"


def test_a_drain_keeps_them_until_its_deadline_and_others_hands_are_noticed(lab, alone):
    lab.start_greeters()
    alone()
    lab.balancer.ctl("node", "drain")
    wait_until(lambda: states(lab) == {"draining"}, 30, "draining")
    assert all(held(lab, vip) for vip in VIPS)
    lab.balancer.ctl("node", "drain", "--deadline", "1s")
    for vip in VIPS:
        wait_held(lab, vip, False)
    lab.balancer.ctl("node", "undrain")
    for vip in VIPS:
        wait_held(lab, vip, True)

    mislead(lab)
    for vip in VIPS:
        run("ip", "-n", lab.network.balancer, "address", "del", f"{vip}/{128 if ':' in vip else 32}", "dev", TWIN)
    for vip in VIPS:
        wait_held(lab, vip, True)
    wait_believed(lab)
    assert announcement(lab)["addresses_remade"] == 2
    assert "somebody else had removed" in lab.balancer.ctl("events")

    run("ip", "-n", lab.network.balancer, "address", "replace", f"{VIP4}/32", "dev", TWIN)  # the operator's from now on
    wait_until(lambda: announcement(lab)["fault"], 30, "a fault")
    assert f"{VIP4} on {TWIN} is somebody else's" in lab.balancer.ctl("announce")
    lab.balancer.ctl("node", "drain", "--deadline", "1s")
    wait_held(lab, VIP6, False)
    assert held(lab, VIP4) == 32
