# SPDX-License-Identifier: Apache-2.0
"""Who is refused and why, in one list: what is blocked, who is at a limit, who speaks before the greeting; the most active first."""
import json

from lab import early_talker
from lab.api import Api, require_as_described
from lab.network import VIP4, VIP6, client_addresses
from lab.shell import run, wait_until

V4, V6 = client_addresses(0)
SOURCES = f"""sources: {{ allow = ["{V4[9]}"]; early_talkers = {{ then = "nothing"; }};
  limits = ( {{ of = "address"; connections = 2; action = "reset"; services = ["relay"]; }} ); }};

checks:"""


def come(lab, source, sessions=1):
    target = VIP6 if ":" in source else VIP4
    return lab.mailer(target=target, sources=[source], sessions=sessions, messages=0, timeout_s=3).wait().outcomes


def counts(lab):
    """What each source is there for, and how often."""
    answer = json.loads(lab.balancer.ctl("sources", "--json"))
    assert answer["sample"]["unseen"] == 0, answer
    return {(each["prefix"], each["why"]): each["count"] for each in answer["sources"]}


def speak_early(lab, source):
    run(*early_talker.command(VIP4, source), namespace=lab.network.clients[0])


def test_one_list_tells_who_is_refused_and_why(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(("checks:", SOURCES)))
    assert counts(lab) == {} and "nobody was refused" in lab.balancer.ctl("sources")
    greedy, talker, outcast = V4[:3]

    for _ in range(2):
        speak_early(lab, talker)
    speak_early(lab, V4[9])
    wait_until(lambda: counts(lab) == {(f"{talker}/32", "early_talker"): 2}, 20, "the early talker, and not who is exempt")
    assert come(lab, talker) == {"delivered": 1}, "nothing is done to it"
    blocked = json.loads(lab.balancer.ctl("blocked", "--json"))
    assert blocked["blocked"] == [] and blocked["offences"]["early_talkers"] == 2, blocked

    held = lab.mailer(target=VIP4, sources=[greedy], sessions=2, messages=0, hold="greeted", timeout_s=90)
    held.wait_open(2)
    assert "delivered" not in come(lab, greedy, 3)
    wait_until(lambda: counts(lab).get((f"{greedy}/32", "limit"), 0) >= 3, 20, "who is at its limit")

    for source in (outcast, V6[2]):
        lab.balancer.ctl("block", source)
    wait_until(lambda: "delivered" not in come(lab, outcast) and "delivered" not in come(lab, V6[2]), 30, "both blocked")
    wait_until(lambda: {(f"{outcast}/32", "blocked"), (f"{V6[2]}/128", "blocked")} <= counts(lab).keys(), 20, "what is blocked")

    api = Api(lab.network.balancer)
    require_as_described(api.get("/api/v1/sources?top=3"), "/api/v1/sources", api.get("/api/v1/openapi.json"))
    assert len(api.get("/api/v1/sources?top=1")["sources"]) == 1
    shown = lab.balancer.ctl("sources")
    for words in ("blocked (hand)", "early talker", "limit 1", "every refused session of the last minute is in it", "4 of 4 sources"):
        assert words in shown, shown
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 2}, held.summary()
    assert lab.balancer.require_counter_law()["drop_policy"] > 0
