# SPDX-License-Identifier: Apache-2.0
"""A mail server that tells each client who it is and what came before the client's first word: for comparing balancers.

    python3 -m lab.witness NAME [CERTIFICATE KEY]

It greets at once on PLAIN, after a handshake of TLS on IMPLICIT (with a certificate), and on the ports of DEMANDING only after a
PROXY header of that kind. The greeting is "220 NAME.FAMILY:PORT"; "WHO" is answered with "250 " and the bytes before it, in hex.

Each line on its standard input is a mood, in JSON; once it holds, "done" is written. {"down": true}: its ports are closed;
{"greeting": "554 no"}: it says that to everyone; {"mute": true}: it says nothing. {}: as at first.
"""
import asyncio
import json
import pathlib
import re
import ssl
import sys

PLAIN = (25, 26, 27, 587, 2525)
IMPLICIT = 465
V1 = re.compile(rb"PROXY [^\r]*\r\n")
V2 = re.compile(rb"\r\n\r\n\0\r\nQUIT\n(.)(.)(..)", re.DOTALL)
DEMANDING = {10025: (V1, V2), 10026: (V1,), 10027: (V2,)}
PATIENCE_S = 0.5


def header_length(data, wanted):
    """Bytes of the PROXY header at the begin of `data`, 0 if none is there yet."""
    for pattern in wanted:
        if found := pattern.match(data):
            end = found.end() + (int.from_bytes(found[3], "big") if pattern is V2 else 0)
            return end if len(data) >= end else 0
    return 0


class Witness:
    def __init__(self, name, certificate=None, key=None):
        self.name = name
        self.mood = {}
        self.servers = []
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate, key)

    async def set_mood(self, mood):
        was_down, self.mood = self.mood.get("down", not self.servers), mood
        if mood.get("down") and not was_down:
            for server in self.servers:
                server.close()
            self.servers = []
        elif was_down and not mood.get("down"):
            ports = [(port, None) for port in (*PLAIN, *DEMANDING)] + ([(IMPLICIT, self.tls)] if self.tls else [])
            for port, tls in ports:
                for host in ("0.0.0.0", "::"):
                    self.servers.append(await asyncio.start_server(self.serve, host, port, ssl=tls, backlog=512))

    async def serve(self, reader, writer):
        try:
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader, writer):
        local = writer.get_extra_info("sockname")
        port, family = local[1], 6 if ":" in local[0] else 4
        before = b""
        if wanted := DEMANDING.get(port):
            async with asyncio.timeout(PATIENCE_S):
                while not header_length(before, wanted):
                    before += await reader.readexactly(1)
        if not self.mood.get("mute"):
            writer.write(self.mood.get("greeting", f"220 {self.name}.{family}:{port}").encode() + b"\r\n")
        while line := await reader.readline():
            word = line.strip().upper()
            if word == b"WHO":
                writer.write(b"250 " + before.hex().encode() + b"\r\n")
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            elif word.startswith((b"EHLO", b"HELO")):
                writer.write(b"250-" + self.name.encode() + b"\r\n250 PIPELINING\r\n" if word[:1] == b"E" else b"250 ok\r\n")
            else:
                before += line


async def main(name, *certificate):
    witness = Witness(name, *certificate)
    loop = asyncio.get_running_loop()
    moods = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(moods), sys.stdin)
    await witness.set_mood({})
    print("done", flush=True)
    while line := await moods.readline():
        await witness.set_mood(json.loads(line))
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*(str(pathlib.Path(word)) for word in sys.argv[1:])))
