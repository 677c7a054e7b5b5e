# SPDX-License-Identifier: Apache-2.0
"""What nodes share by way of etcd, against three real members that take nobody without a certificate: mail servers that register
themselves come and go with no session lost; an etcd that is away or empty changes nothing, and is told of. What else goes wrong with
it: fleet_faults_test.py."""
import json
import shutil
import time

import pytest

from lab.balancer import Balancer
from lab.etcd import PREFIX
from lab.members import (ADDRESSES, OPEN, admin, discovered, hold, new_sessions, require_all_delivered, states, told_after, wait_admin,
                         wait_states)
from lab.network import BALANCER_BACK, VIP4, client_addresses
from lab.pair import Node
from lab.prometheus import fetch
from lab.registered import blocked, fault, own, put, require_all_serve, seen_as, wait_fault
from lab.shell import wait_until

IN_SERVICE_S = 5  # from the key to traffic, with lab.cfg's checks each second
GENEROUS_S = 5  # for what takes a second, beside other labs


def test_mail_servers_register_and_leave_and_no_session_is_cut(lab, etcd, start_registered):
    start_registered()
    first = [etcd.register(index) for index in range(2)]
    wait_states(lab, mta1="up", mta2="up")
    held = hold(lab)
    assert set(held.backends()) == {"mta1", "mta2"}

    began = time.monotonic()
    third = etcd.register(2)
    wait_until(lambda: states(lab).get("mta3") == "up", 20, "mta3 is in service")
    took = time.monotonic() - began
    assert took < IN_SERVICE_S, f"in service after {took:.1f} s"
    wait_states(lab, mta1="up", mta2="up", mta3="up")
    assert set(new_sessions(lab)) == set(ADDRESSES)

    late = lab.mailer(target=VIP4, sessions=30, messages=0, hold="greeted", timeout_s=120)
    late.wait_open(30)
    assert late.backends()["mta3"] > 0
    began = time.monotonic()
    third.process.terminate()
    wait_until(lambda: states(lab).get("mta3") == "removed, draining", 10, "mta3 drains")
    took = time.monotonic() - began
    print(f"a leave is seen after {took:.1f} s")
    assert took < GENEROUS_S, took
    third.process.wait(10)  # by itself: a second signal would meet an interpreter that is going
    etcd.leave(third)
    assert third.process.returncode == 0 and "left" in third.log_path.read_text()
    assert set(new_sessions(lab)) == {"mta1", "mta2"}
    late.go()
    late.wait()
    assert late.outcomes == {"delivered": 30}, late.summary()

    # One that dies without a word leaves when its lease is over; who has a key and no sense is told of.
    first[1].process.kill()
    wait_until(lambda: states(lab).get("mta2") == "removed, draining", 30, "the lease of mta2 is over")
    etcd.ctl("put", f"{PREFIX}/backends/mta/odd", '{"name": "odd", "addres": "10.0.1.12"}')
    wait_until(lambda: f"{PREFIX}/backends/mta/odd: " in discovered(lab)["fault"], 10, discovered(lab)["fault"])
    etcd.ctl("del", f"{PREFIX}/backends/mta/odd")
    wait_until(lambda: not discovered(lab)["fault"], 10, "it is gone")
    require_all_delivered(lab, held)


def test_etcd_that_is_away_or_empty_changes_nothing(lab, etcd, start_registered):
    start_registered()
    put(etcd, *ADDRESSES)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    held = hold(lab)
    etcd.stop_member(0)  # two of three go on, without a word
    etcd.ctl("put", f"{PREFIX}/backends/mta/mta3", json.dumps({"name": "mta3", "address": ADDRESSES["mta3"], "weight": 50}))
    wait_until(lambda: lab.balancer.backend("mta", "mta3", 25)["weight"]["configured"] == 50, 20, "the change is seen")
    wait_until(lambda: not fault(lab), 10, fault(lab))
    etcd.stop_member(1)  # and one alone has no say
    wait_fault(lab, "etcd does not answer")
    etcd.stop()
    wait_fault(lab, "Connection refused")
    require_all_serve(lab)
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    wait_fault(lab, "Connection refused")
    metrics = fetch(lab.network.balancer, "/metrics")
    assert 'sluice_discovery_refused{pool="mta"} 1' in metrics and "sluice_fleet_etcd_refused 1" in metrics
    assert "what is known stays" in lab.balancer.ctl("events")
    etcd.start()
    wait_until(lambda: not fault(lab), 20, "etcd answers again")

    etcd.ctl("del", "--prefix", f"{PREFIX}/")  # the keys
    wait_until(lambda: discovered(lab)["missing"] == 3, 10, "nobody is not believed")
    require_all_serve(lab)
    put(etcd, *ADDRESSES)
    wait_until(lambda: discovered(lab)["missing"] == 0, 10, "they are back")
    require_all_delivered(lab, held)


