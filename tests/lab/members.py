# SPDX-License-Identifier: Apache-2.0
"""A pool mta whose members come and go: which of them are in service, and whether its sessions notice."""
import datetime
import json

from .network import VIP4
from .shell import wait_until

OPEN = 48
ADDRESSES = {"mta1": "10.0.1.10", "mta2": "10.0.1.11", "mta3": "10.0.1.12"}
IN_FILE = """backends =
    (
      { name = "mta1"; address = "10.0.1.10"; },
      { name = "mta2"; address = "10.0.1.11"; },
      { name = "mta3"; address = "10.0.1.12"; }
    );"""


def states(lab):
    """Name -> state, of the pool's members on port 25."""
    return {entry["name"]: entry["state"] for entry in lab.balancer.status()["backends"] if (entry["pool"], entry["port"]) == ("mta", 25)}


def wait_states(lab, **wanted):
    wait_until(lambda: states(lab) == wanted and lab.balancer.status()["dataplane"]["settled"], 20, f"{wanted}, now {states(lab)}")


def discovered(lab):
    (pool,) = json.loads(lab.balancer.ctl("discovered", "--json"))["pools"]
    return pool


def admin(node, name):
    """Of each of its ports."""
    return {each["port"]: each["admin"] for each in json.loads(node.ctl("backends", f"mta/{name}", "--json"))["backends"]} if name in {
        each["name"] for each in node.status()["backends"] if each["pool"] == "mta"} else {}


def wait_admin(nodes, name, expected):
    for node in nodes:
        wait_until(lambda: set(admin(node, name).values()) == {expected}, 10, f"{name} is {expected}")


def told_after(node, words, began):
    """Seconds from `began`, by the clock on the wall, to a node's first event since then that has these words."""
    times = [datetime.datetime.fromisoformat(event["time"]).timestamp() for event in json.loads(node.ctl("events", "--json"))["events"]
             if words in event["text"]]
    return min(time for time in times if time > began - 0.001) - began  # events are told in milliseconds


def new_sessions(lab, count=30):
    mailer = lab.mailer(target=VIP4, sessions=count, messages=0, timeout_s=60).wait()
    assert mailer.outcomes == {"delivered": count}, mailer.summary()
    return mailer.backends()


def hold(lab):
    held = lab.mailer(target=VIP4, sessions=OPEN, hold="half_sent", size=60_000, timeout_s=240)
    held.wait_held(OPEN)
    return held


def require_all_delivered(lab, held):
    assert not held.ended, held.ended
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": OPEN}, held.summary()
    lab.wait_delivered()
    found = lab.tally(held)
    assert not (found.lost or found.duplicated or found.corrupted), found
    lab.balancer.require_counter_law()
