# SPDX-License-Identifier: Apache-2.0
"""A client that talks before the greeting. As a program: `early_talker.py VIP SOURCE` prints what it hears."""
import pathlib
import socket
import sys


def talk(vip, source):
    """The handshake's last segment waits for what is to be said, and brings it along: before any greeting, on any machine."""
    with socket.socket() as session:
        session.settimeout(10)
        session.bind((source, 0))
        session.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        session.connect((vip, 25))
        session.sendall(b"EHLO early\r\n")
        print(session.recv(500))


def command(vip, source):
    """The command line, to be run in a client's namespace."""
    return [sys.executable, str(pathlib.Path(__file__).resolve()), vip, source]


if __name__ == "__main__":
    talk(*sys.argv[1:])
