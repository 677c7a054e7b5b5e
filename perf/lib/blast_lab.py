# SPDX-License-Identifier: Apache-2.0
"""A lab of two processes and no NIC: Sluice with its namespace, and blast on the other end of both its wires.

Wires: `memif` (shared memory), `af_xdp` and `af_packet` (veth pairs).
"""
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from lab.balancer import EXAMPLE, Balancer, build_directory  # noqa: E402
from lab.lab import LABS, Lab, clean_up, raise_file_limit  # noqa: E402,F401
from lab.network import Network, ip, plain_packets, sysctl  # noqa: E402
from lab.shell import in_namespace, run  # noqa: E402

WIRES = ("memif", "af_xdp", "af_packet")
SIDES = ("front", "back")


class Wires(Network):
    """The balancer's namespace and blast's, joined by two wires of one kind."""

    def __init__(self, prefix, kind):
        super().__init__(prefix, backends=0, clients=0)
        self.wires = f"{prefix}-blast"
        self.kind = kind
        self.sockets = pathlib.Path("/run/sluice-lab") / f"{prefix}-memif"

    def build(self):
        for namespace in (self.wires, self.balancer):
            run("ip", "netns", "add", namespace)
            sysctl(namespace, "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        if self.kind == "memif":
            self.sockets.mkdir(parents=True)
            return
        for side in SIDES:
            ip(self.wires, f"link add bl-{side} type veth peer name lb-{side} netns {self.balancer}", f"link set bl-{side} up")
            ip(self.balancer, f"link set lb-{side} up")
            for namespace, device in ((self.wires, f"bl-{side}"), (self.balancer, f"lb-{side}")):
                plain_packets(namespace, device)
                sysctl(namespace, f"net.ipv6.conf.{device}.disable_ipv6=1")

    def device(self, side, ours):
        """The device string of one end: the balancer's (`ours`) or blast's."""
        number = SIDES.index(side)
        if self.kind == "memif":
            # A server makes the socket, which has to be there when the client starts.
            role = "server" if ours else "client"
            mac = f"02:00:00:00:{'01' if ours else '02'}:0{number}"
            return (f"net_memif{number},role={role},id={number},socket={self.sockets}/{side}.sock,socket-abstract=no,"
                    f"rsize=12,mac={mac}")
        return f"net_{self.kind}{number},iface={'lb' if ours else 'bl'}-{side}"


def lab_settings(text, idle="pause", lcores=None, flows=1_048_576, memory_mb=512):
    """A configuration's text with other settings of the data plane."""
    text = re.sub(r'idle( *)= "[a-z]*"', rf'idle\1= "{idle}"', text)
    text = re.sub(r"flow_capacity = \d+", f"flow_capacity = {flows}", text)
    text = re.sub(r"memory_mb( *)= \d+", rf"memory_mb\1= {memory_mb}", text)
    if lcores:
        text = re.sub(r"( *)workers( *)= 1;", rf'\1workers\2= 1;\n\1lcores\2 = "{lcores}";', text)
    return text


def lab_config(wires, directory, **settings):
    """The lab's configuration file with other devices and settings; returns its path."""
    text = EXAMPLE.read_text()
    for side in SIDES:
        text = re.sub(rf'(name = "{side}"; *device = )"[^"]*"', rf'\1"{wires.device(side, True)}"', text)
    path = pathlib.Path(directory) / "blast-lab.cfg"
    path.write_text(lab_settings(text, **settings))
    return path


class BlastLab(Lab):
    """`with BlastLab("memif") as lab: lab.blast("--rate", 1000)`. Root."""

    def __init__(self, kind):
        super().__init__()
        self.network = Wires(self.network.balancer.removesuffix("-lb"), kind)

    def close(self):
        super().close()
        if isinstance(self.network, Wires) and self.network.sockets.exists():
            run("rm", "-rf", self.network.sockets)

    def start(self, **config):
        """Starts Sluice. Its backends are healthy as soon as blast answers for them."""
        path = lab_config(self.network, self.directory, **config)
        return self.start_balancer(path, healthy=False)

    def blast(self, *arguments, cpu=0, priority=None, show=False):
        """Runs blast to its end. Returns (exit code, its figures or None, what it said)."""
        report = self.directory / f"blast-{secrets.token_hex(2)}.json"
        command = [build_directory() / "perf" / "blast", "--front", self.network.device("front", False), "--back",
                   self.network.device("back", False), "--cpu", cpu, "--json", report, *arguments]
        if priority:
            command = ["chrt", "-f", str(priority), *command]
        done = subprocess.run(in_namespace(self.network.wires, command), text=True, stdout=subprocess.PIPE,
                              stderr=None if show else subprocess.STDOUT)
        figures = json.loads(report.read_text()) if report.exists() else None
        return done.returncode, figures, done.stdout


def require_root():
    if os.geteuid() != 0:
        sys.exit("this makes network namespaces, which needs root: run with sudo")
