# SPDX-License-Identifier: Apache-2.0
"""A mail server that only greets and says goodbye: for thousands of connections where a Postfix would be the slower part.

    python3 -m lab.greeter NAME COUNT_FILE [PORT...]

Writes the count of connections it accepted to COUNT_FILE when it is told to end by SIGTERM. From the environment:

    GREETING        what it says to everyone, instead of 220
    GREETER_MOODS   how it treats mail clients (the balancer's own probes are greeted as ever): JSON, remainder of the
                    connection's number by MOODS -> a greeting, "close" (without one), or "late" (greeted after LATE_S)

AUTH is accepted (235) with RIGHT as initial response, and refused (535) with any other.

While a file COUNT_FILE.temper exists, it says how everyone is treated: {"delay_s": 0.2, "greeting": "421 4.3.2 busy"}.
"""
import asyncio
import json
import os
import pathlib
import signal
import sys

from .network import BALANCER_BACK

MOODS = 50
LATE_S = 10
RIGHT = "AGEAcmlnaHQ="


class Greeter(asyncio.Protocol):
    accepted = 0
    name = "greeter"
    moods = {int(remainder): mood for remainder, mood in json.loads(os.environ.get("GREETER_MOODS", "{}")).items()}
    clients = 0
    temper_file = pathlib.Path()

    def connection_made(self, transport):
        Greeter.accepted += 1
        self._transport = transport
        self._line = b""
        temper = self._temper()
        greeting = temper.get("greeting", os.environ.get("GREETING", f"220 {Greeter.name}.lab.test ESMTP greeter"))
        match self._mood():
            case None if "delay_s" in temper:
                asyncio.get_running_loop().call_later(temper["delay_s"], self._greet, greeting)
            case None:
                self._greet(greeting)
            case "close":
                transport.close()
            case "late":
                asyncio.get_running_loop().call_later(LATE_S, self._greet, greeting)
            case other:
                self._greet(other)

    def _mood(self):
        if not Greeter.moods or self._transport.get_extra_info("peername")[0] in BALANCER_BACK:
            return None
        Greeter.clients += 1
        return Greeter.moods.get(Greeter.clients % MOODS)

    @staticmethod
    def _temper():
        try:
            return json.loads(Greeter.temper_file.read_text())
        except FileNotFoundError:
            return {}

    def _greet(self, line):
        self._transport.write(line.encode() + b"\r\n")

    def data_received(self, data):
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.strip().upper() == b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
                return
            if line.upper().startswith(b"AUTH "):
                welcome = line.split()[2:] == [RIGHT.encode()]
                self._transport.write(b"235 2.7.0 welcome\r\n" if welcome else b"535 5.7.8 no\r\n")
                continue
            self._transport.write(b"250 ok\r\n")


async def main(name, count_file, *ports):
    Greeter.name = name
    Greeter.temper_file = pathlib.Path(count_file + ".temper")
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Greeter, host, int(port), backlog=4096)
               for port in ports or ("25",) for host in ("0.0.0.0", "::")]
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    for server in servers:
        server.close()
    pathlib.Path(count_file).write_text(str(Greeter.accepted))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
