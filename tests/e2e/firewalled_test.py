# SPDX-License-Identifier: Apache-2.0
"""A mail server's own firewall refuses the checks, and nothing else: fail2ban has met them, or a rule was lost. Who refuses lives."""
import pytest

from lab.firewall import firewall
from lab.network import BALANCER_BACK, VIP4
from lab.shell import wait_until

VICTIM = 1
PORTS = (25, 465, 587)
PROBES = 8  # of each port, beyond the first that fail: hosts send one ICMP error a second, so some of these meet silence


def refusing(verdict):
    """As a chain of the firewall."""
    rules = "".join(f"{family} saddr {address} tcp dport {{ 25, 465, 587 }} {verdict}\n"
                    for family, address in zip(("ip", "ip6"), BALANCER_BACK))
    return f"chain refuses {{ type filter hook input priority filter;\n{rules}}}"


@pytest.mark.parametrize("kind", ["admin-prohibited", pytest.param("host-unreachable", marks=pytest.mark.long),
                                  pytest.param("port-unreachable", marks=pytest.mark.long)])
def test_a_server_whose_firewall_refuses_the_checks_keeps_its_sessions_and_gets_no_new_ones(lab, kind):
    lab.start_backends()
    lab.start_balancer()
    victim = lab.backends[VICTIM].name
    held = lab.mailer(target=VIP4, sessions=60, hold="half_sent", size=30_000, timeout_s=240)
    held.wait_held(60)
    assert held.backends()[victim] > 5, held.backends()

    def probes():
        return {port: lab.balancer.backend("mta", victim, port)["last_check"]["probes"] for port in PORTS}

    with firewall([lab.network.backends[VICTIM]], refusing(f"reject with icmpx type {kind}")):
        for port in PORTS:
            lab.balancer.wait_state("mta", victim, port, up=False)
            found = lab.balancer.backend("mta", victim, port)
            assert f"refused by ICMP {kind} from" in found["reason"] and "firewall there" in found["reason"], found
        begun = probes()
        wait_until(lambda: all(probes()[port] >= begun[port] + PROBES for port in PORTS), 120, "more probes of every port refused")
        for port in PORTS:
            assert lab.balancer.backend("mta", victim, port)["standing"] == "out"
        fresh = lab.mailer(target=VIP4, sessions=100, messages=0, timeout_s=60).wait()
        assert fresh.outcomes == {"delivered": 100} and victim not in fresh.backends(), fresh.summary()
        assert not held.ended, held.ended[:3]
        held.go()
        held.wait()
        assert held.outcomes == {"delivered": 60}, held.summary()
        lab.wait_delivered()
    lab.balancer.wait_healthy()
    lab.balancer.require_counter_law()
