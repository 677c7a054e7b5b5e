# SPDX-License-Identifier: Apache-2.0
"""A second node beside the lab's balancer: a fleet of two with real etcd, which tell each other of sessions. It checks the same mail
servers, has the same VIPs and would announce them, but no client is led to it."""
import json
import signal

from .balancer import EXAMPLE, Balancer
from .etcd import Etcd
from .fleet_network import PEERS, FleetNetwork
from .network import BALANCER_BACK
from .pair import Node
from .shell import wait_until

HTTP_PORT = 9125


class OtherNode:
    """Made before the first node starts, whose configuration has `settings()`; then `start()`."""

    def __init__(self, lab, more=""):
        """`more`: settings of both nodes."""
        self._lab, self._more = lab, more
        self._namespace = lab.network.add_balancer()
        self._network = FleetNetwork(lab, (lab.network.balancer, self._namespace))
        self._etcd = Etcd(lab)
        self.token_file = lab.directory / "reader.token"
        self.token_file.write_text("whoever-has-this-may-read-in-this-lab\n")
        self.token_file.chmod(0o600)
        self.http = f"{PEERS[1]}:{HTTP_PORT}"  # for who presents the token
        self.balancer = None

    def settings(self, index=0):
        """Of the first node, or of the other."""
        listen = self.http if index else f"127.0.0.1:{HTTP_PORT}"
        return (f'control: {{ http = "{listen}"; read_token_file = "{self.token_file}"; }};\n'
                + self._network.settings(index, more=self._etcd.settings()) + self._more)

    def start(self):
        """Returns when both nodes know of each other."""
        path = self._lab.directory / "other-node.cfg"
        path.write_text(EXAMPLE.read_text() + self.settings(1).replace("https://127.0.0.1:", f"https://{BALANCER_BACK[0]}:"))
        self.balancer = Balancer(Node(self._namespace, 1), self._lab.directory / "other-node", path)
        self.balancer.start()
        self._wait_known()

    def _wait_known(self):
        def know():
            return all(len(json.loads(node.ctl("fleet", "--json"))["nodes"]) == 2
                       and json.loads(node.ctl("peers", "--json"))["peers"]["peers"][0]["heard_ms_ago"] is not None
                       for node in (self._lab.balancer, self.balancer))
        wait_until(know, 60, "both nodes know of each other")

    def kill(self):
        """All of it at once."""
        for service in (self.balancer.dataplane, self.balancer.control):
            service.stop(signal.SIGKILL)

    def revive(self):
        self.balancer.start(healthy=True)
        self._wait_known()

    def stop(self):
        if self.balancer:
            self.balancer.stop()
