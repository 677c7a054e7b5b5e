# SPDX-License-Identifier: Apache-2.0
"""A pool mta whose members are told by etcd, and what a node knows by it."""
import json

from .etcd import PREFIX
from .members import ADDRESSES, IN_FILE, discovered, new_sessions, states
from .shell import wait_until


def settings(etcd, **files):
    """Replacements in the lab's configuration; `files`: others than those that are right."""
    return ((IN_FILE, "discover = { etcd = true; };"),
            ("services =\n(", f'fleet: {{ node = "edge1"; {etcd.settings(**files)} }};\nservices =\n('))


def put(etcd, *names):
    """Keys without a lease, as a tool might."""
    for name in names:
        etcd.ctl("put", f"{PREFIX}/backends/mta/{name}", json.dumps({"name": name, "address": ADDRESSES[name]}))


def fault(lab):
    return json.loads(lab.balancer.ctl("fleet", "--json"))["etcd"]["fault"]


def wait_fault(lab, words):
    wait_until(lambda: words in fault(lab), 30, f"{words}, now {fault(lab)}")
    wait_until(lambda: words in discovered(lab)["fault"], 10, f"{words}, now {discovered(lab)['fault']}")


def wait_believed(lab):
    wait_until(lambda: not fault(lab) and not discovered(lab)["fault"], 20, "etcd is believed")


def require_all_serve(lab):
    assert states(lab) == {name: "up" for name in ADDRESSES}
    assert set(new_sessions(lab)) == set(ADDRESSES)


def own(node):
    return json.loads(node.ctl("fleet", "--json"))["self"]


def seen_as(node, name):
    """Which processes of that name a node sees."""
    return [each["instance"] for each in json.loads(node.ctl("fleet", "--json"))["nodes"] if each["node"] == name]


def blocked(node):
    """What is blocked by hand on that node: how, by prefix."""
    return {each["prefix"]: each for each in json.loads(node.ctl("blocked", "--json"))["blocked"]}
