# SPDX-License-Identifier: Apache-2.0
"""A mail client whose sessions come to ends of many kinds, each known beforehand: for what is recorded of them.

    python3 -m lab.fates < PLAN

PLAN is a line of JSON: {"target", "port", "sessions": [[fate, source address], ...], "concurrency", "ca_file"}. A third word of a session
is the port to come from. Prints one JSON object a
session: fate, client and port, what was sent and received in bytes, the greeting's code, who greeted, messages accepted, each reply that
was a refusal ("refusals": command, code, enhanced code), whether QUIT was said in the clear, how the connection ended as the client saw
it, what its kernel counted before it closed ("kernel": see COUNTS), and of STARTTLS the name that was asked for and the JA4 fingerprint.
What is said under TLS is not counted. Fates:

    accepted   a message, QUIT
    two        two messages, QUIT
    refused    a recipient that is refused with 550, one that is not, a message, QUIT
    later      a recipient that is put off with 450, QUIT
    greeting   QUIT, whatever the greeting says; the source decides
    drop       EHLO, and the client closes without QUIT
    reset      the client resets in mid-message
    starttls   STARTTLS, a message, QUIT
    early      EHLO before the greeting, QUIT
    idle       EHLO, and then nothing
    vanish     the client is gone in mid-message, without a word to anybody, and its machine answers nothing
    hold       EHLO, and then waits until the connection ends
"""
import asyncio
import json
import socket
import ssl
import struct
import sys

from .hello import fingerprint, hello_of
from .messages import DOMAIN

MESSAGE = "Subject: a fate\r\n\r\n" + "as it comes\r\n" * 40 + ".\r\n"
NOBODY, LATER, SOMEBODY = (f"{name}@{DOMAIN}" for name in ("nobody", "later", "somebody"))
PATIENCE_S = 300
# Of struct tcp_info (linux/tcp.h): where it stands, and as what.
TCP_INFO_BYTES = 256
COUNTS = {"unacked": (24, "I"), "sent_again": (100, "I"), "segments_out": (136, "I"), "segments_in": (140, "I"),
          "bytes_in": (128, "Q"),  # FIN counts as one
          "bytes_out": (200, "Q"), "bytes_again": (208, "Q")}  # bytes_out: what is sent again among them
TCP_REPAIR = 19


class Over(Exception):
    """The connection ended; the argument says how."""


