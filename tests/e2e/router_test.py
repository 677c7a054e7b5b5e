# SPDX-License-Identifier: Apache-2.0
"""A router towards clients that fails over to another MAC address while the server is the next to speak: its clients hear
the server all the same, as replies follow the router."""
import pytest

from lab.network import VIP4, VIP6
from lab.routers import CLIENT, Routers
from lab.shell import wait_until

SESSIONS = 40
GREETING_AFTER_S = 15
RELAYS = [('vip = "192.0.2.25";      port = 25;  pool = "mta"; }', 'vip = "192.0.2.25";      port = 25;  pool = "mta"; check = "handshake"; }'),
          ('vip = "2001:db8:25::25"; port = 25;  pool = "mta6"; }', 'vip = "2001:db8:25::25"; port = 25;  pool = "mta6"; check = "handshake"; }')]


def counter(lab, name):
    return lab.balancer.status()["counters"][name]


@pytest.mark.parametrize("target, source", [(VIP4, CLIENT[0]), (VIP6, CLIENT[1])], ids=["v4", "v6"])
def test_replies_follow_a_router_that_moves(lab, config, target, source):
    lab.start_greeters()
    lab.start_balancer(config(*RELAYS))
    routers = Routers(lab)
    routers.build()
    quick = lab.mailer(client=routers.client, target=target, sources=[source], sessions=5, messages=0).wait()
    assert quick.outcomes == {"delivered": 5}, quick.summary()

    for backend in ("mta1", "mta2", "mta3"):
        lab.set_temper(backend, delay_s=GREETING_AFTER_S)
    before = counter(lab, "flows_established")
    silent = lab.mailer(client=routers.client, target=target, sources=[source], sessions=SESSIONS, messages=0, timeout_s=90)
    wait_until(lambda: counter(lab, "flows_established") - before >= SESSIONS, 10, "all connected")
    routers.move()
    silent.wait()
    assert silent.outcomes == {"delivered": SESSIONS}, silent.summary()
    assert counter(lab, "flows_moved_router") >= SESSIONS
    assert "has moved from" in lab.balancer.ctl("events")
    lab.balancer.require_counter_law()
