# SPDX-License-Identifier: Apache-2.0
"""Backends and processes die while sessions are open. Those whose backend lives must not notice."""
import time

import pytest

from lab.network import VIP4

# The lab's checks: interval 1.0 and fast_interval 0.5, both with a jitter of 0.2; connect_timeout 1.0; fall 2.
INTERVAL_S, FAST_S, CONNECT_S, FALL = 1.2, 0.6, 1.0, 2
MARGIN_S = 0.5  # for a machine that is busy
REFUSED_WITHIN_S = INTERVAL_S + (FALL - 1) * FAST_S + MARGIN_S
SILENT_WITHIN_S = REFUSED_WITHIN_S + FALL * CONNECT_S
VICTIM = 1


def open_sessions(lab, count=200):
    """Sessions in the middle of a message, on all three backends."""
    held = lab.mailer(target=VIP4, sessions=count, hold="half_sent", size=30_000, timeout_s=30)
    held.wait_held(count)
    share = held.backends()
    assert all(share[backend.name] > count / 10 for backend in lab.backends), share
    return held


def require_survivors_delivered(lab, held, victim):
    """All sessions of the other backends delivered; none of the victim's did. Returns the victim's end events."""
    of_victim = [event for event in held.ended if event["backend"] == victim]
    others = [event for event in held.ended if event["backend"] != victim]
    assert len(of_victim) + len(others) == held.plan.sessions
    bad = [event for event in others if event["outcome"] != "delivered"]
    assert not bad, f"{len(bad)} sessions of living backends broke: {bad[:3]}"
    lab.wait_delivered()
    result = lab.tally(held)
    assert not (result.lost or result.duplicated or result.corrupted), result
    assert sum(count for name, count in result.received.items() if name != victim) >= len(others)
    return of_victim


def test_a_killed_backend_costs_only_its_own_sessions(lab):
    """The processes die, the machine lives: its kernel ends the sessions and refuses new ones."""
    lab.start_backends()
    lab.start_balancer()
    held = open_sessions(lab)
    victim = lab.backends[VICTIM]
    stream = lab.mailer(target=VIP4, sessions=600, messages=0, per_second=100, timeout_s=10)
    stream.wait_open(50)
    died_at = time.monotonic()
    victim.kill()
    stream.wait()
    held.go()
    held.wait()
    for event in require_survivors_delivered(lab, held, victim.name):
        assert event["outcome"] in ("closed", "reset") and event["time"] - died_at < REFUSED_WITHIN_S, event
    late = [event for event in stream.ended
            if event["outcome"] != "delivered" and event["time"] > died_at + REFUSED_WITHIN_S]
    assert not late, f"{len(late)} new connections still went to the dead backend: {late[:3]}"
    assert sum(event["time"] > died_at + REFUSED_WITHIN_S for event in stream.ended) > 100, "too short to prove it"
    assert lab.balancer.backend("mta", victim.name, 25)["state"] == "down"

    victim.start()
    lab.balancer.wait_healthy()
    again = lab.mailer(target=VIP4, sessions=300, messages=0).wait()
    assert again.outcomes == {"delivered": 300} and again.backends()[victim.name] > 30, again.backends()


def test_clients_of_a_silent_backend_get_a_prompt_reset(lab):
    """The cable is pulled: nothing answers. The balancer must tell the clients, which would wait for minutes."""
    lab.start_backends()
    lab.start_balancer()
    held = open_sessions(lab)
    victim = lab.backends[VICTIM]
    stream = lab.mailer(target=VIP4, sessions=800, messages=0, per_second=100, timeout_s=20)
    stream.wait_open(50)
    lab.network.set_backend_link(VICTIM, up=False)
    died_at = time.monotonic()
    own = held.backends()[victim.name]
    held.wait_for(lambda mailer: sum(event["backend"] == victim.name for event in mailer.ended) == own,
                  SILENT_WITHIN_S + 5, "every client of the silent backend told")
    held.go()
    held.wait()
    for event in require_survivors_delivered(lab, held, victim.name):
        assert event["outcome"] == "reset", event
        assert event["time"] - died_at < SILENT_WITHIN_S, f"told after {event['time'] - died_at:.1f} s"
    stream.wait()
    late = [event for event in stream.opened
            if event["backend"] == victim.name and event["time"] > died_at + SILENT_WITHIN_S]
    assert not late
    finished = sum(event["outcome"] == "delivered" and event["time"] > died_at + SILENT_WITHIN_S for event in stream.ended)
    assert finished > 100, f"only {finished} sessions after the verdict: {stream.summary()}"
    assert lab.balancer.counters()["resets_to_client"] >= own


