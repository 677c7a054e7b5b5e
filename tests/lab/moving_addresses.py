# SPDX-License-Identifier: Apache-2.0
"""Addresses from which nodes speak with mail servers by fullnat: real keepalived, with the shipped configuration, moves each
to the other node when its own has died, and back."""
import signal
import subprocess

from .anycast import EXAMPLES
from .network import BACK4
from .shell import Service, in_namespace, run, wait_until

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
        if index in self._keepalived:  # as keepalived-reload.conf does
            self._keepalived[index].process.send_signal(signal.SIGHUP)
            return
        text = (EXAMPLES / "keepalived-fullnat.conf").read_text()
        for old, new in (*SHIPPED, *(SECOND if index else ())):
            assert old in text, f"keepalived-fullnat.conf no longer holds {old}"
            text = text.replace(old, new)
        base = self._lab.directory / f"keepalived{index}"
        path = base.with_suffix(".conf")
        path.write_text(text)
        namespace = self._namespaces[index]
        checked = subprocess.run(in_namespace(namespace, ["keepalived", "-t", "-f", path]), text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
        self._keepalived[index] = Service(
            f"keepalived {index}", ["keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", path, "-p", f"{base}.pid",
                                    "-r", f"{base}-vrrp.pid"], f"{base}.log", namespace)
        self._lab.services.append(self._keepalived[index])

    def at(self, index):
        """Those that a node has."""
        words = run("ip", "-n", self._namespaces[index], "-brief", "address", "show").split()
        return {address for address in ADDRESSES if any(word.startswith(f"{address}/") for word in words)}

    def wait_home(self):
        wait_until(lambda: [self.at(0), self.at(1)] == [{address} for address in ADDRESSES], 60,
                   "each node has the address that is its own")
