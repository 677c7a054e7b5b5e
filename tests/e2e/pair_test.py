# SPDX-License-Identifier: Apache-2.0
"""Two nodes of which one has the VIPs, moved by real keepalived: sessions outlive their node, and new ones find the other."""
import time

import pytest

from lab.fleet import LEAST_CONN, LEAST_CONN6, Fleet
from lab.network import VIP4, VIP6
from lab.pair import VIRTUAL_MACS, Pair
from lab.shell import run, wait_until


@pytest.fixture
def pair(lab):
    lab.start_backends()
    made = Pair(lab)
    made.start()
    return made


def hold(lab, sessions=30):
    """Sessions in mid-message, of both families."""
    held = [lab.mailer(target=vip, sessions=sessions, hold="half_sent", size=30_000, timeout_s=120) for vip in (VIP4, VIP6)]
    for mailer in held:
        mailer.wait_held(sessions)
    return held


def require_delivered(lab, *mailers):
    for mailer in mailers:
        mailer.go()
    for mailer in mailers:
        mailer.wait()
        assert mailer.outcomes == {"delivered": mailer.plan.sessions}, mailer.summary()
    lab.wait_delivered()
    assert lab.tally().clean, lab.tally()


def require_service(lab):
    for vip in (VIP4, VIP6):
        fresh = lab.mailer(target=vip, sessions=10, attempts=20, timeout_s=10).wait()
        assert fresh.outcomes["delivered"] == 10, fresh.summary()


def test_sessions_outlive_their_node_and_new_ones_find_the_other(lab, pair):
    held = hold(lab)
    assert pair.nodes[0].flows() >= 60 and pair.nodes[1].flows() == 0
    pair.pull_plug(0)
    pair.wait_holder(1)
    require_service(lab)
    require_delivered(lab, *held)


def test_sessions_that_were_placed_by_load_outlive_their_node_where_nodes_tell_each_other_of_them(lab):
    lab.start_backends()
    pair = Pair(lab, peers=True, changes=(LEAST_CONN, LEAST_CONN6))
    pair.start()
    second = pair.nodes[1]
    held = hold(lab)
    # What a node that has just begun does not hear, it is told again within a minute.
    wait_until(lambda: Fleet.exchange(second)["known_now"] >= 60, 120, "the other node knows of them")
    pair.pull_plug(0)
    pair.wait_holder(1)
    require_service(lab)
    require_delivered(lab, *held)
    assert second.counters()["flows_resumed"] >= 60
    second.require_counter_law()


@pytest.mark.quiet
def test_the_other_node_has_the_vips_within_three_seconds(lab, pair):
    """Three intervals of VRRP and a half, which make 1.75 s, and what keepalived takes to move all addresses."""
    pulled_at = time.monotonic()
    pair.pull_plug(0)
    pair.wait_holder(1)
    took_s = time.monotonic() - pulled_at
    print(f"the other node had the VIPs after {took_s:.1f} s")
    assert took_s < 3
    require_service(lab)


def test_the_vips_move_with_a_mac_address_of_their_own_which_no_client_has_to_learn_anew(lab):
    lab.start_backends()
    pair = Pair(lab, virtual_macs=True)
    pair.start()
    require_service(lab)
    client = lab.network.clients[0]
    known = [run("ip", "-n", client, "neighbor", "show", vip) for vip in (VIP4, VIP6)]
    for mac, entry in zip(VIRTUAL_MACS, known):
        assert mac in entry, entry
    held = hold(lab)
    pair.nodes[0].ctl("node", "drain")
    pair.wait_holder(1)
    require_service(lab)
    for vip, mac in zip((VIP4, VIP6), VIRTUAL_MACS):
        assert mac in run("ip", "-n", client, "neighbor", "show", vip)
    pair.nodes[0].ctl("node", "undrain")
    pair.wait_holder(0)
    pair.pull_plug(0)
    pair.wait_holder(1)
    require_service(lab)
    require_delivered(lab, *held)


def test_a_node_that_drains_gives_the_vips_away_and_gets_them_back_and_no_session_is_lost(lab, pair):
    held = hold(lab)
    pair.nodes[0].ctl("node", "drain")
    pair.wait_holder(1)
    require_service(lab)
    held += hold(lab)
    pair.nodes[0].ctl("node", "undrain")
    pair.wait_holder(0)
    require_service(lab)
    require_delivered(lab, *held)


def test_a_node_is_upgraded_under_load_and_no_session_is_lost(lab, pair):
    """The runbook of docs/anycast.md: drain, restart both processes, undrain; first one node, then the other."""
    held = hold(lab)
    stream = lab.mailer(target=VIP4, sessions=100_000, per_second=10, timeout_s=60)
    stream.wait_open(20)
    for number, other in ((0, 1), (1, 0)):
        pair.nodes[number].ctl("node", "drain")
        pair.wait_holder(other)
        pair.restart_node(number)
        pair.nodes[number].ctl("node", "undrain")
        pair.wait_holder(0)
    stream.stop()
    require_delivered(lab, *held)
    stream.wait()
    assert set(stream.outcomes) == {"delivered"}, stream.summary()
