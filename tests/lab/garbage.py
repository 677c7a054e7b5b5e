# SPDX-License-Identifier: Apache-2.0
"""Sends bad frames out of a device, raw: cut short at every length, headers that lie, random bytes, other protocols.

    python3 -m lab.garbage DEVICE MAC FRAMES SEED ADDRESS...

MAC is the receiver's, the addresses (IPv4 or IPv6) are what the frames pretend to be for. Prints the count of frames sent and their seed.
"""
import ipaddress
import random
import socket
import struct
import sys

ETHER_V4, ETHER_V6, ETHER_VLAN = 0x0800, 0x86DD, 0x8100
PROTOCOLS = (0, 1, 2, 4, 6, 17, 41, 43, 44, 47, 50, 51, 58, 59, 60, 132, 255)
PORTS = (25, 587, 465, 0, 65535, 10025)


def tcp(rng, payload):
    flags = rng.choice((0x02, 0x12, 0x10, 0x18, 0x11, 0x04, 0x14, 0x00, 0x3F, 0x29))
    offset = rng.choice((5, 5, 5, 6, 10, 15, 0, 4))
    options = rng.randbytes(max(offset - 5, 0) * 4)
    return struct.pack("!HHIIBBHHH", rng.randrange(65536), rng.choice(PORTS), rng.getrandbits(32), rng.getrandbits(32),
                       offset << 4, flags, rng.randrange(65536), rng.randrange(65536), 0) + options + payload


def ipv4(rng, address, protocol, payload):
    length = 20 + len(payload)
    version_ihl = rng.choice((0x45, 0x45, 0x45, 0x46, 0x4F, 0x44, 0x40, 0x65))
    total = rng.choice((length, length, length, length + 1, length - 1, 0, 19, 65535))
    fragment = rng.choice((0, 0, 0x4000, 0x2000, 0x0001, 0x2001, 0x1FFF))
    head = struct.pack("!BBHHHBBH4s4s", version_ihl, 0, total & 0xFFFF, rng.randrange(65536), fragment,
                       rng.choice((0, 1, 64, 255)), protocol, rng.choice((0, rng.randrange(65536))),
                       rng.choice((rng.randbytes(4), bytes((192, 0, 2, 130)))), address.packed)
    return head + payload


def ipv6(rng, address, protocol, payload):
    for _ in range(rng.choice((0, 0, 0, 1, 2, 9))):  # a chain of extension headers, some of which lie about their length
        payload = struct.pack("!BB6x", protocol, rng.choice((0, 0, 1, 255))) + payload
        protocol = rng.choice((0, 43, 44, 60, 51))
    length = rng.choice((len(payload), len(payload), 0, len(payload) + 1, 65535))
    return struct.pack("!IHBB16s16s", rng.choice((0x60000000, 0x40000000, rng.getrandbits(32))), length & 0xFFFF, protocol,
                       rng.choice((0, 1, 64, 255)),
                       rng.choice((rng.randbytes(16), ipaddress.ip_address("2001:db8:25::130").packed)), address.packed) + payload


def frame(rng, mac, addresses):
    """One frame, bad in one way or several, or merely not for us."""
    head = mac + bytes((2, 0, 0, 0, 0, rng.randrange(1, 256)))
    kind = rng.randrange(10)
    if kind == 0:  # nothing but noise
        return (head + rng.randbytes(rng.randrange(2, 200)))[:rng.randrange(14, 216)]
    address = rng.choice(addresses)
    protocol = 6 if kind < 6 else rng.choice(PROTOCOLS)
    payload = rng.randbytes(rng.choice((0, 1, 20, 100, 1300)))
    segment = tcp(rng, payload) if protocol == 6 else payload
    ether_type, packet = (ETHER_V4, ipv4(rng, address, protocol, segment)) if address.version == 4 else \
        (ETHER_V6, ipv6(rng, address, protocol, segment))
    tag = struct.pack("!HH", ETHER_VLAN, rng.randrange(4096)) if rng.random() < 0.1 else b""
    whole = head + tag + struct.pack("!H", ether_type) + packet
    return whole[:rng.randrange(14, len(whole) + 1)] if rng.random() < 0.4 else whole


def main(device, mac, frames, seed, *addresses):
    rng = random.Random(int(seed))
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((device, 0))
    receiver = bytes.fromhex(mac.replace(":", ""))
    targets = [ipaddress.ip_address(address) for address in addresses]
    sent = 0
    for _ in range(int(frames)):
        try:
            raw.send(frame(rng, receiver, targets)[:1514])
            sent += 1
        except OSError:  # the kernel itself refuses a few, such as an untagged frame beyond the MTU
            pass
    print(sent)


if __name__ == "__main__":
    main(*sys.argv[1:])