def test_with_keep_the_sessions_of_a_silent_backend_wait_for_it(lab, config):
    lab.start_backends()
    lab.start_balancer(config(('port = 25;  pool = "mta";', 'port = 25;  pool = "mta"; on_backend_down = "keep";')))
    held = open_sessions(lab, 60)
    lab.network.set_backend_link(VICTIM, up=False)
    lab.balancer.wait_state("mta", lab.backends[VICTIM].name, 25, up=False)
    lab.network.set_backend_link(VICTIM, up=True)
    lab.balancer.wait_healthy()
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 60}, held.summary()


def test_control_killed_and_restarted_in_mid_traffic_loses_nothing(lab):
    lab.start_backends()
    lab.start_balancer()
    held = open_sessions(lab)
    stream = lab.mailer(target=VIP4, doors=[[25, "plain"], [587, "starttls"], [465, "tls"]], sessions=600, messages=1,
                        per_second=60, timeout_s=30)
    stream.wait_open(60)
    lab.balancer.kill_control()
    begun_alone = len(stream.opened)
    stream.wait_open(begun_alone + 120)  # new sessions are placed while control is gone
    for _ in range(2):
        lab.balancer.start_control()
        lab.balancer.wait_healthy()
        stream.wait_open(min(len(stream.opened) + 60, 600))
        lab.balancer.kill_control()
    lab.balancer.start_control()
    held.go()
    held.wait()
    stream.wait()
    assert held.outcomes == {"delivered": 200}, held.summary()
    assert stream.outcomes == {"delivered": 600}, stream.summary()
    lab.wait_delivered()
    result = lab.tally(held, stream)
    assert result.clean and sum(result.received.values()) == 800, result
    lab.balancer.require_counter_law()


def test_a_backend_that_dies_while_control_is_gone_is_found_by_the_new_control(lab):
    lab.start_backends()
    lab.start_balancer()
    victim = lab.backends[VICTIM]
    lab.balancer.kill_control()
    victim.kill()
    lab.balancer.start_control()
    lab.balancer.wait_state("mta", victim.name, 25, up=False)
    mailer = lab.mailer(target=VIP4, sessions=200, messages=0).wait()
    assert mailer.outcomes == {"delivered": 200} and victim.name not in mailer.backends(), mailer.summary()


def test_with_every_backend_down_clients_are_told_at_once(lab):
    lab.start_backends()
    lab.start_balancer()
    for backend in lab.backends:
        backend.kill()
    for backend in lab.backends:
        lab.balancer.wait_state("mta", backend.name, 25, up=False)
    began = time.monotonic()
    mailer = lab.mailer(target=VIP4, sessions=20, messages=0, timeout_s=10).wait()
    assert set(mailer.outcomes) <= {"unreachable", "reset"}, mailer.summary()
    assert time.monotonic() - began < 5
    assert lab.balancer.counters()["drop_no_backend"] >= 20


@pytest.mark.parametrize("number", [15, 9], ids=["SIGTERM", "SIGKILL"])
def test_the_data_plane_can_be_stopped_and_started_again(lab, number):
    """Flows are not kept yet; service must come back, with control finding its way by itself."""
    lab.start_backends()
    lab.start_balancer()
    lab.balancer.dataplane.stop(number)
    lab.balancer.start_dataplane()
    lab.balancer.wait_healthy()
    mailer = lab.mailer(target=VIP4, sessions=50, attempts=5).wait()
    assert len(mailer.confirmed) == 50, mailer.summary()
    lab.balancer.require_running()