class Session:
    def __init__(self, plan, fate, source, port=0):
        self.plan, self.fate, self.source, self.port = plan, fate, source, port
        self.told = {"fate": fate, "client": source, "sent": 0, "received": 0, "greeting": 0, "accepted": 0, "refusals": [], "quit": False,
                     "end": ""}

    async def run(self):
        try:
            self.reader, self.writer = await asyncio.open_connection(self.plan["target"], self.plan["port"], local_addr=(self.source, self.port))
        except ConnectionRefusedError:
            self.told["end"] = "refused"
            return self.told
        self.socket = self.writer.get_extra_info("socket")
        self.told["port"] = self.writer.get_extra_info("sockname")[1]
        try:
            await getattr(self, self.fate)()
        except Over as over:
            self.told["end"] = str(over)
        finally:
            self.told["kernel"] = self.counts()
            self.writer.close()
        return self.told

    def counts(self):
        """What the kernel has counted; None if it has forgotten."""
        try:
            info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        except OSError:
            return None
        return {name: struct.unpack_from(kind, info, at)[0] for name, (at, kind) in COUNTS.items()}

    async def say(self, text, counted=True):
        self.writer.write(text.encode())
        self.told["sent"] += len(text) if counted else 0
        await self.writer.drain()

    async def reply(self, counted=True):
        """The code of the next reply."""
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readline(), PATIENCE_S)
            except ConnectionResetError:
                raise Over("reset") from None
            if not line:
                raise Over("closed")
            self.told["received"] += len(line) if counted else 0
            if line[3:4] != b"-":
                self.line = line.decode()
                return int(line[:3])

    async def ask(self, text, counted=True):
        await self.say(text + "\r\n", counted)
        code = await self.reply(counted)
        if code >= 400 and counted:
            self.told["refusals"].append([text.split()[0].lower(), code, self.line.split()[1]])
        return code

    async def greet(self):
        self.told["greeting"] = await self.reply()
        self.told["backend"] = self.line.split()[1].split(".")[0]
        return await self.ask("EHLO client.lab.test")

    async def message(self, *recipients, counted=True):
        await self.ask(f"MAIL FROM:<client@{DOMAIN}>", counted)
        for recipient in recipients:
            await self.ask(f"RCPT TO:<{recipient}>", counted)
        if await self.ask("DATA", counted) != 354:
            return
        await self.say(MESSAGE, counted)
        self.told["accepted"] += await self.reply(counted) == 250

    async def quit(self, counted=True):
        assert await self.ask("QUIT", counted) == 221
        self.told["quit"] = counted
        await self.until_end()

    async def until_end(self):
        try:
            rest = await asyncio.wait_for(self.reader.read(), PATIENCE_S)
        except ConnectionResetError:
            raise Over("reset") from None
        assert not rest
        raise Over("closed")

    async def accepted(self):
        await self.greet()
        await self.message(SOMEBODY)
        await self.quit()

    async def two(self):
        await self.greet()
        await self.message(SOMEBODY)
        await self.message(SOMEBODY, SOMEBODY)
        await self.quit()

    async def refused(self):
        await self.greet()
        await self.message(NOBODY, SOMEBODY)
        await self.quit()

    async def later(self):
        await self.greet()
        await self.message(LATER)
        await self.quit()

    async def greeting(self):
        self.told["greeting"] = await self.reply()
        if self.told["greeting"] == 421:
            await self.until_end()
        await self.quit()

    async def drop(self):
        await self.greet()
        self.told["end"] = "closed by us"

    async def half_a_message(self):
        await self.greet()
        await self.ask(f"MAIL FROM:<client@{DOMAIN}>")
        await self.ask(f"RCPT TO:<{SOMEBODY}>")
        await self.ask("DATA")
        await self.say(MESSAGE[:100])

    async def reset(self):
        await self.half_a_message()
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.told["end"] = "reset by us"

    async def starttls(self):
        await self.greet()
        assert await self.ask("STARTTLS") == 220
        context, name = ssl.create_default_context(cafile=self.plan["ca_file"]), f"smtp.{DOMAIN}"
        self.told.update(sni=name, ja4=fingerprint(hello_of(context, name)))
        await self.writer.start_tls(context, server_hostname=name)
        await self.ask("EHLO client.lab.test", counted=False)
        await self.message(SOMEBODY, counted=False)
        await self.quit(counted=False)

    async def early(self):
        await self.say("EHLO client.lab.test\r\n")
        self.told["greeting"] = await self.reply()
        self.told["backend"] = self.line.split()[1].split(".")[0]
        await self.reply()
        await self.quit()

    async def idle(self):
        await self.greet()
        await self.until_end()

    async def vanish(self):
        await self.half_a_message()
        while self.counts()["unacked"]:  # what comes for a connection that is no more would be answered with an RST
            await asyncio.sleep(0.02)
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # as processes are moved to other machines: close() says nothing
        self.told["end"] = "vanished"

    async def hold(self):
        await self.greet()
        print(json.dumps({"held": self.told["port"], "client": self.source, "backend": self.told["backend"]}), flush=True)
        await self.until_end()


async def main(plan):
    gate = asyncio.Semaphore(plan["concurrency"])

    async def one(words):
        async with gate:
            print(json.dumps(await Session(plan, *words).run()), flush=True)
    await asyncio.gather(*(one(words) for words in plan["sessions"]))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
