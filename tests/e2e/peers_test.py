# SPDX-License-Identifier: Apache-2.0
"""Sessions that outlive their node: two nodes tell each other of them, one is killed, and routers move its sessions."""
import json
import socket
import statistics
import struct

import pytest

from lab.api import within
from lab.fleet import LEAST_CONN, LEAST_CONN6, NOTHING_KEPT, VIP, VIP6, client_of
from lab.fleet_network import PEERS, PORT
from lab.network import ip
from lab.routers import CLIENT
from lab.shell import run, wait_until

SESSIONS = 120
ETH_P_ALL, IP_HEADER, UDP_HEADER = 0x0003, 20, 8  # a bridge takes what is of one protocol before a socket sees it
FULLNAT = ('port = 25;  pool = "mta";', 'port = 25;  pool = "mta"; forwarding = "fullnat"; scheduler = "least_conn";')
COOKIES = ('scheduler = "least_conn";', 'scheduler = "least_conn"; syn_proxy = "always";')  # after the first of such a service
PROXY = (('port = 25;  pool = "mta";', 'port = 25;  pool = "mta"; scheduler = "least_conn"; proxy = "v2";'),
         ('port = 25;  pool = "mta6";', 'port = 25;  pool = "mta6"; scheduler = "least_conn"; proxy = "v1";'),
         ('greeting:  { type = "banner";', 'greeting:  { type = "ehlo"; proxy = "v2";'),
         ('handshake: { type = "tcp"; ', 'handshake: { type = "smtps"; proxy = "v2";'))
LATE_S = 0.9  # a SYN or its answer that is lost is sent again after a second


