# SPDX-License-Identifier: Apache-2.0
"""Limits on sources: who is over one is told 421 and may come again, others are not touched, through reloads and restarts."""
import json
import time

from lab.network import VIP4, VIP6, client_addresses
from lab.shell import wait_until

V4, V6 = client_addresses(0)
LIMITS = """sources: {{ allow = ["{exempt}"];
  limits = ( {{ of = "address"; connections = {connections}; action = "{action}"; services = [{services}]; }} ); }};

checks:"""


def with_limit(connections, action="421", services=""):
    return ("checks:", LIMITS.format(exempt=V4[9], connections=connections, action=action, services=services))


def come(lab, source, sessions=1):
    target = VIP6 if ":" in source else VIP4
    return lab.mailer(target=target, sources=[source], sessions=sessions, messages=0, timeout_s=5).wait().outcomes


def limits(lab):
    return json.loads(lab.balancer.ctl("limits", "--json"))


def open_of(lab, source):
    return sum(each["open"] for each in limits(lab)["sources"] if each["prefix"].split("/")[0] == source)


def hold(lab, source, sessions):
    target = VIP6 if ":" in source else VIP4
    held = lab.mailer(target=target, sources=[source], sessions=sessions, messages=0, hold="greeted", timeout_s=90)
    held.wait_open(sessions)
    return held


def release(mailer, sessions):
    mailer.go()
    mailer.wait()
    assert mailer.outcomes == {"delivered": sessions}, mailer.summary()


def test_a_source_at_its_limit_is_told_421_until_its_sessions_end(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(with_limit(3)))
    for source in (V4[0], V6[0]):
        held = hold(lab, source, 3)
        assert open_of(lab, source) == 3, limits(lab)
        assert come(lab, source, 2) == {"refused": 2}, "told 421"
        assert come(lab, V4[1]) == {"delivered": 1} and come(lab, V6[1]) == {"delivered": 1}, "others are not touched"
        (known,) = [each for each in limits(lab)["sources"] if each["prefix"].split("/")[0] == source]
        assert known["at_limit"] == "connections" and known["refused"] == 2, known
        if ":" not in source:
            assert "its source is at limit 1" in lab.balancer.ctl("explain", f"{source}:40000", "relay")
        release(held, 3)
        wait_until(lambda who=source: open_of(lab, who) == 0, 10, "its sessions are over")
        assert come(lab, source) == {"delivered": 1}
    exempt = hold(lab, V4[9], 5)
    release(exempt, 5)
    counters = lab.balancer.require_counter_law()
    assert counters["refusals_sent"] >= 4, counters
    (rule,) = limits(lab)["rules"]
    assert rule["refused"]["connections"] == 4, rule
    # What was refused in control's first second was so before it looked.
    held = hold(lab, V4[0], 3)
    wait_until(lambda: come(lab, V4[0]) == {"refused": 1} and "rate-limited" in lab.balancer.ctl("events"), 10, "the event tells")
    release(held, 3)


def test_a_source_at_its_limit_waits_in_the_tarpit_before_it_is_told(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(with_limit(2, "tarpit")))
    held = hold(lab, V4[0], 2)
    begun = time.monotonic()
    late = lab.mailer(target=VIP4, sources=[V4[0]], sessions=20, messages=0, timeout_s=60)
    impatient = lab.mailer(target=VIP4, sources=[V4[0]], sessions=3, messages=0, timeout_s=2)
    assert impatient.wait().outcomes == {"timeout": 3}
    assert come(lab, V4[1]) == {"delivered": 1}, "others are not touched"
    assert late.wait().outcomes == {"refused": 20}, late.summary()
    assert 29 < time.monotonic() - begun < 40
    release(held, 2)
    wait_until(lambda: open_of(lab, V4[0]) == 0, 10, "its sessions are over")
    assert come(lab, V4[0]) == {"delivered": 1}
    counters = lab.balancer.require_counter_law()
    assert counters["refusals_sent"] == 23, "who hung up was told so too"


def test_a_reload_moves_the_limit_and_restarts_count_what_is_open(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(with_limit(3, "drop")))
    held = hold(lab, V4[0], 3)
    assert come(lab, V4[0]) == {"timeout": 1}
    config(with_limit(4, "drop"))
    lab.balancer.ctl("reload")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "the new limit in use")
    assert open_of(lab, V4[0]) == 3
    assert come(lab, V4[0]) == {"delivered": 1}

    lab.balancer.dataplane.stop()
    lab.balancer.start_dataplane()
    wait_until(lambda: open_of(lab, V4[0]) == 3, 20, "kept sessions are counted again")
    config(with_limit(3, "drop"))
    lab.balancer.ctl("reload")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "the old limit in use")
    assert come(lab, V4[0]) == {"timeout": 1}
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"] and open_of(lab, V4[0]) == 3, 20, "counted again")
    assert come(lab, V4[0]) == {"timeout": 1}
    release(held, 3)
    wait_until(lambda: open_of(lab, V4[0]) == 0, 10, "its sessions are over")
    assert come(lab, V4[0]) == {"delivered": 1}
    lab.balancer.require_counter_law()
