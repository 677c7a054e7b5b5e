# SPDX-License-Identifier: Apache-2.0
"""A mail server that tells each client who it is and what came before the client's first word: for comparing balancers.

    python3 -m lab.witness NAME CERTIFICATE KEY

It greets at once on PLAIN, after a handshake of TLS on IMPLICIT, and on the ports of DEMANDING only after a PROXY header of that
kind. The greeting is "220 NAME.FAMILY:PORT"; "WHO" is answered with "250 " and the PROXY header, in hex.

Each line on its standard input is a mood, in JSON; once it holds, "done" is written. {"down": true}: its ports are closed;
{"greeting": "554 no"}: it says that to everyone; {"mute": true}: it says nothing; {"agent": "drain"}: what it says on AGENT, by
HAProxy's protocol of agents. {}: as at first.
"""
import json
import socket
import ssl
import sys
import threading

PLAIN = (25, 26, 27, 587, 2525)
IMPLICIT = 465
AGENT = 9707
DEMANDING = {10025: b"P\r", 10026: b"P", 10027: b"\r"}  # first bytes of the headers that are taken, v1 and v2
PATIENCE_S = 0.5
V2_HEAD = 16


class Witness:
    def __init__(self, name, certificate, key):
        self.name = name
        self.mood = {}
        self.listeners = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)

    def set_mood(self, mood):
        self.mood = mood
        if mood.get("down"):
            for listener in self.listeners:
                listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
                listener.close()
            self.listeners = []
        elif not self.listeners:
            for port in (*PLAIN, IMPLICIT, AGENT, *DEMANDING):
                for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                    listener = socket.create_server((host, port), family=family, backlog=512)
                    self.listeners.append(listener)
                    threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def _accept(self, listener, port):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, port), daemon=True).start()

    def _serve(self, client, port):
        try:
            with client:
                family = 6 if client.family == socket.AF_INET6 else 4
                self._converse(self.tls.wrap_socket(client, server_side=True) if port == IMPLICIT else client, family, port)
        except OSError:
            pass

    def _converse(self, client, family, port):
        header = b""
        with client, client.makefile("rwb") as stream:
            if port == AGENT:
                stream.write(self.mood.get("agent", "up 100%").encode() + b"\n")
                return
            if port in DEMANDING:
                client.settimeout(PATIENCE_S)
                header = read_header(stream)
                client.settimeout(None)
                if header[:1] not in DEMANDING[port] or not header:
                    return
            if not self.mood.get("mute"):
                stream.write(self.mood.get("greeting", f"220 {self.name}.{family}:{port}").encode() + b"\r\n")
                stream.flush()
            header = header or read_header(stream)
            while line := stream.readline():
                stream.write(self._answer(line.strip().upper(), header))
                stream.flush()
                if line.upper().startswith(b"QUIT"):
                    return

    def _answer(self, word, header):
        if word == b"WHO":
            return b"250 " + header.hex().encode() + b"\r\n"
        if word.startswith(b"EHLO"):
            return b"250-" + self.name.encode() + b"\r\n250 PIPELINING\r\n"
        return b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n"


def read_header(stream):
    """The PROXY header at the begin of a stream, b"" if it begins otherwise, of which nothing is taken then."""
    begin = stream.peek(1)[:1]
    if begin == b"P":
        return stream.readline()
    if begin == b"\r":
        head = stream.read(V2_HEAD)
        return head + stream.read(int.from_bytes(head[14:], "big"))
    return b""


def main():
    witness = Witness(*sys.argv[1:])
    witness.set_mood({})
    print("done", flush=True)
    for line in sys.stdin:
        witness.set_mood(json.loads(line))
        print("done", flush=True)


if __name__ == "__main__":
    main()
