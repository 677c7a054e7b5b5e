# SPDX-License-Identifier: Apache-2.0
"""A mail client that asks servers who they are (see lab.witness): for comparing balancers.

    python3 -m lab.visitor

Each line on its standard input is a task, in JSON; the answer is a line of JSON. A door is [ADDRESS, PORT]; on 465 TLS is spoken.

    {"do": "visit", "door": D, "sources": [...], "sessions": N, "together": false}
        one session after the other, or all open together -> a list of [source, who, header]; `who` is "mta1.4:25", or "nobody"
    {"do": "hold", "door": D, "sources": [...], "sessions": N}
        so many that stay open -> a list of `who`
    {"do": "drop", "who": W}
        closes those that are held with W, or all ("") -> how many; {"do": "held"} -> a list of `who` of those that still are open
"""
import json
import socket
import ssl
import struct
import sys

PATIENCE_S = 0.6  # for a greeting
CLOSED_AFTER = 4  # visits that nobody answered


class Session:
    """One connection; `who` answered it."""

    def __init__(self, door, source):
        self.who, self.header, self.file = "nobody", "", None
        self.socket = socket.socket(socket.AF_INET6 if ":" in door[0] else socket.AF_INET)
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.bind((source, 0))
            self.socket.connect(tuple(door))
            self.port = self.socket.getsockname()[1]
            if door[1] == 465:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                self.socket = context.wrap_socket(self.socket)
            self.file = self.socket.makefile("rwb")
            greeting = self.file.readline().decode(errors="replace").split()
            if len(greeting) == 2 and greeting[0] == "220":
                self.who = greeting[1]
        except OSError:
            pass

    def ask(self):
        """What the server was told before our first word, with our port left out."""
        try:
            self.file.write(b"WHO\r\n")
            self.file.flush()
            self.header = described(bytes.fromhex(self.file.readline().decode().partition(" ")[2]), self.port)
        except (OSError, ValueError):
            self.who = "nobody"

    def open(self):
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self):
        if self.file:
            self.file.close()
        self.socket.close()


def described(header, port):
    """A PROXY header in words; what differs from session to session, the client's port, is checked and left out."""
    if not header:
        return ""
    if header.startswith(b"PROXY "):
        words = header.decode().strip().split()
        return "v1 " + " ".join("PORT" if i == 4 and word == str(port) else word for i, word in enumerate(words[1:], 1))
    if header.startswith(b"\r\n\r\n\0\r\nQUIT\n") and len(header) >= 16:
        command, protocol, length = struct.unpack("!BBH", header[12:16])
        body = header[16:]
        size = {0x11: 4, 0x21: 16}.get(protocol)
        if size is None or length != len(body):
            return "v2 " + header[12:].hex()
        family = socket.AF_INET if size == 4 else socket.AF_INET6
        source, target = (socket.inet_ntop(family, body[i * size:(i + 1) * size]) for i in (0, 1))
        ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
        return (f"v2 {command:x} {protocol:x} {source} {target} {'PORT' if ports[0] == port else ports[0]} {ports[1]} "
                f"{body[2 * size + 4:].hex()}").strip()
    return "not PROXY: " + header.hex()


def visit(door, sources, sessions, together=False):
    out, held = [], []
    for number in range(sessions):
        source = sources[number * len(sources) // sessions]
        session = Session(door, source)
        if session.who != "nobody":
            session.ask()
        held.append(session)
        if not together:
            held.pop().close()
        out.append([source, session.who, session.header.replace(source, "CLIENT")])
        if len(out) == CLOSED_AFTER and all(who == "nobody" for _, who, _ in out):
            break
    for session in held:
        session.close()
    return out


def main():
    held = []
    for line in sys.stdin:
        task = json.loads(line)
        match task.pop("do"):
            case "visit":
                answer = visit(**task)
            case "hold":
                new = [Session(task["door"], task["sources"][i % len(task["sources"])]) for i in range(task["sessions"])]
                held += new
                answer = [session.who for session in new]
            case "drop":
                gone = [session for session in held if task["who"] in ("", session.who)]
                held = [session for session in held if session not in gone]
                for session in gone:
                    session.close()
                answer = len(gone)
            case "held":
                answer = [session.who for session in held if session.who != "nobody" and session.open()]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