def test_nodes_are_seen_side_by_side(lab, etcd, start_registered):
    start_registered()
    put(etcd, *ADDRESSES)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    seen = lambda: json.loads(lab.balancer.ctl("fleet", "--json"))  # noqa: E731
    own = lambda: next(node for node in seen()["nodes"] if node["node"] == "edge1")  # noqa: E731
    wait_until(lambda: seen()["nodes"], 20, "the node is there")
    held = hold(lab)
    wait_until(lambda: (own()["sessions"] or 0) >= OPEN and own()["down"] == 0, 20, "its report tells of the sessions")
    tables = {pool["table_digest"] for pool in lab.balancer.status()["pools"]}
    wait_until(lambda: set(own()["tables"].values()) == tables, 10, f"{own()['tables']} are {tables}")
    assert not seen()["differences"]
    figures = lambda: [line for line in fetch(lab.network.balancer, "/metrics").splitlines() if line.startswith("sluice_fleet_")]  # noqa: E731
    assert figures() == ["sluice_fleet_etcd_refused 0", "sluice_fleet_write_refused 0", "sluice_fleet_name_taken 0", "sluice_fleet_nodes 1",
                         "sluice_fleet_differences 0"]

    other = {**own(), "version": "0.0.1", "zone": "b"}
    etcd.ctl("put", f"{PREFIX}/nodes/edge2", json.dumps(other))
    wait_until(lambda: "version differs: 0.0.1 on edge2; " in lab.balancer.ctl("fleet"), 10, lab.balancer.ctl("fleet"))
    etcd.ctl("put", f"{PREFIX}/nodes/edge3", "no report")
    assert {node["node"] for node in seen()["nodes"]} == {"edge1", "edge2"}
    assert "sluice_fleet_nodes 2" in figures() and "sluice_fleet_differences 1" in figures()
    etcd.ctl("del", f"{PREFIX}/nodes/edge2")
    wait_until(lambda: not seen()["differences"], 10, "alone again")
    lab.balancer.control.stop()
    wait_until(lambda: f"{PREFIX}/nodes/edge1" not in etcd.keys(), 30, "who is gone is not listed when the lease is over")
    lab.balancer.start_control()
    wait_until(lambda: seen()["nodes"], 20, "the node is there again")
    require_all_delivered(lab, held)


@pytest.fixture
def second(lab, etcd):
    """A function that starts a second node, which meets the same etcd by the back network."""
    def second(name="edge2"):
        text = lab.balancer.config.read_text().replace('node = "edge1"', f'node = "{name}"')
        path = lab.directory / "second.cfg"
        path.write_text(text.replace("https://127.0.0.1:", f"https://{BALANCER_BACK[0]}:"))
        nodes.append(Balancer(Node(lab.network.add_balancer(), 1), lab.directory / "second", path))
        nodes[0].start(healthy=False)
        wait_until(lambda: admin(nodes[0], "mta1"), 20, "it has heard of the backends")
        return nodes[0]
    nodes = []
    yield second
    for node in nodes:
        node.stop()


