# SPDX-License-Identifier: Apache-2.0
"""The data plane alone: kernel twins over real links. Ping, TCP with whole checksums, and how the process ends."""
import hashlib
import os
import pathlib
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.balancer import programs  # noqa: E402
from lab.network import ip, plain_packets, remove_namespace, sysctl  # noqa: E402
from lab.shell import CommandError, Service, run, tail, wait_until  # noqa: E402

TWIN4, TWIN6, PEER4, PEER6 = "10.77.0.1", "fd77::1", "10.77.0.2", "fd77::2"
PAYLOAD = bytes(range(256)) * 4096  # 1 MiB
CONFIG = """
instance = "twin";
dataplane: {{ memory_mb = 192; hugepages = false; flow_capacity = 4096; idle = "sleep"; flow_store = "{store}";
  ports = ( {{ name = "front"; device = "{device}"; faces = "both"; twin = "slf0"; }} ); }};
pools = ( {{ name = "mta"; backends = ( {{ name = "mta1"; address = "10.0.1.10"; }} ); }} );
services = ( {{ name = "relay"; vip = "192.0.2.25"; pool = "mta"; }} );
"""
ECHO = """
import socket, sys
listener = socket.create_server((sys.argv[1], 9000), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("ready", flush=True)
connection, _ = listener.accept()
while data := connection.recv(65536):
    connection.sendall(data)
"""
SEND = """
import hashlib, socket, sys, threading
payload = bytes(range(256)) * 4096
connection = socket.create_connection((sys.argv[1], 9000), 10)
def send():
    connection.sendall(payload)
    connection.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
got = b"".join(iter(lambda: connection.recv(65536), b""))
print(hashlib.sha256(got).hexdigest())
"""


class Wire:
    """A balancer's namespace and a peer's, joined by a veth pair; the data plane on the balancer's end."""

    def __init__(self, directory, device):
        self.directory, self.device = directory, device
        self.balancer, self.peer = f"sltwin{os.getpid()}-lb", f"sltwin{os.getpid()}-peer"
        self.runtime = pathlib.Path("/run/sluice-lab") / self.balancer
        self.config = directory / "sluice.cfg"
        self.config.write_text(CONFIG.format(device=device, store=directory))
        self.log = directory / "dataplane.log"
        self.service = None

    def build(self):
        for namespace in (self.balancer, self.peer):
            run("ip", "netns", "add", namespace)
            sysctl(namespace, "net.ipv6.conf.default.accept_dad=0")
            ip(namespace, "link set lo up")
        ip(self.balancer, f"link add lb-front type veth peer name eth0 netns {self.peer}")
        sysctl(self.balancer, "net.ipv6.conf.lb-front.disable_ipv6=1")
        plain_packets(self.peer, "eth0")
        ip(self.balancer, "link set lb-front up")
        ip(self.peer, f"address add {PEER4}/24 dev eth0", f"address add {PEER6}/64 dev eth0 nodad", "link set eth0 up")
        if "af_packet" in self.device:
            rule = 'type filter hook ingress device "lb-front" priority 0; policy drop;'
            run("nft", "-f", "-", namespace=self.balancer, stdin=f"table netdev deaf {{\n chain in {{ {rule} }}\n}}\n")

    def start(self):
        self.log.unlink(missing_ok=True)
        self.service = Service("sluice-dataplane", [programs()["sluice-dataplane"], "--config", self.config], self.log,
                               self.balancer, {"SLUICE_RUNTIME_DIR": str(self.runtime)})
        wait_until(self._ready, 30, "sluice-dataplane")
        ip(self.balancer, f"address add {TWIN4}/24 dev slf0", f"address add {TWIN6}/64 dev slf0 nodad")

    def _ready(self):
        self.service.require_running()
        return "control connects at" in tail(self.log)

    def ping(self, address):
        """Lines of ping's answer, each request answered exactly once."""
        run("ping", "-c", "1", "-W", "5", address, namespace=self.peer)  # resolves the neighbour
        return run("ping", "-q", "-c", "10", "-i", "0.05", "-W", "2", address, namespace=self.peer)

    def twin_exists(self):
        try:
            run("ip", "-n", self.balancer, "link", "show", "slf0")
        except CommandError:
            return False
        return True

    def remove(self):
        if self.service:
            self.service.stop(signal.SIGKILL)
        for namespace in (self.balancer, self.peer):
            remove_namespace(namespace)


