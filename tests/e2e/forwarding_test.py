# SPDX-License-Identifier: Apache-2.0
"""The forwarding modes with real mail: delivered whole, logged under the client's own address, and counted to the last packet."""
import re

import pytest

from lab.mail_client import GREETED
from lab.network import BACK4, BACK6, VIP4, VIP6
from lab.shell import run, wait_until

LARGE = 400_000  # bytes: hundreds of segments of full size


def with_forwarding(config, forwarding, *more, crossed=False):
    """The lab's configuration with all services in a mode. `crossed`: IPv4 VIPs lead to IPv6 backends and the other way round."""
    pools = ("mta6", "mta") if crossed else ("mta", "mta6")
    return config(('pool = "mta";', f'pool = "POOL4"; forwarding = "{forwarding}";'),
                  ('pool = "mta6";', f'pool = "POOL6"; forwarding = "{forwarding}";'),
                  ("POOL4", pools[0]), ("POOL6", pools[1]), *more)


def send_mail(lab, sessions=20):
    """Small and large messages from IPv4 and IPv6 clients. Requires that all arrive, and that the servers know who sent them."""
    mailers = [lab.mailer(target=target, sessions=sessions, messages=2, size=size)
               for target in (VIP4, VIP6) for size in (2000, LARGE)]
    for mailer in mailers:
        mailer.wait()
        assert mailer.outcomes == {"delivered": sessions}, mailer.summary()
    lab.wait_delivered()
    result = lab.tally()
    assert result.clean, result
    return {address for backend in lab.backends
            for address in re.findall(r"connect from unknown\[([^\]]+)\]", backend.log.read_text())}


def require_clients(seen):
    assert any(address.startswith("192.0.2.1") for address in seen), seen
    assert any(address.startswith("2001:db8:25::1") for address in seen), seen


def test_fullnat_works_with_backends_that_have_no_route_to_anybody(lab, config):
    lab.network.forget_the_way_back()
    lab.start_backends()
    lab.start_balancer(with_forwarding(config, "fullnat"))
    seen = send_mail(lab)
    # Without a PROXY header all mail comes from us.
    assert seen == {f"{BACK4}.1", f"{BACK6}:1"}, seen
    counters = lab.balancer.require_counter_law()
    assert counters["flows_established"] >= 80
    assert counters["drop_no_local_port"] == 0


def test_fullnat_with_proxy_v2_tells_the_server_who_the_client_is(lab, config):
    lab.network.forget_the_way_back()
    lab.start_backends(main_extra="smtpd_upstream_proxy_protocol = haproxy")
    lab.start_balancer(with_forwarding(config, 'fullnat"; proxy = "v2',
                                       ('greeting:  { type = "banner";', 'greeting:  { type = "banner"; proxy = "v2";'),
                                       ('handshake: { type = "tcp"; ', 'handshake: { type = "smtps"; proxy = "v2";')))
    require_clients(send_mail(lab))
    counters = lab.balancer.require_counter_law()
    assert counters["proxy_headers_sent"] == 80


def test_fullnat_sessions_end_with_our_address_and_new_ones_take_another(lab, config):
    lab.start_greeters(25, 587, 465)
    lab.start_balancer(with_forwarding(config, "fullnat"))
    before = lab.mailer(target=VIP4, sessions=6, hold=GREETED)
    before.wait_open(6)
    run("ip", "-n", lab.network.balancer, "address", "add", f"{BACK4}.2/24", "dev", "slb0")
    run("ip", "-n", lab.network.balancer, "address", "del", f"{BACK4}.1/24", "dev", "slb0")
    # Deleting the first address of a network deletes the others, unless the kernel promotes them.
    run("ip", "-n", lab.network.balancer, "address", "replace", f"{BACK4}.2/24", "dev", "slb0")
    wait_until(lambda: lab.balancer.counters()["resets_to_client"] >= 6, 30, "open sessions told")
    before.go()
    before.wait()
    assert before.outcomes == {"reset": 6}, before.summary()
    lab.balancer.wait_state("mta", "mta1", 25, up=True, timeout_s=30)
    after = lab.mailer(target=VIP4, sessions=6, hold=GREETED)
    after.wait_open(6)
    after.kill()
    lab.balancer.require_counter_law()


def test_dsr_answers_reach_the_client_past_the_balancer(lab, config):
    lab.network.answer_directly()
    lab.start_backends()
    lab.start_balancer(with_forwarding(config, "dsr"))
    require_clients(send_mail(lab))
    counters = lab.balancer.require_counter_law()
    assert counters["flows_established"] >= 80
    wait_until(lambda: lab.balancer.flows() == 0, 20, "every session seen to its end from one side")
    service = next(entry for entry in lab.balancer.status()["services"] if entry["name"] == "relay")
    assert service["figures"]["packets_in"] > 0
    assert service["figures"]["packets_out"] == 0


@pytest.mark.parametrize("crossed", [False, True], ids=["same-family", "other-family"])
@pytest.mark.parametrize("forwarding", ["ipip", "gue"])
def test_tunnels_carry_mail_whole_though_full_segments_do_not_fit(lab, config, forwarding, crossed):
    lab.network.answer_directly()
    lab.start_backends()
    lab.start_decapsulators()
    lab.start_balancer(with_forwarding(config, forwarding, crossed=crossed))
    require_clients(send_mail(lab))
    counters = lab.balancer.require_counter_law()
    # The servers announce segments of full size, which with an outer header are too long: clients were told, and sent shorter ones.
    assert counters["icmp_sent"] > 0
    assert counters["drop_too_big"] > 0
    assert counters["flows_established"] >= 80
    wait_until(lambda: lab.balancer.flows() == 0, 20, "every session seen to its end from one side")


def test_a_dead_backends_sessions_are_reset_though_only_half_of_them_was_seen(lab, config):
    lab.network.answer_directly()
    lab.start_greeters(25, 587, 465)
    lab.start_balancer(with_forwarding(config, "dsr"))
    mailer = lab.mailer(target=VIP4, sessions=24, hold=GREETED)
    mailer.wait_open(24)
    doomed = mailer.backends()["mta1"]
    assert doomed > 0
    lab.network.set_backend_link(0, False)
    lab.balancer.wait_state("mta", "mta1", 25, up=False)
    wait_until(lambda: lab.balancer.counters()["resets_to_client"] >= doomed, 20, "clients told")
    mailer.go()
    mailer.wait()
    assert mailer.outcomes["reset"] == doomed, mailer.summary()
    lab.balancer.require_counter_law()
