# SPDX-License-Identifier: Apache-2.0
"""The first law: an open session is cut only on evidence that its own server is dead.

In each test 120 sessions are in mid-message, half of them silent, half sending, while something goes wrong that is not their
server's death. All of them have to end well afterwards, with each message stored once. Tests share a lab until one of them fails.
"""
import random

import pytest

from lab.glitches import DAY_S, World, last
from lab.shell import wait_until

LONG = pytest.mark.long


@pytest.fixture(scope="module")
def worlds():
    """The lab that is in use, if any."""
    kept = []
    yield kept
    for world in kept:
        world.close()


@pytest.fixture
def world(worlds, request):
    if not worlds:
        worlds.append(World().__enter__())
    yield worlds[0]
    if request.node.failed:  # whatever state it is in
        worlds.pop().close()


def require_survival(world, cause, of_dead=()):
    held = world.hold()
    cause()
    world.require_all_delivered(held, of_dead)
    world.require_service()


# The network.


@pytest.mark.parametrize("side", ["back", "front"])
@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=LONG), pytest.param(60, marks=LONG)])
def test_a_cable_that_is_out_for_a_while_costs_no_session(world, side, seconds):
    require_survival(world, lambda: world.link_down(side, seconds))


@pytest.mark.parametrize("side,forward_delay_s", [("back", 2), pytest.param("back", 15, marks=LONG),
                                                  pytest.param("front", 15, marks=LONG)])
def test_a_port_that_waits_for_spanning_tree_costs_no_session(world, side, forward_delay_s):
    """A link is there for twice the delay before anything passes."""
    require_survival(world, lambda: world.wait_for_spanning_tree(side, forward_delay_s))


@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=LONG)])
def test_a_switch_that_restarts_costs_no_session(world, seconds):
    """Every port behind is without a link, and all ARP entries are gone when it is back."""
    require_survival(world, lambda: world.restart_switch(seconds))


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=LONG)])
def test_addresses_that_are_flushed_and_set_again_cost_no_session(world, seconds):
    require_survival(world, lambda: world.flush_addresses(seconds))


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=LONG)])
def test_a_twin_that_is_set_down_and_up_costs_no_session(world, seconds):
    require_survival(world, lambda: world.twin_down(seconds))


@pytest.mark.parametrize("seconds", [3, pytest.param(20, marks=LONG)])
def test_a_twin_that_is_deleted_costs_no_session(world, seconds):
    require_survival(world, lambda: world.delete_twin(seconds))


@pytest.mark.parametrize("seconds", [5, pytest.param(20, marks=LONG)])
def test_a_server_that_dies_as_a_cable_is_out_costs_only_its_own_sessions(world, seconds):
    """It is silent like all others for a while. When these answer again, it alone is dead, and its clients are told."""
    victim = 1
    name = world.lab.backends[victim].name
    held = world.hold()
    world.lab.network.set_backend_link(victim, up=False)
    world.link_down("back", seconds)
    of_victim = sum(mailer.backends()[name] for mailer in held)
    wait_until(lambda: sum(event["backend"] == name for mailer in held for event in mailer.ended) == of_victim, 120,
               "every client of the dead server told")
    world.require_all_delivered(held, of_dead=[name])
    world.lab.network.set_backend_link(victim, up=True)
    world.require_service()


# Our own processes.


@pytest.mark.parametrize("times,every_s", [(3, 1), pytest.param(20, 3, marks=LONG)])
def test_control_killed_again_and_again_costs_no_session(world, times, every_s):
    require_survival(world, lambda: world.kill_control(times, every_s))


@pytest.mark.parametrize("times,every_s", [(2, 4), pytest.param(6, 10, marks=LONG)])
def test_a_data_plane_killed_again_and_again_costs_no_session(world, times, every_s):
    require_survival(world, lambda: world.kill_dataplane(times, every_s))


def test_both_processes_killed_at_once_cost_no_session(world):
    require_survival(world, world.kill_both)


@pytest.mark.parametrize("replace", [False, True], ids=["goes on", "replaced"])
def test_a_data_plane_that_pauses_costs_no_session(world, replace):
    require_survival(world, lambda: world.pause_dataplane(5, replace))


# Clock, disk, probes.


def test_a_wall_clock_set_forward_and_back_by_a_day_costs_no_session(world):
    def cause():
        for seconds in (DAY_S, -DAY_S, 0):
            world.clock.set(seconds)
            last(3)
    require_survival(world, cause)


def test_certificates_that_expire_all_at_once_cost_no_session(world):
    """By control's clock: the servers' certificates are good for two days."""
    def cause():
        world.clock.set(3 * DAY_S)
        last(6)
    require_survival(world, cause)
    world.clock.set(0)


@LONG
def test_certificates_that_expire_in_the_middle_of_messages_cost_no_session(world):
    def cause():
        world.issue_certificates(ends_in_s=20)
        last(40)
    try:
        held = world.hold()
        cause()
        world.require_all_delivered(held)
    finally:
        world.issue_certificates()
    world.require_service()


def test_a_state_directory_that_is_full_read_only_or_gone_costs_no_session(world):
    def cause():
        for trouble in ("full", "read-only", "gone"):
            with world.state_directory(trouble):
                world.lab.balancer.ctl("weight", "mta/mta1", "90", check=False)
                world.kill_control()
            world.lab.balancer.ctl("clear", "--all")
    require_survival(world, cause)


@pytest.mark.parametrize("answers,seconds", [(("421", "554", "reset"), 4), pytest.param(("silence",), 60, marks=LONG),
                                             pytest.param(("421",), 60, marks=LONG), pytest.param(("554",), 60, marks=LONG),
                                             pytest.param(("reset",), 60, marks=LONG)],
                         ids=lambda value: "-".join(value) if isinstance(value, tuple) else f"{value}s")
def test_a_middlebox_that_answers_all_probes_costs_no_session_and_no_new_one(world, answers, seconds):
    def cause():
        for answer in answers:
            with world.probes_answered(answer):
                stream = world.stream(10)
                last(seconds)
                stream.stop()
                stream.wait()
            assert set(stream.outcomes) == {"delivered"}, (answer, stream.summary())
            world.lab.balancer.wait_healthy(120)
    require_survival(world, cause)


# Anything, in any order.


@pytest.mark.parametrize("events", [4, pytest.param(40, marks=LONG)])
def test_whatever_happens_in_whatever_order_costs_no_session(world, events):
    """A few glitches one upon the other. `SLUICE_SEED` plays one again."""
    seed = world.seed()
    print(f"SLUICE_SEED={seed}", flush=True)
    rng = random.Random(seed)
    held = world.hold()
    for _ in range(events):
        name, cause = rng.choice(world.glitches(rng))
        print(name, flush=True)
        cause()
        last(rng.choice((0, 0.5, 3)))
    world.clock.set(0)
    world.require_all_delivered(held)
    world.require_service()
