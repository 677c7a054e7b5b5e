# SPDX-License-Identifier: Apache-2.0
"""What moves weights while nothing is down: a brown-out, 421, an agent, a spare tier, slow start. On real sessions."""
import time

import pytest

from lab.balancer import EXAMPLE
from lab.lab import Lab
from lab.network import VIP4, backend_addresses
from lab.shell import wait_until

BACKENDS = 5
INTERVAL_S = 2


@pytest.fixture
def lab():
    with Lab(backends=BACKENDS) as made:
        yield made


def write_config(lab, check="", pool="", **backends):
    """One pool of five at port 25; `backends` are more settings by name."""
    head = EXAMPLE.read_text().split("// Short intervals")[0]
    members = ",\n".join(f'{{ name = "mta{i + 1}"; address = "{backend_addresses(i)[0]}"; {backends.get(f"mta{i + 1}", "")} }}'
                         for i in range(BACKENDS))
    path = lab.directory / "weights.cfg"
    path.write_text(f"""{head}
checks: {{ greeting: {{ type = "banner"; interval = 1.0; fast_interval = 0.3; greeting_timeout = 5.0; rise = 2; fall = 2;
                        {check} }}; }};
pools = ( {{ name = "mta"; check = "greeting"; {pool}
  backends = ( {members} ); }} );
services = ( {{ name = "relay"; vip = "{VIP4}"; port = 25; pool = "mta"; }} );
""")
    return path


def factor(lab, name, which):
    """A factor of the backend's weight: value and reason."""
    (found,) = [each for each in lab.balancer.backend("mta", name, 25)["weight"]["factors"] if each["name"] == which]
    return found["value"], found["reason"]


def shares(lab, sessions):
    """What part of new sessions each backend gets. All of them have to succeed."""
    mailer = lab.mailer(target=VIP4, sessions=sessions, messages=0, concurrency=40).wait()
    assert mailer.outcomes == {"delivered": sessions}, mailer.summary()
    return {f"mta{i + 1}": mailer.backends()[f"mta{i + 1}"] / sessions for i in range(BACKENDS)}


def test_a_brown_out_costs_weight_and_one_of_all_backends_costs_none(lab):
    """One of five greets ten times slower: it loses weight within three intervals. Then all five do: none loses any."""
    lab.start_greeters("25")
    names = [f"mta{i + 1}" for i in range(BACKENDS)]
    for name in names:
        lab.set_temper(name, delay_s=0.03)
    lab.start_balancer(write_config(
        lab, pool=f"passive: {{ interval = {INTERVAL_S}.0; cooldown = {INTERVAL_S}.0; min_samples = 10; }};"))
    traffic = lab.mailer(target=VIP4, sessions=1_000_000, messages=0, per_second=60, details=False)
    judged = [names[0], names[4]]

    def greeted(count):
        return all(figure >= count for figure in lab.balancer.backend_figures("flows_created").values())
    wait_until(lambda: greeted(30), 60, "enough traffic to judge by")
    assert [factor(lab, name, "passive")[0] for name in judged] == [1, 1]

    lab.set_temper("mta3", delay_s=0.3)
    before = lab.balancer.backend_figures("flows_created")["mta3"]
    wait_until(lambda: factor(lab, "mta3", "passive")[0] < 1, 60, "mta3 loses weight")
    value, reason = factor(lab, "mta3", "passive")
    assert "the others' median is" in reason and "max_greeting_ratio 3" in reason, (value, reason)
    wait_until(lambda: factor(lab, "mta3", "passive")[0] <= 0.25, 60, "more of it while it stays slow")
    assert [factor(lab, name, "passive")[0] for name in judged] == [1, 1]
    share = lab.balancer.backend("mta", "mta3", 25)["weight"]["share"]
    assert share < 0.08, (share, before)

    for name in names:
        lab.set_temper(name, delay_s=0.3)
    wait_until(lambda: all(factor(lab, name, "passive")[0] == 1 for name in names), 90, "even weights again")
    (pool,) = lab.balancer.status()["pools"]
    assert pool["state"] == "in service", pool
    assert all(abs(entry["weight"]["share"] - 0.2) < 0.02 for entry in lab.balancer.status()["backends"])
    traffic.stop()
    traffic.wait()
    assert set(traffic.sums) <= {"end:delivered", *(f"open:{name}" for name in names)}, traffic.sums
    log = lab.balancer.control.log_path.read_text()
    assert "mta/mta3:25: weight factor passive 1 -> 0.5: the greeting takes" in log, log[-2000:]
    lab.balancer.require_counter_law()