def tcp_frames(capture):
    """Of each frame: TCP checksum's status, the checksum, what it ought to be, the IPv4 checksum's status, the length."""
    fields = "tcp.checksum.status", "tcp.checksum", "tcp.checksum_calculated", "ip.checksum.status", "frame.len"
    return [line.split("\t") for line in run(
        "tshark", "-r", capture, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields",
        *(word for field in fields for word in ("-e", field))).splitlines()]


def is_whole(status, checksum, calculated):
    """Where the sum is 0, Linux writes its other form in ones' complement, and tshark finds fault with it: one of 65,536."""
    return status == "1" or (checksum, calculated) == ("0xffff", "0x0000")


@pytest.fixture(params=["net_af_xdp0,iface=lb-front,busy_budget=0", "net_af_packet0,iface=lb-front"],
                ids=["af_xdp", "af_packet"])
def wire(request, tmp_path):
    wire = Wire(tmp_path, request.param)
    try:
        wire.build()
        wire.start()
        yield wire
    finally:
        wire.remove()


def test_twin_has_the_ports_address_and_mtu(wire):
    port, twin = (run("ip", "-n", wire.balancer, "-brief", "link", "show", name).split()[2] for name in ("lb-front", "slf0"))
    assert port == twin
    assert "mtu 1500" in run("ip", "-n", wire.balancer, "link", "show", "slf0")


@pytest.mark.parametrize("address", [TWIN4, TWIN6])
def test_ping_is_answered_once(wire, address):
    answers = []
    while len(answers) < 3 and not any("10 received" in answer for answer in answers):  # a busy machine may lose one
        answers.append(wire.ping(address))
        assert "duplicates" not in answers[-1], answers[-1]
    assert "10 received" in answers[-1], "\n".join(answers)


@pytest.mark.parametrize("address", [TWIN4, TWIN6])
def test_tcp_through_the_twin_has_whole_checksums_and_frames_of_the_mtu(wire, address):
    capture = wire.directory / "peer.pcap"
    sniffer = Service("tcpdump", ["tcpdump", "-U", "-n", "-i", "eth0", "-w", capture, "tcp port 9000"],
                      wire.directory / "tcpdump.log", wire.peer)
    echo_log = wire.directory / "echo.log"
    echo = Service("echo", ["/usr/bin/python3", "-c", ECHO, address], echo_log, wire.balancer)
    try:
        wait_until(lambda: "ready" in tail(echo_log), 10, "echo server")
        wait_until(lambda: "listening on" in tail(wire.directory / "tcpdump.log"), 10, "tcpdump")
        said = run("/usr/bin/python3", "-c", SEND, address, namespace=wire.peer).strip()
        assert said == hashlib.sha256(PAYLOAD).hexdigest()
    finally:
        echo.stop()
        sniffer.stop(signal.SIGINT)
    frames = tcp_frames(capture)
    assert len(frames) > 1000
    assert not [frame for frame in frames if not is_whole(*frame[:3])]
    assert {frame[3] for frame in frames} <= {"1", ""}, "1 = good"
    assert max(int(frame[4]) for frame in frames) <= 1514


@pytest.mark.parametrize("frame, whole", [(("1", "0x1234", "0x1234"), True), (("0", "0xffff", "0x0000"), True),
                                          (("0", "0xffff", "0x1234"), False), (("0", "0x1234", "0x0000"), False),
                                          (("2", "0x1234", ""), False)])
def test_only_the_other_zero_is_a_whole_checksum_that_tshark_does_not_know(frame, whole):
    assert is_whole(*frame) is whole


def test_sigterm_removes_twin_and_socket(wire):
    assert wire.service.stop(signal.SIGTERM) == 0, tail(wire.log)
    assert not wire.twin_exists()
    assert not (wire.runtime / "twin" / "channel.sock").exists()


def test_killed_process_leaves_nothing_that_stops_the_next(wire):
    wire.service.stop(signal.SIGKILL)
    wait_until(lambda: not wire.twin_exists(), 5, "twin gone")
    wire.start()
    assert "with those of the last run" in wire.log.read_text()
    assert "10 received" in wire.ping(TWIN4)


def test_second_of_the_same_instance_is_refused(wire):
    second = subprocess.run(["ip", "netns", "exec", wire.balancer, programs()["sluice-dataplane"], "--config", wire.config],
                            env={**os.environ, "SLUICE_RUNTIME_DIR": str(wire.runtime)}, text=True, capture_output=True,
                            timeout=120)
    assert second.returncode == 1
    assert "another instance name" in second.stderr
    assert "10 received" in wire.ping(TWIN4)