def in_mid_message(lab, fleet, target=VIP):
    """Sessions that have sent half of a message and stop there, known to both nodes."""
    mailer = fleet.mail(target, sessions=SESSIONS, hold="half_sent")
    mailer.wait_held(SESSIONS)
    fleet.wait_known(SESSIONS // 4)
    return mailer


def require_all_delivered(lab, mailer):
    """They go on: each message arrives, once and as it was."""
    mailer.go()
    mailer.wait()
    assert mailer.outcomes == {"delivered": SESSIONS}, mailer.summary()
    lab.wait_delivered()
    assert lab.tally().clean, lab.tally()


def ended_sessions(node, target):
    """Records of sessions with a message; nothing until there are so many."""
    shown = json.loads(node.ctl("sessions", "--json", "--limit", "2000", "--client", client_of(target)))["sessions"]
    return shown if len(shown) >= SESSIONS else None


@pytest.mark.parametrize("survivor, target, also", [(0, VIP, ()), (1, VIP, ()), (0, VIP6, ()), (1, VIP, (COOKIES,))],
                         ids=["first", "second", "IPv6", "syn-cookies"])
def test_sessions_in_mid_message_outlive_their_node(lab, fleet, survivor, target, also):
    lab.start_backends()
    fleet.start(True, LEAST_CONN, LEAST_CONN6, *also)
    mailer = in_mid_message(lab, fleet, target)
    fleet.kill(1 - survivor)
    require_all_delivered(lab, mailer)
    assert fleet.nodes[survivor].counters()["flows_resumed"] > 0
    fleet.nodes[survivor].require_counter_law()
    shown = fleet.nodes[survivor].ctl("peers")
    assert f"edge{2 - survivor}" in shown and "taken over: " in shown, shown
    records = wait_until(lambda: ended_sessions(fleet.nodes[survivor], target), 60, "records of the sessions")
    taken_over = [record for record in records if record["placed_by"] == "peer"]
    assert taken_over and all(record["adopted"] and record["backend"] for record in taken_over), records
    assert {record["placed_by"] for record in records} == {"load", "peer"}, "the others began here"


@pytest.mark.parametrize("target, also", [(VIP, ()), (VIP6, ()), (VIP, (COOKIES,))], ids=["IPv4", "IPv6", "syn-cookies"])
def test_sessions_with_a_proxy_header_outlive_their_node_though_servers_answer_by_either(lab, fleet, target, also):
    lab.start_backends(main_extra="smtpd_upstream_proxy_protocol = haproxy")
    fleet.start(True, *PROXY, *also)
    mailer = in_mid_message(lab, fleet, target)
    counters = [node.counters() for node in fleet.nodes]
    assert sum(node["proxy_headers_sent"] for node in counters) == SESSIONS
    assert all(node["flows_resumed"] > 0 for node in counters), "each has halves of sessions whose client the other has"
    passed, taken = (sum(node[name] for node in counters) for name in ("replies_passed", "replies_taken"))
    assert passed >= taken > SESSIONS // 4, (passed, taken)
    fleet.kill(1)
    require_all_delivered(lab, mailer)
    fleet.nodes[0].require_counter_law()
    seen = "".join(backend.log.read_text() for backend in lab.backends)
    assert seen.count(f": connect from unknown[{client_of(target)}]") == SESSIONS


@pytest.mark.parametrize("target, also", [(VIP, ()), (VIP6, ()), (VIP, (COOKIES,))], ids=["IPv4", "IPv6", "syn-cookies"])
def test_servers_answer_by_either_node_and_no_handshake_waits_for_a_retransmission(lab, fleet, target, also):
    lab.start_greeters()
    fleet.start(True, LEAST_CONN, LEAST_CONN6, *also)
    fleet.mail(target, sessions=40, messages=0, attempts=5).wait()
    for node in fleet.nodes:
        assert node.counters()["flows_created"] > 0, "it has clients, and so knows the way to them"
    before = [node.counters() for node in fleet.nodes]
    mailer = fleet.mail(target, sessions=400, messages=0, per_second=40, first_port=20_000).wait()
    assert mailer.outcomes == {"delivered": 400}, mailer.summary()
    times = sorted(event["opened_s"] for event in mailer.opened)
    late = sum(time > LATE_S for time in times)
    print(f"until the greeting: median {statistics.median(times) * 1000:.0f} ms, 99 % within {times[395] * 1000:.0f} ms, "
          f"{late} of {len(times)} beyond {LATE_S} s")
    assert late <= len(times) // 10, "as many as half wait where a node does not know what to do with the other's answer"
    resumed = sum(node.counters()["flows_resumed"] - was["flows_resumed"] for node, was in zip(fleet.nodes, before))
    assert resumed > 100, resumed
    passed, taken = (sum(node.counters()[name] for node in fleet.nodes) for name in ("replies_passed", "replies_taken"))
    assert passed >= taken and (taken > 100 if also else passed == 0), (passed, taken)
    for node in fleet.nodes:
        node.require_counter_law()


def test_what_another_node_began_is_no_new_session_of_one_that_drains(lab, fleet):
    lab.start_greeters()
    fleet.start()
    draining = fleet.nodes[0]
    mailer = fleet.mail(sessions=100_000, per_second=10, messages=0)
    wait_until(lambda: draining.counters()["flows_established"] > 0, 60, "it has clients, too, and knows the way to them")
    fleet.lead_clients(1)
    before = draining.counters()["flows_resumed"]
    wait_until(lambda: draining.counters()["flows_resumed"] > before + 5, 60, "it gets answers to clients of the other")
    said = draining.ctl("node", "drain", "--wait")
    assert "new sessions have ceased" in said, said
    before = draining.counters()["flows_resumed"]
    wait_until(lambda: draining.counters()["flows_resumed"] > before, 60, "and does so still")
    mailer.stop()
    mailer.wait()
    assert set(mailer.outcomes) == {"delivered"}, mailer.summary()


@pytest.mark.long
def test_nodes_behind_a_router_are_upgraded_under_load_and_no_session_is_lost(lab, fleet):
    """The runbook of docs/anycast.md: drain, restart both processes, undrain; first one node, then the other."""
    lab.start_backends()
    fleet.start(True, LEAST_CONN)
    held = in_mid_message(lab, fleet)
    stream = fleet.mail(sessions=100_000, per_second=10)
    stream.wait_open(20)
    for index in (0, 1):
        fleet.nodes[index].ctl("node", "drain")
        fleet.lead(1 - index)  # as routers do when the metric says so
        fleet.restart(index)
        fleet.nodes[index].ctl("node", "undrain")
        fleet.lead(0, 1)
        stream.wait_open(len(stream.opened) + 20)
    stream.stop()
    stream.wait()
    assert set(stream.outcomes) == {"delivered"}, stream.summary()
    require_all_delivered(lab, held)


@pytest.mark.moving
@pytest.mark.parametrize("survivor, also", [(0, ()), (1, ()), (0, (COOKIES,))], ids=["first", "second", "syn-cookies"])
def test_fullnat_sessions_outlive_their_node(lab, fleet, survivor, also):
    lab.start_backends()
    fleet.start(True, FULLNAT, *also)
    mailer = in_mid_message(lab, fleet)
    fleet.kill(1 - survivor)
    require_all_delivered(lab, mailer)
    counters = fleet.nodes[survivor].counters()
    assert counters["flows_resumed"] > 0
    assert counters["syn_cookies_accepted"] > 0 or not also
    fleet.nodes[survivor].require_counter_law()


@pytest.mark.moving
def test_fullnat_sessions_go_on_by_another_node_while_theirs_lives(lab, fleet):
    lab.start_backends()
    fleet.start(True, FULLNAT)
    mailer = in_mid_message(lab, fleet)
    fleet.lead(1)
    require_all_delivered(lab, mailer)
    assert fleet.nodes[1].counters()["flows_resumed"] > 0, "replies went to the node whose address it is"


@pytest.mark.moving
@pytest.mark.parametrize("mode", [FULLNAT, LEAST_CONN], ids=["fullnat", "nat"])
def test_silent_sessions_outlive_a_node_that_comes_back_with_nothing(lab, fleet, mode):
    lab.start_greeters()
    fleet.start(True, mode, NOTHING_KEPT)
    held = fleet.mail(sessions=SESSIONS, messages=0, hold="greeted")
    held.wait_open(SESSIONS)
    fleet.wait_known(SESSIONS // 4)
    fleet.kill(0)
    fleet.revive(0)
    wait_until(lambda: fleet.exchange(fleet.nodes[0])["known_now"] >= SESSIONS * 3 // 4, 60, "it hears of all")
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": SESSIONS}, held.summary()
    assert fleet.nodes[0].counters()["flows_resumed"] > 0
    for node in fleet.nodes:
        node.require_counter_law()


class Wire:
    """The nodes' own network as someone sees it who has got into it."""

    def __init__(self, lab):
        self._namespace = lab.network.wires
        ip(self._namespace, "address add 10.9.0.9/24 dev fleet")
        self._tap, self._raw, self._plain = within(self._namespace, lambda: (
            socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)),
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
        self._tap.bind(("fleet1", ETH_P_ALL))
        self._tap.settimeout(30)

    def record(self, count):
        """Packets from the second node to the first."""
        wanted = (socket.inet_aton(PEERS[1]), socket.inet_aton(PEERS[0]))
        packets = []
        while len(packets) < count:
            packet = self._tap.recv(2000)
            if packet[0] >> 4 == 4 and (packet[12:16], packet[16:20]) == wanted and packet[9] == socket.IPPROTO_UDP:
                packets.append(packet)
        return packets

    def send(self, packet):
        """As it is, but for a UDP checksum, which need not be there."""
        whole = bytearray(packet)
        whole[IP_HEADER + 6:IP_HEADER + 8] = b"\0\0"
        self._raw.sendto(bytes(whole), (PEERS[0], 0))

    def shout(self, payload):
        self._plain.sendto(payload, (PEERS[0], PORT))


def test_who_has_no_key_learns_nothing_and_changes_nothing(lab, fleet):
    lab.start_greeters()
    fleet.start(True, LEAST_CONN)
    wire = Wire(lab)
    held = fleet.mail(sessions=30, messages=0, hold="greeted")
    recorded = wire.record(6)
    held.wait_open(30)
    recorded += wire.record(6)
    assert not any(socket.inet_aton(CLIENT[0]) in packet for packet in recorded), "flows are told in the open"
    first = fleet.nodes[0]
    wait_until(lambda: fleet.exchange(first)["known_now"] >= 5, 60, "flows of the other node")
    before = fleet.exchange(first)
    for packet in recorded:
        wire.send(packet)
        for at in range(IP_HEADER + UDP_HEADER, len(packet), 7):
            forged = bytearray(packet)
            forged[at] ^= 0x20
            wire.send(forged)
        wire.shout(packet[IP_HEADER + UDP_HEADER:])
    wire.send(recorded[0][:IP_HEADER] + struct.pack("!HHHH", PORT, PORT, UDP_HEADER, 0))
    wait_until(lambda: fleet.exchange(first)["dropped"]["stranger"] >= len(recorded), 30, "strangers dropped")
    after = fleet.exchange(first)
    assert after["dropped"]["forged"] > before["dropped"]["forged"], after
    assert after["dropped"]["replayed"] > before["dropped"]["replayed"], after
    assert after["known_now"] == before["known_now"] and after["peers"][0]["restarts"] == 0, (before, after)
    heard = after["peers"][0]["datagrams"]
    wait_until(lambda: fleet.exchange(first)["peers"][0]["datagrams"] > heard + 1, 30, "the nodes speak on")
    metrics = run("curl", "-s", "http://127.0.0.1:9125/metrics", namespace=fleet.namespaces[0])
    assert 'sluice_peers_dropped_total{why="forged"}' in metrics and 'sluice_peer_heard_seconds{peer="10.9.0.2:2526"}' in metrics
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 30}, held.summary()


def test_a_change_of_the_fleet_waits_for_the_data_plane_and_is_told_until_then(lab, config):
    lab.start_greeters()
    path = config()
    lab.start_balancer(path)
    path.write_text(path.read_text().replace("checks:", 'fleet: { node = "edge7"; };\n\nchecks:', 1))
    waits = "until the data plane restarts: fleet"
    assert waits in lab.balancer.ctl("reload") and waits in lab.balancer.ctl("diff", str(path))
    lab.balancer.dataplane.stop()
    lab.balancer.start_dataplane()
    wait_until(lambda: "Nothing changes" in lab.balancer.ctl("diff", str(path)), 30, "the file is in use as a whole")