def test_a_backend_that_says_421_keeps_a_share_and_its_sessions(lab):
    lab.start_greeters("25")
    lab.start_balancer(write_config(lab, check="soft_weight = 0.25;", pool="passive: { enabled = false; };"))
    held = lab.mailer(target=VIP4, sessions=20, messages=0, hold="greeted")
    held.wait_open(20)
    lab.set_temper("mta2", greeting="421 4.3.2 try again later")
    wait_until(lambda: lab.balancer.backend("mta", "mta2", 25)["state"] == "soft", 20, "mta2 soft")
    assert factor(lab, "mta2", "health")[0] == 0.25
    assert "421 4.3.2 try again later" in lab.balancer.backend("mta", "mta2", 25)["reason"]
    for i in range(BACKENDS):
        lab.set_temper(f"mta{i + 1}", greeting="421 4.3.2 try again later")
    wait_until(lambda: {entry["state"] for entry in lab.balancer.status()["backends"]} == {"soft"}, 20, "all soft")
    assert lab.balancer.status()["pools"][0]["state"] == "in service"
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 20}, held.summary()


def test_an_agent_steers_the_weight_of_its_server(lab):
    lab.start_greeters("25")
    says, service = lab.start_agent(0)
    lab.start_balancer(write_config(lab, pool="agent_interval = 0.3; passive: { enabled = false; };",
                                    mta1=f'agent = "{backend_addresses(0)[0]}:9707";'))
    wait_until(lambda: factor(lab, "mta1", "agent") == (1, "agent: up 100%"), 10, "the agent's first word")
    says.write_text("25%\n")
    wait_until(lambda: factor(lab, "mta1", "agent") == (0.25, "agent: 25%"), 10, "25%")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    assert abs(shares(lab, 500)["mta1"] - 0.25 / 4.25) < 0.04

    held = lab.mailer(target=VIP4, sessions=120, messages=0, hold="greeted")
    held.wait_open(120)
    says.write_text("drain # upgrade at noon\n")
    wait_until(lambda: lab.balancer.backend("mta", "mta1", 25)["state"] == "draining", 10, "draining")
    assert lab.balancer.backend("mta", "mta1", 25)["reason"] == "agent: drain # upgrade at noon"
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    assert shares(lab, 100)["mta1"] == 0
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 120}, held.summary()

    service.stop()
    wait_until(lambda: "no answer for 3 s" in factor(lab, "mta1", "agent")[1], 20, "the agent is missed")
    assert factor(lab, "mta1", "agent")[0] == 0, "it had the backend out, and that stays"


def test_a_spare_tier_takes_over_and_gives_back_by_a_slow_start(lab):
    lab.start_greeters("25")
    lab.start_balancer(write_config(lab, check='expect = "^220";', pool="slow_start = 3.0; tier_hold = 1.0; passive: { enabled = false; };",
                                    mta4="tier = 1;", mta5="tier = 1;"))
    got = shares(lab, 90)
    assert got["mta4"] == got["mta5"] == 0, got
    for name in ("mta1", "mta2", "mta3"):
        lab.set_temper(name, greeting="554 5.3.2 closed")
    wait_until(lambda: factor(lab, "mta4", "tier")[0] == 1, 20, "the spare tier")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    got = shares(lab, 90)
    assert got["mta1"] == got["mta2"] == got["mta3"] == 0, got
    lab.set_temper("mta1")
    wait_until(lambda: factor(lab, "mta4", "tier")[0] == 0, 20, "back to tier 0")
    lab.set_temper("mta2")
    seen = set()

    def full():
        backend = lab.balancer.backend("mta", "mta2", 25)
        seen.add(round(factor(lab, "mta2", "slow_start")[0], 2))
        return backend["state"] == "up" and factor(lab, "mta2", "slow_start")[0] == 1
    wait_until(full, 20, "mta2 at full weight")
    assert any(value < 1 for value in seen), seen
    log = lab.balancer.control.log_path.read_text()
    assert "tier 1 takes the traffic, as tier 0 is out" in log and "tier 0 takes the traffic again" in log, log[-2000:]