def test_what_is_said_for_all_nodes_holds_on_all_of_them(lab, etcd, start_registered, second):
    start_registered()
    put(etcd, *ADDRESSES)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    nodes = (lab.balancer, second())
    held = hold(lab)
    began = time.time()
    nodes[1].ctl("drain", "mta/mta1", "--fleet")
    wait_admin(nodes, "mta1", "draining")
    took = [told_after(node, "on all nodes: draining", began) for node in nodes]
    print(f"drain --fleet holds after {took[1]:.3f} s where it was said, {took[0]:.3f} s elsewhere")
    assert max(took) < GENEROUS_S, took
    assert set(new_sessions(lab)) == {"mta2", "mta3"}
    assert "on all nodes (root (uid 0) at edge2)" in lab.balancer.backend("mta", "mta1", 25)["reason"]
    assert "on all nodes: draining (root (uid 0) at edge2)" in lab.balancer.ctl("events")
    shown = lab.balancer.ctl("fleet")
    assert "mta/mta1" in shown.split("ON ALL NODES")[1], shown

    # Both speak at once: one is heard, the other is told who was faster, and both nodes have the same in the end.
    conflicts = 0
    for weight in range(10, 40, 2):
        said = [(node.ctl_start("weight", "mta/mta2", str(weight + each), "--fleet"), weight + each) for each, node in enumerate(nodes)]
        done = [(speaker.communicate(timeout=60)[1], speaker.returncode, wanted) for speaker, wanted in said]
        heard = [wanted for _, code, wanted in done if code == 0]
        for words, code, _ in done:
            assert code == 0 or "mta/mta2 was changed meanwhile by root (uid 0) at edge" in words, words
            conflicts += code != 0
        assert heard

        def weights():
            return [node.backend("mta", "mta2", 25)["weight"]["by_hand"] for node in nodes]
        wait_until(lambda: weights()[0] == weights()[1] and weights()[0] in heard, 10, f"{weights()} of {heard}")
    assert conflicts, "they were never at the same time, so nothing is proved"

    etcd.stop()
    wait_fault(lab, "Connection refused")
    refused = lab.balancer.ctl_run("enable", "mta/mta1", "--fleet")
    assert refused.returncode != 0 and "etcd is not to be had" in refused.stderr, refused
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_admin(nodes[:1], "mta1", "draining")  # as it was
    lab.balancer.ctl("weight", "mta/mta2", "77")
    assert lab.balancer.backend("mta", "mta2", 25)["weight"]["by_hand"] == 77, "what is said here goes on"
    etcd.start()
    wait_until(lambda: not fault(lab), 20, "etcd answers again")

    lab.balancer.ctl("clear", "--all", "--fleet")
    wait_admin(nodes, "mta1", "enabled")
    assert [node.backend("mta", "mta2", 25)["weight"]["by_hand"] for node in nodes] == [77, None]
    etcd.ctl("put", f"{PREFIX}/wishes/mta/mta3", "no wish")
    wait_until(lambda: "not understood" in lab.balancer.ctl("events"), 10, "it is told of")
    lab.balancer.ctl("pool", "mta", "drain", "--fleet", "--deadline", "1s")
    for name in ADDRESSES:  # what made no sense has given way, too
        wait_admin(nodes, name, "disabled")
    held.wait()


def test_a_warm_up_is_paused_and_rolled_back_on_all_nodes(lab, etcd, start_registered, second):
    start_registered()
    start = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 9 * 86400))
    put(etcd, *ADDRESSES)
    etcd.ctl("put", f"{PREFIX}/backends/mta/mta1", json.dumps(
        {"name": "mta1", "address": ADDRESSES["mta1"], "warm_up": {"start": start, "days": 20, "from": 0.1}}))
    nodes = (lab.balancer, second())

    def wait_warm_up(words):
        for node in nodes:
            wait_until(lambda n=node: words in n.ctl("warmup", "mta/mta1"), 20, f"{words}, now {node.ctl('warmup', 'mta/mta1')}")
    wait_warm_up(" day 10 of 20")
    nodes[1].ctl("warmup", "mta/mta1", "pause", "--fleet")
    wait_warm_up("paused by hand on day 10 of 20")
    for node in nodes:
        assert "paused since 2" in node.ctl("fleet").split("WARM-UP")[1]
    nodes[0].ctl("warmup", "mta/mta1", "rollback", "--days", "3", "--fleet")
    wait_warm_up("paused by hand on day 7 of 20")
    nodes[0].control.stop()
    nodes[0].start_control()
    wait_warm_up("paused by hand on day 7 of 20")
    nodes[0].ctl("warmup", "mta/mta1", "resume", "--fleet")
    wait_warm_up(" day 7 of 20, ")
    for node in nodes:
        assert "3.0 days behind its dates" in node.ctl("warmup", "mta/mta1")
        shown = node.ctl("fleet").split("WARM-UP")[1]
        assert "3.0 days behind its dates" in shown and "paused" not in shown, shown


