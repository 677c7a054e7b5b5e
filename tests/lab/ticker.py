# SPDX-License-Identifier: Apache-2.0
"""How long packets of an open session go nowhere: one that means nothing to either end is sent again and again, and seen behind the
balancer.

    python3 -m lab.ticker send VIP INTERFACE     opens a session, and sends its last acknowledgement every two milliseconds
    python3 -m lab.ticker see PORT INTERFACE     prints the time at which each segment of that client's port passes the interface

Both print lines that begin with a word: "port 40123", "at 12.345678" (CLOCK_MONOTONIC, seconds). They go on until they are ended.
"""
import socket
import sys
import time

from .mailer import TESTS
from .network import VIP4
from .shell import Service, wait_until

PERIOD_S = 0.002
ETHER, PROTOCOL, TCP, SYN = 14, 9, 6, 2


def ports_of(frame):
    """Source and destination port of a TCP segment over IPv4 without a tag; None of anything else."""
    if frame[12:14] != b"\x08\x00" or frame[ETHER + PROTOCOL] != TCP:
        return None
    at = ETHER + 4 * (frame[ETHER] & 15)
    return int.from_bytes(frame[at:at + 2], "big"), int.from_bytes(frame[at + 2:at + 4], "big")


def acknowledgement(frame):
    """Of a TCP segment over IPv4: what it acknowledges; None of a SYN."""
    at = ETHER + 4 * (frame[ETHER] & 15)
    return None if frame[at + 13] & SYN else int.from_bytes(frame[at + 8:at + 12], "big")


def wire(interface):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
    out.bind((interface, 0))
    return out


def send(vip, interface):
    raw = wire(interface)
    raw.settimeout(30)
    with socket.create_connection((vip, 25), timeout=60) as session:
        greeting = session.recv(1000)
        port = session.getsockname()[1]
        before, last = None, b""
        while before is None or acknowledgement(last) != (before + len(greeting)) % 2**32:  # the greeting, then, as the last word
            frame, origin = raw.recvfrom(2000)
            if origin[2] == socket.PACKET_OUTGOING and (ports_of(frame) or (0,))[0] == port:
                last = frame
                before = acknowledgement(frame) if before is None else before
        print("port", port, flush=True)
        due = time.monotonic()
        while True:
            raw.send(last)
            due += PERIOD_S
            time.sleep(max(0, due - time.monotonic()))


def see(port, interface):
    raw = wire(interface)
    while True:
        frame = raw.recv(2000)
        if (ports_of(frame) or (0,))[0] == port:
            print("at", time.monotonic(), flush=True)


class Ticker:
    """The session and its packets; `lab.network.wires` sees those that come out at the back as they enter its switch by `interface`."""

    def __init__(self, lab, interface="lbb", vip=VIP4):
        self._seen = lab.directory / "ticker-seen"
        self._services = []
        environment = {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
        sent = lab.directory / "ticker-sent"

        def start(name, log, namespace, *args):
            service = Service(name, [sys.executable, "-m", "lab.ticker", *args], log, namespace, environment)
            lab.services.append(service)
            self._services.append(service)
            return service
        sender = start("ticker", sent, lab.network.clients[0], "send", vip, "eth0")
        wait_until(lambda: sender.require_running() or "port" in sent.read_text(), 30, "the ticker's session")
        port = sent.read_text().split()[1]
        start("ticker's other end", self._seen, lab.network.wires, "see", port, interface)
        wait_until(self.times, 30, "ticks that pass")

    def stop(self):
        for service in self._services:
            service.stop()

    def times(self):
        """When ticks passed, up to now."""
        lines = self._seen.read_text().splitlines()[:-1]
        return [float(line.split()[1]) for line in lines if line.startswith("at ")]

    def wait_passing(self, since):
        """Until ticks pass that were seen after `since`, for half a second."""
        wait_until(lambda: (self.times() or [0])[-1] > since + 0.5, 60, "ticks that pass again", interval_s=0.1)

    def longest_gap(self, begin, end):
        """The longest time in seconds, of those that end between two times, in which none passed."""
        times = self.times()
        return max((later - earlier for earlier, later in zip(times, times[1:]) if begin <= later <= end), default=end - begin)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], sys.argv[3])
    else:
        see(int(sys.argv[2]), sys.argv[3])
