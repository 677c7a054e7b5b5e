# SPDX-License-Identifier: Apache-2.0
"""Real mail through the balancer: all of it, whole, once, and spread as the weights say."""
import pytest

from lab.network import VIP4, VIP6

DOORS = [[25, "plain"], [587, "starttls"], [465, "tls"]]

AF_PACKET = (("net_af_xdp0,iface=lb-front", "net_af_packet0,iface=lb-front"),
             ("net_af_xdp1,iface=lb-back", "net_af_packet1,iface=lb-back"))


def require_all_delivered(lab, mailer, messages):
    """Every session ended well, and every message lies in exactly one mailbox with the body it was sent with."""
    assert mailer.outcomes == {"delivered": mailer.plan.sessions}, mailer.summary()
    assert len(mailer.confirmed) == messages
    lab.wait_delivered()
    result = lab.tally(mailer)
    assert result.clean, result
    assert sum(result.received.values()) == messages
    return result


@pytest.mark.parametrize("device", ["af_xdp", "af_packet"])
def test_five_hundred_sessions_at_once_deliver_every_message_whole(lab, config, device):
    lab.start_backends()
    lab.start_balancer(config(*(AF_PACKET if device == "af_packet" else ())))
    mailer = lab.mailer(target=VIP4, doors=DOORS, sessions=500, messages=3, size=20_000, hold="greeted")
    mailer.wait_open(500)
    assert lab.balancer.flows() >= 500
    mailer.go()
    mailer.wait()
    result = require_all_delivered(lab, mailer, 1500)
    assert all(result.received.values()), f"a backend got nothing: {result.received}"
    lab.balancer.require_counter_law()


def test_ipv6_service_carries_mail_on_all_ports(lab):
    lab.start_backends()
    lab.start_balancer()
    mailer = lab.mailer(target=VIP6, doors=DOORS, sessions=150, messages=2, size=20_000).wait()
    require_all_delivered(lab, mailer, 300)


@pytest.mark.parametrize("weights", [(100, 100, 100), (200, 100, 100), (50, 150, 300)])
def test_ten_thousand_connections_are_spread_as_the_weights_say(lab, config, weights):
    lab.start_greeters()
    lab.start_balancer(config(*((f'address = "10.0.1.{10 + i}";', f'address = "10.0.1.{10 + i}"; weight = {weight};')
                                for i, weight in enumerate(weights))))
    total = 10_000
    mailer = lab.mailer(target=VIP4, sessions=total, concurrency=200, messages=0, details=False).wait()
    assert mailer.sums["end:delivered"] == total, mailer.sums
    greeted = mailer.backends()
    assert sum(greeted.values()) == total
    shares = [100 * greeted[f"mta{i + 1}"] / total for i in range(3)]
    wanted = [100 * weight / sum(weights) for weight in weights]
    assert shares == pytest.approx(wanted, abs=3), f"shares {shares}, weights ask for {wanted}"
    created = lab.balancer.backend_figures("flows_created")
    assert created == {name: greeted[name] for name in ("mta1", "mta2", "mta3")}, "the balancer's own count differs"
    # The servers' own counts: ours, and the health probes beside them.
    accepted = lab.stop_greeters()
    assert all(0 <= accepted[name] - greeted[name] < 1000 for name in greeted), (accepted, greeted)


def test_a_session_keeps_its_backend_while_it_lasts(lab):
    """Commands with pauses between them, far enough apart for a worker that sleeps: still one backend, no reset."""
    lab.start_backends()
    lab.start_balancer()
    mailer = lab.mailer(target=VIP4, doors=DOORS, sessions=60, messages=8, pause_s=1.0).wait()
    require_all_delivered(lab, mailer, 480)
    by_session = {}
    for message_id, backend in mailer.confirmed.items():
        by_session.setdefault(message_id.split(".")[2], set()).add(backend)
    assert all(len(backends) == 1 for backends in by_session.values())