def test_two_nodes_of_one_name_are_told_and_neither_overwrites_the_other(lab, etcd, start_registered, second):
    start_registered()
    put(etcd, *ADDRESSES)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    first = lab.balancer
    wait_until(lambda: seen_as(first, "edge1") == [own(first)["instance"]], 20, "the first is shown")
    former = own(first)["instance"]
    first.control.stop()  # a successor is no other node
    first.start_control()
    wait_until(lambda: seen_as(first, "edge1") == [own(first)["instance"]], 20, "its successor is shown")
    assert own(first)["rival"] is None and own(first)["instance"] != former
    assert "another node" not in first.ctl("events")

    later = second("edge1")
    for node, other in ((first, later), (later, first)):
        wait_until(lambda n=node: own(n)["rival"], 20, "it hears of the other")
        assert own(node)["rival"]["instance"] == own(other)["instance"] and own(node)["rival"]["host"]
        assert own(node)["shown"] == (node is first)
        assert seen_as(node, "edge1") == [own(first)["instance"]]
        assert "another node is called so, too" in node.ctl("events")
        for command in ("status", "fleet"):
            assert "ANOTHER NODE is called edge1, too" in node.ctl(command)
        assert "sluice_fleet_name_taken 1" in fetch(node.network.balancer, "/metrics")
    held = hold(lab)
    first.ctl("drain", "mta/mta1", "--fleet")  # both hear still
    wait_admin((first, later), "mta1", "draining")

    first.control.stop()
    wait_until(lambda: own(later)["shown"] and own(later)["rival"] is None and seen_as(later, "edge1") == [own(later)["instance"]], 40,
               "the later one takes its place")
    assert "no other node is called so any more" in later.ctl("events")
    assert f"{PREFIX}/rivals" not in " ".join(etcd.keys())
    first.start_control()  # and is the later one now
    wait_until(lambda: own(first)["rival"] and own(later)["rival"], 20, "told again")
    assert not own(first)["shown"] and own(later)["shown"]
    require_all_delivered(lab, held)


def wait_blocked(nodes, prefix, there, timeout_s=10):
    for node in nodes:
        wait_until(lambda: (prefix in blocked(node)) == there, timeout_s, f"{prefix} {'blocked' if there else 'free'}")


