# SPDX-License-Identifier: Apache-2.0
"""More connections than the flow table holds, more workers than the devices have queues, and the moment before control's
first word."""
import pytest

from lab.network import VIP4, VIP6
from lab.shell import run, wait_until

AF_PACKET = (("net_af_xdp0,iface=lb-front", "net_af_packet0,iface=lb-front"),
             ("net_af_xdp1,iface=lb-back", "net_af_packet1,iface=lb-back"))
SMALL_TABLE = (("flow_capacity = 65536", "flow_capacity = 1024"),)
TWO_WORKERS = (("workers       = 1;", 'workers       = 2; lcores = "0,1";'),)


# All at once where the mail servers answer SYNs. Where we do, a client that has our answer needs an entry: there are some in
# reserve, and not for a crowd of a third of the table.
@pytest.mark.parametrize("syn_proxy, pace", [("off", {}), ("auto", {"per_second": 250})])
def test_sessions_beyond_the_flow_table_pass_without_an_entry(lab, config, syn_proxy, pace):
    lab.start_greeters()
    lab.start_balancer(config(*SMALL_TABLE, ('port = 25;  pool = "mta"; }', f'port = 25;  pool = "mta"; syn_proxy = "{syn_proxy}"; }}')))
    crowd = lab.mailer(target=VIP4, sessions=1400, messages=0, hold="greeted", timeout_s=60, **pace)
    crowd.wait_open(1400)  # each was greeted: those beyond the table too
    counters = lab.balancer.counters()
    # Who was without an entry once may stay so, where handshakes take long.
    full = counters["flows_established_now"]
    assert 1000 <= full <= 1024 and counters["flows_stateless"] > 0, "the table was not full, so nothing is proved"
    late = lab.mailer(target=VIP4, sessions=200, concurrency=20, messages=0, details=False).wait()
    assert late.sums["end:delivered"] == 200, late.sums
    assert lab.balancer.counters()["flows_established_now"] >= full, "an established flow had to go"
    crowd.go()
    crowd.wait()
    assert crowd.outcomes == {"delivered": 1400}, crowd.summary()
    assert lab.balancer.require_counter_law()["drop_table_full"] == 0


@pytest.mark.parametrize("rule", ["reset", "silence"])
def test_a_full_table_answers_as_configured(lab, config, rule):
    lab.start_greeters()
    lab.start_balancer(config(("flow_capacity = 65536", f'flow_capacity = 1024; on_table_full = "{rule}"')))
    # Not all at once: unfinished handshakes have a quarter of the table, and displace each other.
    crowd = lab.mailer(target=VIP4, sessions=1024, per_second=200, messages=0, hold="greeted", timeout_s=60)
    crowd.wait_open(1024)
    before = lab.balancer.counters()
    late = lab.mailer(target=VIP4, sessions=1, messages=0, timeout_s=3).wait()
    (event,) = late.ended
    assert event["outcome"] != "delivered"
    after = lab.balancer.counters()
    assert after["drop_table_full"] > before["drop_table_full"]
    resets = after["resets_to_client"] - before["resets_to_client"]
    assert (resets > 0) == (rule == "reset"), event
    crowd.go()
    crowd.wait()
    assert crowd.outcomes == {"delivered": 1024}, crowd.summary()


@pytest.mark.parametrize("device", ["af_xdp", "af_packet"])
def test_two_workers_hand_packets_over_and_deliver_every_message(lab, config, device):
    lab.start_backends()
    lab.start_balancer(config(*TWO_WORKERS, *(AF_PACKET if device == "af_packet" else ())))
    assert "hand packets over" in lab.balancer.dataplane.log_path.read_text()
    mailers = [lab.mailer(target=vip, doors=[[25, "plain"], [587, "starttls"]], sessions=100, messages=2, size=20_000)
               for vip in (VIP4, VIP6)]
    for mailer in mailers:
        mailer.wait()
        assert mailer.outcomes == {"delivered": 100}, mailer.summary()
    lab.wait_delivered()
    result = lab.tally(*mailers)
    assert result.clean, result
    assert sum(result.received.values()) == 400
    counters = lab.balancer.require_counter_law()
    assert counters["handed_in"] == counters["handed_out"] > 0
    assert counters["drop_handover_full"] == 0


def test_vips_wait_for_control_instead_of_refusing(lab):
    lab.start_greeters()
    lab.start_balancer()
    lab.balancer.control.stop()
    lab.balancer.dataplane.stop()
    lab.balancer.start_dataplane()
    eager = lab.mailer(target=VIP4, sessions=20, messages=0, timeout_s=40)  # the kernel would refuse them at once
    wait_until(lambda: len(run("ss", "-Htn", "state", "syn-sent", namespace=lab.network.clients[0]).splitlines()) == 20, 20,
               "every client waiting for an answer to its SYN")
    lab.balancer.start_control()
    eager.wait()
    assert eager.outcomes == {"delivered": 20}, eager.summary()
    assert lab.balancer.require_counter_law()["drop_not_ready"] > 0
