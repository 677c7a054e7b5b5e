# SPDX-License-Identifier: Apache-2.0
"""The network on which nodes tell each other of sessions: a bridge of its own, and the key that all have."""
from .network import ip

PEERS = ("10.9.0.1", "10.9.0.2", "10.9.0.3")
PORT = 2526


class FleetNetwork:
    """Made at once. `namespaces`: the nodes', at most three."""

    def __init__(self, lab, namespaces):
        lab.network.add_bridge("fleet")
        for index, namespace in enumerate(namespaces):
            lab.network.cable(namespace, "fleet", "fleet", f"fleet{index}")
            ip(namespace, f"address add {PEERS[index]}/24 dev fleet")
        self._nodes = len(namespaces)
        self._key = lab.directory / "fleet.key"
        self._key.write_bytes(b"a secret of the lab, and no other" * 2)
        self._key.chmod(0o600)

    def settings(self, index, more_of_peers="", more=""):
        """The setting `fleet` of a node, from 0. `more_of_peers`, `more`: further settings of `fleet.peers` and of `fleet`."""
        others = ", ".join(f'"{PEERS[other]}:{PORT}"' for other in range(self._nodes) if other != index)
        return (f'fleet: {{ node = "edge{index + 1}"; peers = {{ listen = "{PEERS[index]}:{PORT}"; '
                f'to = [{others}]; key_file = "{self._key}"; {more_of_peers}}}; {more} }};\n')
