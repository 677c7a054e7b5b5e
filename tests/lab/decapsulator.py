# SPDX-License-Identifier: Apache-2.0
"""The far end of tunnels, for kernels without them: takes IP in IP and GUE apart and hands what is inside to the kernel, by a TUN device.

    python3 -m lab.decapsulator DEVICE

A real mail server uses its kernel's own (docs/forwarding-modes.md). Strict about what it takes, so that a wrong outer
header does not go unseen: GUE must have a UDP checksum (the kernel judges it) and come to port 6080.
"""
import fcntl
import os
import selectors
import socket
import struct
import subprocess
import sys

IPPROTO_IPIP, IPPROTO_IPV6 = 4, 41
GUE_PORT = 6080
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    return tun


def open_sockets():
    """Socket -> function that takes the inner packet out of what is read from it."""
    sockets = {}
    for protocol in (IPPROTO_IPIP, IPPROTO_IPV6):
        sockets[socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)] = behind_ipv4_header
        sockets[socket.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)] = bytes
    for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        gue = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            gue.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        gue.bind((anywhere, GUE_PORT))
        sockets[gue] = behind_gue_header
    return sockets


def behind_ipv4_header(packet):
    return packet[(packet[0] & 0x0F) * 4:]


def behind_gue_header(datagram):
    """As Linux does: variant 1 is IP itself, variant 0 has a header that says how long it is and what follows."""
    if datagram[0] >> 6 == 1:
        return datagram
    control, length = datagram[0] & 0x20, (datagram[0] & 0x1F) * 4
    return b"" if control or datagram[1] not in (IPPROTO_IPIP, IPPROTO_IPV6) else datagram[4 + length:]


def main(device):
    tun = open_tun(device)
    selector = selectors.DefaultSelector()
    for each, inner_of in open_sockets().items():
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        selector.register(each, selectors.EVENT_READ, inner_of)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            inner = key.data(key.fileobj.recv(65535))
            if inner and inner[0] >> 4 in (4, 6):
                os.write(tun, inner)


if __name__ == "__main__":
    main(*sys.argv[1:])
