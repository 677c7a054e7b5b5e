# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with etcd, against three real members: hung, cut off, full, wiped, restored from an old snapshot, another. What was
known stays, wishes and blocks, too; no session is cut, it is told, and it mends."""
import json
import shutil
import time

import pytest

from lab.etcd import MEMBERS, PREFIX
from lab.members import ADDRESSES, admin, hold, new_sessions, require_all_delivered, states, wait_admin, wait_states
from lab.prometheus import fetch
from lab.registered import blocked, fault, own, put, require_all_serve, seen_as, wait_believed, wait_fault
from lab.shell import CommandError, run, wait_until

BLOCKED = "203.0.113.0/24"
SET_BACK = "etcd was set back"
LEASE_S = 10  # of a node, and of a mail server
KINDS = 4  # of keys that a node watches: backends, nodes, wishes, blocks
QUOTA_BYTES = 2 << 20


def say_for_all_nodes(lab):
    lab.balancer.ctl("drain", "mta/mta1", "--fleet")
    lab.balancer.ctl("block", BLOCKED, "--fleet")
    wait_admin([lab.balancer], "mta1", "draining")
    wait_until(lambda: BLOCKED in blocked(lab.balancer), 10, "it is blocked")


def require_said_stays(lab):
    assert set(admin(lab.balancer, "mta1").values()) == {"draining"} and BLOCKED in blocked(lab.balancer)
    assert states(lab).keys() == ADDRESSES.keys()
    assert set(new_sessions(lab)) == {"mta2", "mta3"}


def restart_control(lab):
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_states(lab, mta1="draining", mta2="up", mta3="up")


def accept_all_that_is_there(lab, etcd):
    """Also that nothing is said for all nodes."""
    put(etcd, *ADDRESSES)
    lab.balancer.ctl("fleet", "accept")
    wait_believed(lab)
    wait_admin([lab.balancer], "mta1", "enabled")
    wait_until(lambda: BLOCKED not in blocked(lab.balancer), 20, "nothing is blocked any more")
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    require_all_serve(lab)


@pytest.fixture
def begin(lab, etcd, start_registered):
    """A function that starts the lab with three members that serve, and returns sessions that are open."""
    def begin():
        start_registered()
        put(etcd, *ADDRESSES)
        wait_states(lab, **{name: "up" for name in ADDRESSES})
        return hold(lab)
    return begin


def test_a_wiped_store_takes_nothing_back_however_it_grows(lab, etcd, begin):
    held = begin()
    say_for_all_nodes(lab)
    former = etcd.revision
    lab.balancer.control.stop()
    etcd.wipe()
    etcd.start()
    put(etcd, "mta1")
    lab.balancer.start_control()
    wait_fault(lab, SET_BACK)
    require_said_stays(lab)
    refused = lab.balancer.ctl_run("enable", "mta/mta1", "--fleet")
    assert refused.returncode != 0 and SET_BACK in refused.stderr, refused
    while etcd.revision <= former + 1:
        put(etcd, "mta1")
    restart_control(lab)
    wait_fault(lab, SET_BACK)
    require_said_stays(lab)
    assert "sluicectl fleet accept" in lab.balancer.ctl("fleet")
    accept_all_that_is_there(lab, etcd)
    require_all_delivered(lab, held)


@pytest.mark.long
def test_an_old_snapshot_takes_nothing_back(lab, etcd, begin):
    held = begin()
    etcd.save(lab.directory / "snapshot")
    say_for_all_nodes(lab)
    etcd.restore(lab.directory / "snapshot")
    etcd.start()
    wait_fault(lab, SET_BACK)
    require_said_stays(lab)
    restart_control(lab)
    wait_fault(lab, SET_BACK)
    require_said_stays(lab)
    accept_all_that_is_there(lab, etcd)
    require_all_delivered(lab, held)


@pytest.mark.long
def test_another_cluster_is_not_believed_and_the_own_one_is_again(lab, etcd, begin):
    held = begin()
    say_for_all_nodes(lab)
    etcd.stop()
    for member in range(MEMBERS):
        (etcd.directory / f"data{member}").rename(etcd.directory / f"own{member}")
    etcd.start(["--initial-cluster-token=another"])
    while etcd.revision < 100:
        etcd.ctl("put", "filler", "")
    wait_fault(lab, "etcd answers as cluster ")
    require_said_stays(lab)
    restart_control(lab)
    wait_fault(lab, "etcd answers as cluster ")
    require_said_stays(lab)
    etcd.stop()
    for member in range(MEMBERS):
        shutil.rmtree(etcd.directory / f"data{member}")
        (etcd.directory / f"own{member}").rename(etcd.directory / f"data{member}")
    etcd.start()
    wait_believed(lab)
    require_said_stays(lab)
    lab.balancer.ctl("enable", "mta/mta1", "--fleet")
    wait_admin([lab.balancer], "mta1", "enabled")
    require_all_delivered(lab, held)


def watchers(etcd, *members):
    """How many watches these members have, as they say in their metrics."""
    certificate, key = etcd.client
    count = 0
    for member in members:
        text = run("curl", "--silent", "--fail", "--max-time", "5", "--cacert", etcd.authority.certificate, "--cert", certificate, "--key", key,
                   f"{etcd.endpoints[member]}/metrics", namespace=etcd.lab.network.balancer)
        count += sum(int(float(line.split()[1])) for line in text.splitlines() if line.startswith("etcd_debugging_mvcc_watcher_total "))
    return count


def weigh(etcd, lab, weight):
    """Until it is seen."""
    etcd.ctl("put", f"{PREFIX}/backends/mta/mta3", json.dumps({"name": "mta3", "address": ADDRESSES["mta3"], "weight": weight}),
             endpoints=etcd.endpoints[1:])
    wait_until(lambda: lab.balancer.backend("mta", "mta3", 25)["weight"]["configured"] == weight, 20, f"weight {weight} is seen")


def test_members_that_hang_or_are_cut_off_change_nothing(lab, etcd, begin):
    held = begin()
    say_for_all_nodes(lab)
    with etcd.hung(0):  # which all have asked until now: it takes what is sent, and says nothing
        wait_until(lambda: "mta3" in etcd.ctl("get", "--prefix", "--keys-only", PREFIX, endpoints=etcd.endpoints[1:]), 20, "others lead")
        weigh(etcd, lab, 50)
        wait_until(lambda: watchers(etcd, 1, 2) >= KINDS, 30, "it watches where it is answered, too")
        weigh(etcd, lab, 51)
        lab.balancer.ctl("weight", "mta/mta2", "40", "--fleet")
        assert not fault(lab)
    with etcd.hung(*range(MEMBERS)):
        wait_fault(lab, "etcd does not answer")
        require_said_stays(lab)
    wait_believed(lab)
    with etcd.cut_off():
        wait_fault(lab, "etcd does not answer")
        require_said_stays(lab)
        restart_control(lab)
        wait_fault(lab, "etcd does not answer")
        require_said_stays(lab)
        assert "sluice_fleet_etcd_refused 1" in fetch(lab.network.balancer, "/metrics")
    wait_believed(lab)
    lab.balancer.ctl("enable", "mta/mta1", "--fleet")
    wait_admin([lab.balancer], "mta1", "enabled")
    require_all_delivered(lab, held)


def fill(etcd):
    """Until it takes no more."""
    for piece in range(100):
        try:
            etcd.ctl("put", f"filler/{piece}", "x" * 100_000)
        except CommandError as error:
            assert "database space exceeded" in str(error), error
            return
    raise AssertionError("it took all of that")


def make_room(etcd):
    etcd.ctl("del", "--prefix", "filler/")
    etcd.ctl("compact", str(etcd.revision))
    etcd.ctl("defrag")
    etcd.ctl("alarm", "disarm")


def test_a_full_store_keeps_who_is_there_and_is_told(lab, etcd, start_registered):
    etcd.stop()
    etcd.start([f"--quota-backend-bytes={QUOTA_BYTES}"])
    start_registered()
    for index in range(len(ADDRESSES)):
        etcd.register(index)
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    held = hold(lab)
    node = lab.balancer
    wait_until(lambda: seen_as(node, "edge1"), 20, "the node is there")
    fill(etcd)
    full = time.monotonic()
    wait_until(lambda: "database space exceeded" in own(node)["write_fault"], 20, "it is told")
    for command in ("status", "fleet"):
        assert "etcd TAKES NOTHING THAT IS WRITTEN" in node.ctl(command)
    assert "takes nothing that is written, and is read as before" in node.ctl("events")
    refused = node.ctl_run("drain", "mta/mta1", "--fleet")
    assert refused.returncode != 0 and "database space exceeded" in refused.stderr, refused

    def outlives_its_lease():
        assert seen_as(node, "edge1") == [own(node)["instance"]] and states(lab) == {name: "up" for name in ADDRESSES}
        return time.monotonic() - full > LEASE_S + 5
    wait_until(outlives_its_lease, LEASE_S + 10, "leases are renewed")
    metrics = fetch(lab.network.balancer, "/metrics")
    for line in ("sluice_fleet_etcd_refused 0", "sluice_fleet_write_refused 1", "sluice_fleet_nodes 1"):
        assert line in metrics
    require_all_serve(lab)
    node.control.stop()
    node.start_control()
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    wait_until(lambda: "database space exceeded" in own(node)["write_fault"], 20, "it is told by the next process, too")

    make_room(etcd)
    wait_until(lambda: own(node)["write_fault"] == "" and seen_as(node, "edge1") == [own(node)["instance"]], 30, "it takes what is written")
    assert "takes what is written again" in node.ctl("events")
    require_all_delivered(lab, held)
