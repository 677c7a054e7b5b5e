# SPDX-License-Identifier: Apache-2.0
"""Sends sound frames that nobody wants out of a device: many kinds in turn, from forged sources.

    python3 -m lab.junk DEVICE MAC SECONDS PER_SECOND KIND...

MAC is the receiver's. PER_SECOND 0: as fast as it can. Prints how many frames were sent, and how many a second. `throw()` starts it.
"""
import ipaddress
import itertools
import random
import socket
import struct
import sys
import time

from .mailer import TESTS
from .network import BALANCER_BACK, BALANCER_FRONT, VIP4, VIP6, backend_addresses
from .shell import Service, run

EACH = 500  # frames of a kind, sent over and over
TCP, UDP, GRE, ICMP, ICMP6 = 6, 17, 47, 1, 58
SYN, ACK = 0x02, 0x10
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20  # linux/if_packet.h
BROADCAST = b"\xff" * 6


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload, fragment=0, number=0):
    def head(check):
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number, fragment, 64, protocol, check,
                           socket.inet_aton(source), socket.inet_aton(destination))
    return b"\x08\x00" + head(checksum(head(0))) + payload


def ipv6(source, destination, protocol, payload, hops):
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    pseudo = addresses + struct.pack("!II", len(payload), protocol)
    payload = payload[:2] + struct.pack("!H", checksum(pseudo + payload)) + payload[4:]
    return b"\x86\xdd" + struct.pack("!IHBB", 0x60000000, len(payload), protocol, hops) + addresses + payload


def icmp(kind, code, rest):
    message = struct.pack("!BBHI", kind, code, 0, 0) + rest
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


def transport(protocol, source, destination, to_port, flags=0, data=b""):
    """A TCP segment or UDP datagram with a right checksum: the kernel is to look at it to the end."""
    from_port = random.randrange(1024, 65536)
    if protocol == UDP:
        out = struct.pack("!HHHH", from_port, to_port, 8 + len(data), 0) + data
        at = 6
    else:
        out = struct.pack("!HHIIBBHHH", from_port, to_port, random.getrandbits(32), random.getrandbits(32), 0x50, flags, 1000, 0, 0) + data
        at = 16
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", protocol, len(out))
    return out[:at] + struct.pack("!H", checksum(pseudo + out)) + out[at + 2:]


def stranger():
    return f"198.51.100.{random.randrange(1, 255)}"


def plain(protocol, to, port, flags=0):
    source = stranger()
    return ipv4(source, to, protocol, transport(protocol, source, to, port, flags))


def fragment():
    return ipv4(stranger(), VIP4, TCP, random.randbytes(64), random.choice((0x2003, 0x0004)), random.randrange(65536))


def quote():
    """Of a segment that a VIP never sent."""
    inner = ipv4(VIP4, stranger(), TCP, struct.pack("!HHI", 25, random.randrange(65536), random.getrandbits(32)))[2:]
    return icmp(3, 1, inner)


def arp(own_mac):
    return b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, own_mac, socket.inet_aton("192.0.2.250"), bytes(6),
                                     socket.inet_aton(VIP4))


def solicitation(own_mac):
    target = ipaddress.ip_address(VIP6).packed
    return ipv6("fe80::bad", VIP6, ICMP6, struct.pack("!BBHI", 135, 0, 0, 0) + target + b"\x01\x01" + own_mac, 255)


# What each kind sends behind the Ethernet addresses, and whether everybody is to hear it.
KINDS = {
    "udp": (lambda mac: plain(UDP, VIP4, 4444), False),
    "closed": (lambda mac: plain(TCP, VIP4, random.randrange(1000, 2000), SYN), False),
    "fragments": (lambda mac: fragment(), False),
    "arp": (arp, True),
    "nd": (solicitation, False),
    "echo": (lambda mac: ipv4(stranger(), VIP4, ICMP, icmp(8, 0, bytes(32))), False),
    "errors": (lambda mac: ipv4(stranger(), VIP4, ICMP, quote()), False),
    "gre": (lambda mac: ipv4(stranger(), VIP4, GRE, bytes(40)), False),
    "others": (lambda mac: plain(TCP, "192.0.2.77", 25, ACK), False),
    "local": (lambda mac: plain(UDP, BALANCER_FRONT[0], 4444), False),
    "bgp": (lambda mac: plain(TCP, BALANCER_FRONT[0], 179, SYN), False),
    "routed": (lambda mac: ipv4(backend_addresses(0)[0], "203.0.113.9", UDP, struct.pack("!HHHH", 33333, 53, 8, 0)), False),
    "behind": (lambda mac: plain(UDP, BALANCER_BACK[0], 4444), False),
}

# Junk only where there are so many of them that nobody finishes.
FLOODS = {"syn": (lambda mac: plain(TCP, VIP4, 25, SYN), False)}


def throw(lab, side, kinds, seconds=3600, per_second=0):
    """Junk at the balancer's port of a side, from a client or a backend, as a service. It is the caller's to stop it."""
    namespace = lab.network.clients[0] if side == "front" else lab.network.backends[0]
    receiver = run("cat", f"/sys/class/net/lb-{side}/address", namespace=lab.network.balancer).strip()
    return Service(f"junk at the {side}", [sys.executable, "-m", "lab.junk", "eth0", receiver, str(seconds), str(per_second), *kinds],
                   lab.directory / f"junk-{side}.log", namespace, {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})


def main(device, mac, seconds, per_second, *kinds):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((device, 0))
    raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    own = raw.getsockname()[4]
    receiver = bytes.fromhex(mac.replace(":", ""))
    frames = []
    for kind in kinds:
        make, to_all = (KINDS | FLOODS)[kind]
        frames.append([(BROADCAST if to_all else receiver) + own + make(own) for _ in range(EACH)])
    in_turn = list(itertools.chain.from_iterable(zip(*frames)))
    sent, begun = 0, time.monotonic()
    end, apart = begun + float(seconds), 1 / float(per_second) if float(per_second) else 0
    send = raw.send
    while time.monotonic() < end:
        for frame in in_turn:
            if apart:
                time.sleep(max(0, begun + sent * apart - time.monotonic()))
            try:
                send(frame)
                sent += 1
            except OSError:  # the device's queue is full
                pass
    print(sent, round(sent / (time.monotonic() - begun)))


if __name__ == "__main__":
    main(*sys.argv[1:])
