# SPDX-License-Identifier: Apache-2.0
"""Junk as fast as the lab makes it, of many kinds at once, beside health checks and open sessions: nothing flaps, nothing is lost."""
from lab.glitches import World
from lab.junk import KINDS, throw
from lab.network import BALANCER_FRONT, VIP4
from lab.shell import run, tail

SECONDS = 12
BACK = ["routed", "behind"]
FRONT = [kind for kind in KINDS if kind not in BACK]


def since(lab):
    """When each backend came into the state that it is in."""
    return {backend["name"]: (backend["state"], backend["since"]) for backend in lab.balancer.status()["backends"]}


def test_junk_of_many_kinds_costs_no_session_and_no_health_check():
    with World() as world:
        lab = world.lab
        held = world.hold()
        before, was = lab.balancer.counters(), since(lab)
        assert {state for state, _ in was.values()} == {"up"}
        throwers = [throw(lab, "front", FRONT, SECONDS), throw(lab, "back", BACK, SECONDS)]
        fresh = lab.mailer(target=VIP4, sessions=60, per_second=6, attempts=3, timeout_s=60)
        for thrower in throwers:
            thrower.process.wait(SECONDS + 60)
            assert thrower.process.returncode == 0, tail(thrower.log_path)
        assert since(lab) == was, "a backend has flapped"
        sent, rates = zip(*(map(int, tail(thrower.log_path).split()) for thrower in throwers))
        after = lab.balancer.require_counter_law()
        counted = {name: after[name] - before[name] for name in after if name.startswith("drop_") and after[name] != before[name]}
        print({"sent": sent, "per_second": rates, "received": after["received"] - before["received"], **counted}, flush=True)
        assert after["received"] - before["received"] > sum(sent) / 10, "most of it never reached the balancer"
        assert counted["drop_strangers"] > 100 and counted["drop_echo"] > 100, counted
        fresh.wait(180)
        assert fresh.outcomes["delivered"] == 60, fresh.summary()
        world.require_all_delivered([*held, fresh])
        # When it is over, the kernel is where it was.
        for address in (VIP4, BALANCER_FRONT[0]):
            assert " 0% packet loss" in run("ping", "-c", "3", "-i", "0.2", "-W", "1", address, namespace=lab.network.clients[0])
        world.require_service()
