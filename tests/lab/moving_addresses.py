# SPDX-License-Identifier: Apache-2.0
"""Addresses from which nodes speak with mail servers by fullnat: real keepalived, with the shipped configuration, moves each
to the other node when its own has died, and back."""
from .keepalived import Keepalived, shipped
from .network import BACK4
from .shell import run, wait_until

ADDRESSES = (f"{BACK4}.1", f"{BACK4}.2")  # of the two nodes
# What of the shipped configuration is the lab's own, and what is the second node's.
SHIPPED = (("interface eth0", "interface fleet"), ("preempt_delay 30", "preempt_delay 3"), ("10.0.1.1/", f"{ADDRESSES[0]}/"),
           ("10.0.1.2/", f"{ADDRESSES[1]}/"))
SECOND = (("router_id edge1", "router_id edge2"), ("priority 120", "priority 90"), ("priority 100", "priority 120"),
          (f"{ADDRESSES[0]}/24", f"{ADDRESSES[0]}/32"), (f"{ADDRESSES[1]}/32", f"{ADDRESSES[1]}/24"))


class MovingAddresses:
    def __init__(self, lab, namespaces):
        self._lab = lab
        self._namespaces = namespaces
        self._keepalived = {}

    def start(self, index):
        """On that node, whose data plane runs; or, once it has, after another start of that."""
        if index in self._keepalived:
            self._keepalived[index].reload()
            return
        text = shipped("keepalived-fullnat.conf", *SHIPPED, *(SECOND if index else ()))
        self._keepalived[index] = Keepalived(self._lab, f"keepalived {index}", self._namespaces[index],
                                             self._lab.directory / f"keepalived{index}.conf", text)

    def at(self, index):
        """Those that a node has."""
        words = run("ip", "-n", self._namespaces[index], "-brief", "address", "show").split()
        return {address for address in ADDRESSES if any(word.startswith(f"{address}/") for word in words)}

    def wait_home(self):
        wait_until(lambda: [self.at(0), self.at(1)] == [{address} for address in ADDRESSES], 60,
                   "each node has the address that is its own")
