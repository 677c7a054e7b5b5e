# SPDX-License-Identifier: Apache-2.0
"""Junk of each kind, as fast as the lab makes it, and of many kinds at once, beside BGP and BFD at 100 ms, which go through the
twins: no session of either flaps, no route goes, and what BGP has to tell arrives."""
import contextlib
import datetime
import re

import pytest

from lab.anycast import GRACEFUL_SHUTDOWN, Upstream, configuration
from lab.glitches import last
from lab.junk import KINDS, throw
from lab.lab import Lab
from lab.network import VIP4, VIP6
from lab.shell import wait_until

BACK = ["routed", "behind"]
FRONT = [kind for kind in KINDS if kind not in BACK]
INFRASTRUCTURE = {"arp", "nd", "bgp"}  # what is beyond the budgets of these is dropped under the name that is watched here
SECONDS = 6
# The interval that is shipped; a machine on which all labs run at once may stop a process for longer than three of them.
BFD = "interval 100 ms; multiplier 50;"
SIDES = ("node", "router")
JITTER = datetime.timedelta(milliseconds=100)


@pytest.fixture(scope="module")
def upstream():
    with Lab() as lab:
        lab.start_greeters()
        lab.start_balancer(configuration(lab, 'mode = "routes";', vips=(VIP4, VIP6)))
        made = Upstream(lab, BFD)
        made.build()
        for vip in (VIP4, VIP6):
            made.wait_route(vip, True)
        yield lab, made


def sessions(upstream):
    """Those of both protocols that are up, as both sides see them: since when."""
    def seen(side):
        bgp = re.findall(r"^(\S+) +BGP +\S+ +up +([\d:.]+) +Established", upstream.say(side, "show protocols"), re.MULTILINE)
        bfd = re.findall(r"^(\S+) +\S+ +Up +([\d:.]+)", upstream.say(side, "show bfd sessions"), re.MULTILINE)
        return {(side, name): datetime.datetime.strptime(since, "%H:%M:%S.%f") for name, since in (*bgp, *bfd)}
    return {name: since for side in SIDES for name, since in seen(side).items()}


def are_the_same(before, after):
    """BIRD reckons times from a clock of its own: a millisecond more or less is nothing."""
    return before.keys() == after.keys() and all(abs(after[name] - before[name]) < JITTER for name in before)


@contextlib.contextmanager
def junk(lab, kinds):
    """As many processes make it as there are sides to make it at."""
    throwers = [throw(lab, side, there) for side, all_there in (("front", FRONT), ("back", BACK))
                if (there := [kind for kind in kinds if kind in all_there])]
    try:
        yield
    finally:
        for thrower in throwers:
            thrower.stop()


@pytest.mark.parametrize("kinds", [pytest.param(list(KINDS), id="all"),
                                   *(pytest.param([kind], id=kind, marks=pytest.mark.long) for kind in KINDS)])
def test_junk_costs_no_routing_session(upstream, kinds):
    lab, router = upstream
    was, before, watch = sessions(router), lab.balancer.counters(), router.watch()
    assert len(was) == 8, was

    def told(wanted):
        wait_until(lambda: all((GRACEFUL_SHUTDOWN in router.paths(vip)) == wanted for vip in (VIP4, VIP6)), 60,
                   f"the router knows that the node {'drains' if wanted else 'serves'}")
    with junk(lab, kinds):
        last(SECONDS)
        lab.balancer.ctl("node", "drain")
        told(True)
        lab.balancer.ctl("node", "undrain")
        told(False)
    after = lab.balancer.require_counter_law()
    rise = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    print({name: count for name, count in rise.items() if name in ("received", "punted") or name.startswith("drop_")}, flush=True)
    now = sessions(router)
    assert are_the_same(was, now), (was, now)
    assert not [line for vip in (VIP4, VIP6) for line in watch.changes(vip) if line.startswith("Deleted")]
    assert rise["received"] > 1000 * SECONDS, "that was no flood"
    if not INFRASTRUCTURE & set(kinds):
        assert rise.get("drop_punt_infrastructure", 0) == 0, rise
