# SPDX-License-Identifier: Apache-2.0
"""A port made of several devices: members are pulled one by one while sessions are open."""
import json
import re

import pytest

from lab.balancer import build_directory
from lab.network import VIP4, VIP6, ip, plain_packets, sysctl
from lab.shell import Service, run, wait_until

FRONT = '{ name = "front"; device = "net_af_xdp0,iface=lb-front"; faces = "clients";  twin = "slf0"; },'
HELD = 500
MEMBERS = ("net_af_packet0,iface=lb-front", "net_af_packet1,iface=lb-front2")
RELEASED = {"delivered": HELD}


def bonded(mode):
    quoted = ", ".join(f'"{member}"' for member in MEMBERS)
    return (FRONT, f'{{ name = "front"; device = "bond"; bond = {{ mode = "{mode}"; members = [{quoted}]; }}; '
                   f'faces = "clients"; twin = "slf0"; }},')


def members(lab):
    """Link and part of each member of the port; of none as long as the data plane has told nothing."""
    (front,) = [port for port in lab.balancer.status()["ports"] if port["name"] == "front"]
    told = front["dataplane"]["members"] if front["dataplane"] else []
    return {re.sub(".*iface=", "", member["device"]): (member["link_up"], member["carries"]) for member in told}


def carry(lab):
    return {name for name, (_, carries) in members(lab).items() if carries}


def second_cable(lab):
    network = lab.network
    network.cable(network.balancer, "lb-front2", "front", "lbf2")
    sysctl(network.balancer, "net.ipv6.conf.lb-front2.disable_ipv6=1")
    network.hide_from_kernel("lb-front2")


def sent(lab):
    """Packets that left by each member."""
    links = json.loads(run("ip", "-n", lab.network.balancer, "-json", "-stats", "link", "show"))
    return {link["ifname"]: link["stats64"]["tx"]["packets"] for link in links if link["ifname"].startswith("lb-front")}


def finish(held):
    outcomes = {}
    for mailer in held:
        mailer.go()
        mailer.wait()
        for outcome, count in mailer.outcomes.items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    return outcomes


def require_service(lab, when):
    for vip in (VIP4, VIP6):
        new = lab.mailer(target=vip, sessions=20, messages=0).wait()
        assert new.outcomes == {"delivered": 20}, (when, new.summary())


def test_one_member_carries_and_the_other_takes_over(lab, config):
    lab.start_greeters()
    second_cable(lab)
    lab.start_balancer(config(bonded("active-backup")))
    assert members(lab) == {"lb-front": (True, True), "lb-front2": (True, False)}
    held = lab.hold_open(HELD)
    for pulled, other, cable in (("lb-front", "lb-front2", "lbf"), ("lb-front2", "lb-front", "lbf2")):
        ip(lab.network.wires, f"link set {cable} down")
        wait_until(lambda other=other: carry(lab) == {other}, 3, f"{other} carries")
        require_service(lab, f"{pulled} is out")
        wait_until(lambda pulled=pulled: f"iface={pulled}, of its bond: link down" in lab.balancer.ctl("events"), 3, "an event")
        ip(lab.network.wires, f"link set {cable} up")
        wait_until(lambda pulled=pulled: members(lab)[pulled][0], 3, f"{pulled} has a link again")
        assert carry(lab) == {other}, "it stays where it is as long as that has a link"
    assert finish(held) == RELEASED
    table = lab.balancer.ctl("ports")
    assert "BOND OF" in table and "lb-front2" in table
    lab.balancer.require_counter_law()


def test_a_bond_without_any_link_is_a_port_without_one(lab, config):
    lab.start_greeters()
    second_cable(lab)
    lab.start_balancer(config(bonded("active-backup")))
    held = lab.hold_open(HELD)
    ip(lab.network.wires, "link set lbf down", "link set lbf2 down")
    wait_until(lambda: "NO-CARRIER" in run("ip", "-n", lab.network.balancer, "link", "show", "slf0"), 3, "the twin's carrier")
    assert "no member has a link" in (lab.balancer.directory / "sluice-dataplane.log").read_text()
    ip(lab.network.wires, "link set lbf2 up")
    wait_until(lambda: carry(lab) == {"lb-front2"}, 3, "the one that came back")
    require_service(lab, "one is back")
    assert finish(held) == RELEASED


@pytest.fixture
def lacp_switch(lab):
    """A switch whose port-channel has the two members; its other side is the bridge of the clients."""
    network = lab.network
    second_cable(lab)
    for end in ("lbf", "lbf2"):
        ip(network.wires, f"link set {end} nomaster")
        sysctl(network.wires, f"net.ipv6.conf.{end}.disable_ipv6=1")
    ip(network.wires, "link add uplink type veth peer name switch", "link set switch master front up", "link set uplink up")
    sysctl(network.wires, "net.ipv6.conf.uplink.disable_ipv6=1")
    for end in ("uplink", "switch"):
        plain_packets(network.wires, end)
    switch = Service("lacp-switch", [build_directory() / "tests/lab/lacp-switch", "uplink", "lbf", "lbf2"],
                     lab.directory / "lacp-switch.log", network.wires)
    lab.services.append(switch)
    return switch


def test_members_that_the_switch_has_taken_in_by_lacp_share_the_load(lab, config, lacp_switch):
    lab.start_greeters()
    lab.start_balancer(config(bonded("lacp")), healthy=False)
    both = {"lb-front", "lb-front2"}
    wait_until(lambda: carry(lab) == both, 30, "both are in the aggregate")
    lab.balancer.wait_healthy()
    before = sent(lab)
    held = lab.hold_open(HELD)
    shares = {member: count - before[member] for member, count in sent(lab).items()}
    assert min(shares.values()) > sum(shares.values()) / 4, shares
    for pulled, other, cable in (("lb-front", "lb-front2", "lbf"), ("lb-front2", "lb-front", "lbf2")):
        ip(lab.network.balancer, f"link set {pulled} down")
        wait_until(lambda other=other: carry(lab) == {other}, 5, f"{other} carries alone")
        lacp_switch.require_running()
        ip(lab.network.balancer, f"link set {pulled} up")
        wait_until(lambda: carry(lab) == both, 30, f"{pulled} is back")
    require_service(lab, "after both were out once")
    assert finish(held) == RELEASED
    lab.balancer.require_counter_law()