def test_the_own_zone_comes_first_and_others_take_what_it_cannot(lab):
    lab.start_greeters("25")
    path = write_config(lab, check='expect = "^220";', pool="passive: { enabled = false; };", mta1='zone = "a";', mta2='zone = "a";',
                        mta3='zone = "a";', mta4='zone = "b";', mta5='zone = "b";')
    path.write_text(path.read_text() + '\nfleet: { zone = "a"; };\n')
    lab.start_balancer(path)
    got = shares(lab, 90)
    assert got["mta4"] == got["mta5"] == 0 and got["mta1"] > 0, got
    assert "in zone b, and a carries everything" in lab.balancer.ctl("explain", "203.0.113.7:40000", "relay")
    for name in ("mta2", "mta3"):
        lab.set_temper(name, greeting="554 5.3.2 closed")
    # A third of the zone carries 1.4 thirds.
    wait_until(lambda: "100 of 300 weight left" in factor(lab, "mta4", "zone")[1], 20, "its zone is short")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    got = shares(lab, 600)
    assert got["mta2"] == got["mta3"] == 0 and abs(got["mta1"] - 1.4 / 3) < 0.1, got
    path.write_text(path.read_text().replace('fleet: { zone = "a"; }', 'fleet: { zone = "b"; }'))
    lab.balancer.ctl("reload")
    wait_until(lambda: factor(lab, "mta1", "zone")[0] == 0, 20, "moved to the other zone, by a reload")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    assert shares(lab, 60)["mta1"] == 0


def test_a_zone_whose_backends_are_full_sends_sessions_elsewhere(lab):
    lab.start_greeters("25")
    most, more = 10, 20
    own, other = (f'zone = "{zone}"; max_connections = {count};' for zone, count in (("a", most), ("b", 100)))
    path = write_config(lab, check='expect = "^220";', pool="passive: { enabled = false; };", mta1=own, mta2=own, mta3=own, mta4=other, mta5=other)
    path.write_text(path.read_text() + '\nfleet: { zone = "a"; };\n')
    lab.start_balancer(path)
    got = shares(lab, 30)
    assert got["mta4"] == got["mta5"] == 0, got
    short = "in zone b, and a is short: 0 of 300 weight left; 3 of its backends near max_connections"
    filling = []
    while factor(lab, "mta4", "zone") != (1, short):  # some go to the other zone on the way, where one of ours is full before the others
        assert len(filling) < 40, [mailer.backends() for mailer in filling]
        filling.append(lab.mailer(target=VIP4, sessions=3, concurrency=3, messages=0, hold="greeted", timeout_s=300))
        filling[-1].wait_open(3)
        time.sleep(0.5)  # how full they are is looked at once a second
    assert short in lab.balancer.ctl("explain", "203.0.113.7:40000", "relay")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    held = lab.mailer(target=VIP4, sessions=more, concurrency=more, messages=0, hold="greeted", timeout_s=120)
    held.wait_open(more)
    assert held.backends()["mta4"] + held.backends()["mta5"] >= more - 3, held.backends()
    assert "near max_connections: " in lab.balancer.ctl("events")
    for mailer, count in (*((each, 3) for each in filling), (held, more)):
        mailer.go()
        mailer.wait()
        assert mailer.outcomes == {"delivered": count}, mailer.summary()
    wait_until(lambda: factor(lab, "mta4", "zone")[1] == "in zone b, and a carries everything", 180, "there is room again")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "settled")
    got = shares(lab, 30)
    assert got["mta4"] == got["mta5"] == 0, got