def test_who_is_blocked_on_all_nodes_is_so_until_the_same_moment(lab, etcd, start_registered, second):
    start_registered()
    put(etcd, *ADDRESSES)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    nodes = (lab.balancer, second())
    guest, other = client_addresses(0)[0][:2]
    held = hold(lab)
    nodes[1].ctl("block", f"{guest}/32", "--fleet")
    wait_blocked(nodes, f"{guest}/32", True)
    assert blocked(lab.balancer)[f"{guest}/32"]["fleet"] == {"node": "edge2", "who": "root (uid 0)"}
    assert "fleet (root (uid 0) at edge2)" in lab.balancer.ctl("blocked", guest)
    assert f"{guest}/32" in lab.balancer.ctl("fleet").split("BLOCKED ON ALL NODES")[1]
    assert "blocked on all nodes (root (uid 0) at edge2)" in lab.balancer.ctl("events")
    assert 'sluice_blocked_prefixes{by="fleet"} 1' in fetch(lab.network.balancer, "/metrics")
    outcomes = [lab.mailer(target=VIP4, sources=[source], sessions=1, messages=0, timeout_s=5).wait().outcomes for source in (guest, other)]
    assert outcomes[0].get("delivered", 0) == 0 and outcomes[1] == {"delivered": 1}, outcomes
    alone = lab.balancer.ctl_run("unblock", f"{guest}/32")
    assert alone.returncode != 0 and "but on all of them" in alone.stderr, alone
    lab.balancer.ctl("unblock", f"{guest}/32", "--fleet")
    wait_blocked(nodes, f"{guest}/32", False)
    assert lab.mailer(target=VIP4, sources=[guest], sessions=1, messages=0).wait().outcomes == {"delivered": 1}
    assert "is not blocked on all nodes" in lab.balancer.ctl_run("unblock", f"{guest}/32", "--fleet").stderr

    # Both speak at once: one is heard, the other is told who was faster, or was heard after it.
    conflicts = 0
    for minutes in range(10, 30, 2):
        said = [node.ctl_start("block", "203.0.113.0/24", "--for", f"{minutes + each}m", "--fleet") for each, node in enumerate(nodes)]
        done = [(speaker.communicate(timeout=60)[1], speaker.returncode) for speaker in said]
        assert any(code == 0 for _, code in done), done
        for words, code in done:
            assert code == 0 or "203.0.113.0/24 was changed meanwhile by root (uid 0) at edge" in words, words
            conflicts += code != 0
        wait_until(lambda: len({json.dumps(blocked(node)["203.0.113.0/24"]) for node in nodes}) == 1, 10, "both have heard the same")
    assert conflicts, "they were never at the same time, so nothing is proved"
    etcd.ctl("put", f"{PREFIX}/blocks/0.0.0.0/0", "no block")
    wait_until(lambda: "not understood" in lab.balancer.ctl("events"), 10, "it is told of")
    assert set(blocked(lab.balancer)) == {"203.0.113.0/24"}
    lab.balancer.ctl("block", "198.51.100.0/24", "--for", "30s", "--fleet")
    wait_blocked(nodes, "198.51.100.0/24", True)
    etcd.stop()
    wait_fault(lab, "Connection refused")
    assert "etcd is not to be had" in lab.balancer.ctl_run("unblock", "203.0.113.0/24", "--fleet").stderr
    lab.balancer.control.stop()
    lab.balancer.start_control()
    assert blocked(lab.balancer)["198.51.100.0/24"] == blocked(nodes[1])["198.51.100.0/24"], "as it was"
    wait_blocked(nodes, "198.51.100.0/24", False, 45)
    ends = [next(each["id"] for each in json.loads(node.ctl("events", "--json"))["events"]  # in microseconds
                 if each["subject"] == "198.51.100.0/24" and "its time is up" in each["text"]) for node in nodes]
    assert abs(ends[0] - ends[1]) < 1.5e6, ends
    assert "203.0.113.0/24" in blocked(lab.balancer)
    require_all_delivered(lab, held)


def test_certificates_that_are_wrong_are_told(lab, etcd, start_registered):
    foreign = type(etcd.authority)(lab.directory / "foreign")
    certificate, key = foreign.issue("node", ["node.test"])
    paths = {name: lab.directory / name for name in ("ca.pem", "node.pem", "node.key")}

    def use(ca, certificate, key):
        for path, source in zip(paths.values(), (ca, certificate, key)):
            shutil.copy(source, path)
    use(etcd.authority.certificate, *etcd.client)
    start_registered(ca_file=paths["ca.pem"], cert_file=paths["node.pem"], key_file=paths["node.key"])
    put(etcd, *ADDRESSES)
    wait_states(lab, **{name: "up" for name in ADDRESSES})

    def restart_etcd():
        etcd.stop()
        etcd.start()
    use(etcd.authority.certificate, certificate, key)
    restart_etcd()
    wait_fault(lab, "TLS: ")
    use(etcd.authority.certificate, *etcd.authority.issue("former", ["node.test"], days=-1))
    restart_etcd()
    wait_fault(lab, "TLS: ")
    require_all_serve(lab)
    use(foreign.certificate, *etcd.client)
    restart_etcd()
    wait_fault(lab, "its certificate is not accepted: ")
    use(etcd.authority.certificate, *etcd.client)
    paths["node.key"].unlink()
    restart_etcd()
    wait_fault(lab, f"fleet.etcd.key_file: {paths['node.key']}: No such file or directory")
    require_all_serve(lab)
    use(etcd.authority.certificate, *etcd.client)
    wait_until(lambda: not fault(lab), 20, "all is well")
    etcd.server = etcd.authority.issue("expired", ["127.0.0.1"], days=-1)
    etcd.stop()
    for member in range(3):
        etcd.start_member(member)
    wait_fault(lab, "its certificate is not accepted: certificate has expired")
    require_all_serve(lab)
    etcd.server = etcd.peer
    restart_etcd()
    wait_until(lambda: not fault(lab), 20, "all is well")
