# SPDX-License-Identifier: Apache-2.0
"""A mail server that only greets and says goodbye: for thousands of connections where a Postfix would be the slower part.

    python3 -m lab.greeter NAME COUNT_FILE [PORT...]

Writes the count of connections it accepted to COUNT_FILE when it is told to end by SIGTERM.
"""
import asyncio
import pathlib
import signal
import sys


class Greeter(asyncio.Protocol):
    accepted = 0
    name = "greeter"

    def connection_made(self, transport):
        Greeter.accepted += 1
        self._transport = transport
        self._line = b""
        transport.write(b"220 %s.lab.test ESMTP greeter\r\n" % Greeter.name.encode())

    def data_received(self, data):
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            if line.strip().upper() == b"QUIT":
                self._transport.write(b"221 bye\r\n")
                self._transport.close()
                return
            self._transport.write(b"250 ok\r\n")


async def main(name, count_file, *ports):
    Greeter.name = name
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
