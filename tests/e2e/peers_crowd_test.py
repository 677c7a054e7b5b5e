# SPDX-License-Identifier: Apache-2.0
"""Many sessions at once, those that speak and those that are silent, whatever nodes and servers go through meanwhile: each
forwarding mode, each scheduler."""
import pytest

from lab.fleet import NOTHING_KEPT
from lab.shell import wait_until

MANY, FEW = 500, 60  # of each kind; of many, one in a thousand may be lost
SIZE = 30_000  # of a message, half of which is said little by little, for more than three minutes
MODES = ("nat", "fullnat", "dsr", "ipip", "gue")
SCHEDULERS = ("maglev", "wrr", "least_conn", "source")
SHORT = (("nat", "wrr"), ("fullnat", "source"), ("dsr", "least_conn"))
POOL = 'port = 25;  pool = "mta";'


class Crowd:
    """Sessions in mid-message, which say some octets each second, and silent ones after the greeting: `each` of either."""

    def __init__(self, fleet, each):
        self.count = 2 * each
        self.most = self.count * 999 // 1000  # of which none may be lost
        self._silent = fleet.mail(sessions=each, hold="greeted", run="silent")
        self._speaking = fleet.mail(sessions=each, hold="half_sent", run="speaking", size=SIZE, trickle_s=1)
        self._silent.wait_open(each)
        self._speaking.wait_held(each)

    def require_survived(self, lab):
        """They go on, and each message arrives, once and as it was."""
        mailers = (self._silent, self._speaking)
        for mailer in mailers:
            mailer.go()
        for mailer in mailers:
            mailer.wait()
        survived = sum(mailer.outcomes["delivered"] for mailer in mailers)
        print(f"{survived} of {self.count} sessions survived")
        assert survived >= self.most, [mailer.summary() for mailer in mailers]
        lab.wait_delivered()
        assert lab.tally().clean, lab.tally()


def start(lab, fleet, forwarding, scheduler):
    if forwarding not in ("nat", "fullnat"):
        fleet.answer_directly()
        lab.start_decapsulators()
    lab.start_backends(processes=2 * MANY + 100)  # by source all of them may be with one
    fleet.start(True, (POOL, f'{POOL} forwarding = "{forwarding}"; scheduler = "{scheduler}";'), NOTHING_KEPT)


def wait_resumed(*nodes):
    """Until sessions of others go on at these nodes."""
    for node in nodes:
        wait_until(lambda n=node: n.counters()["flows_resumed"] > 0, 120, "sessions of another node go on")


def case(forwarding, each, *more):
    marks = ([pytest.mark.moving] if forwarding == "fullnat" else []) + ([pytest.mark.long] if each == MANY else [])
    return pytest.param(forwarding, *more, each, marks=marks, id="-".join((forwarding, *more, str(2 * each))))


@pytest.mark.parametrize("forwarding, scheduler, each", [
    *(case(forwarding, FEW, scheduler) for forwarding, scheduler in SHORT),
    *(case(forwarding, MANY, scheduler) for forwarding in MODES for scheduler in SCHEDULERS)])
def test_sessions_outlive_their_node_and_its_return_while_weights_move_and_a_server_is_drained(lab, fleet, forwarding,
                                                                                               scheduler, each):
    start(lab, fleet, forwarding, scheduler)
    crowd = Crowd(fleet, each)
    fleet.wait_known(each // 2)
    for node in fleet.nodes:
        node.ctl("weight", "mta/mta1", "30")
        node.ctl("drain", "mta/mta2")
    fleet.kill(1)
    wait_resumed(fleet.nodes[0])
    fleet.revive(1, known=crowd.most)
    wait_resumed(fleet.nodes[1])
    crowd.require_survived(lab)
    for node in fleet.nodes:
        node.require_counter_law()


@pytest.mark.parametrize("forwarding, each", [case("nat", FEW), *(case(forwarding, MANY) for forwarding in MODES)])
def test_sessions_go_on_when_a_node_joins_and_routers_lead_half_of_them_to_it(lab, fleet, forwarding, each):
    start(lab, fleet, forwarding, "least_conn")
    fleet.kill(1)  # from here on it knows of nothing
    crowd = Crowd(fleet, each)
    fleet.revive(1, known=crowd.most)
    wait_resumed(fleet.nodes[1])
    crowd.require_survived(lab)
    assert fleet.nodes[1].counters()["flows_resumed"] >= each // 2
    for node in fleet.nodes:
        node.require_counter_law()


@pytest.mark.long
@pytest.mark.three
def test_sessions_of_three_nodes_outlive_one(lab, fleet):
    start(lab, fleet, "nat", "least_conn")
    crowd = Crowd(fleet, MANY)
    fleet.wait_known(MANY)
    fleet.kill(1)
    wait_resumed(fleet.nodes[0], fleet.nodes[2])
    crowd.require_survived(lab)
    for node in (fleet.nodes[0], fleet.nodes[2]):
        node.require_counter_law()
