# SPDX-License-Identifier: Apache-2.0
"""The mail client's program: many real SMTP sessions at once, run in a client's namespace.

Takes a Plan as JSON in its first argument, tells what happens as one JSON object per line on standard output, and obeys
lines on standard input: `go` lets held sessions continue, `stop` ends the program after the sessions that are open.
`lab.mailer` is the side that tests use. Times are CLOCK_MONOTONIC seconds.
"""
import asyncio
import collections
import dataclasses
import json
import ssl
import sys
import time

from .messages import RECIPIENT, SENDER, make

GREETED, HALF_SENT = "greeted", "half_sent"  # where a session may be held
TRICKLE = 64  # octets that a held session sends at a time
TAIL = 1000   # octets of a message that it keeps for the end


@dataclasses.dataclass
class Plan:
    target: str
    doors: list = dataclasses.field(default_factory=lambda: [[25, "plain"]])  # [port, plain | starttls | tls], in turn
    sessions: int = 1           # how many there are in all
    concurrency: int = 0        # how many at once; 0 = all
    per_second: float = 0       # how many are begun in a second; 0 = no limit
    messages: int = 1           # per session
    size: int = 2000            # octets of a message, about
    pause_s: float = 0          # between the messages of a session
    hold: str = ""              # GREETED | HALF_SENT: wait there for `go`
    trickle_s: float = 0        # HALF_SENT: meanwhile, a few octets of the rest in each such interval; 0 = silent
    attempts: int = 1           # sessions tried for a message before giving up
    retry_s: float = 0.5        # between these
    timeout_s: float = 60       # for each reply
    sources: list = dataclasses.field(default_factory=list)  # addresses to bind to, in turn
    first_port: int = 0  # each session binds to one of its own, from here on: no port is used again; 0 = to any
    ca_file: str = ""
    server_name: str = "smtp.lab.test"
    run: str = "run"            # part of every message id
    details: bool = True        # one line per session and message; False: sums only


class SessionOver(Exception):
    """A session ended before its time: `outcome` says how, `detail` what was seen."""

    def __init__(self, outcome, detail=""):
        super().__init__(f"{outcome}: {detail}")
        self.outcome = outcome
        self.detail = detail


class Session:
    """One SMTP connection."""

    def __init__(self, plan, port, security, source, local_port=0):
        self.plan = plan
        self.port = port
        self.security = security
        self.source = source
        self.local_port = local_port
        self.backend = None
        self.local = None
        self.waited_s = None  # from the handshake to the greeting's last line
        self.opened_s = None  # likewise from the first SYN
        self._reader = self._writer = None

    async def open(self):
        """Connects, reads the greeting, says EHLO, and begins TLS where it belongs."""
        tls = tls_context(self.plan.ca_file) if self.security != "plain" else None
        began_at = time.monotonic()
        self._reader, self._writer = await self._guard(asyncio.open_connection(
            self.plan.target, self.port, local_addr=(self.source, self.local_port) if self.source else None,
            ssl=tls if self.security == "tls" else None,
            server_hostname=self.plan.server_name if self.security == "tls" else None))
        connected_at = time.monotonic()
        self.local = self._writer.get_extra_info("sockname")[:2]
        greeting = await self._reply(220)
        self.waited_s = time.monotonic() - connected_at
        self.opened_s = time.monotonic() - began_at
        self.backend = greeting.split()[1].split(".")[0]
        await self.command("EHLO client.lab.test", 250)
        if self.security == "starttls":
            await self.command("STARTTLS", 220)
            await self._guard(self._writer.start_tls(tls, server_hostname=self.plan.server_name))
            await self.command("EHLO client.lab.test", 250)

    async def command(self, line, expected):
        self._writer.write(line.encode() + b"\r\n")
        return await self._reply(expected)

    async def envelope(self):
        await self.command(f"MAIL FROM:<{SENDER}>", 250)
        await self.command(f"RCPT TO:<{RECIPIENT}>", 250)
        await self.command("DATA", 354)

    async def send(self, data):
        self._writer.write(data)
        await self._guard(self._writer.drain())

    async def end_of_data(self):
        await self._reply(250)

    async def hold(self, released, data=b"", trickle_s=0):
        """Waits for `released`; raises SessionOver as soon as the connection ends instead. Meanwhile it sends, with
        `trickle_s`, a few octets of `data` in each such interval. Returns how many it has sent."""
        ended = asyncio.ensure_future(self._guard(self._reader.read(1), limit=False))
        go = asyncio.ensure_future(released.wait())
        sent = 0
        while not (ended.done() or go.done()):
            if trickle_s and sent < len(data):
                self._writer.write(data[sent:sent + TRICKLE])
                sent += len(data[sent:sent + TRICKLE])
            await asyncio.wait({ended, go}, timeout=trickle_s or None, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            go.cancel()
            ended.result()  # raises what ended it, unless that was an orderly end
            raise SessionOver("closed", "while held")
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        return sent

    async def quit(self):
        await self.command("QUIT", 221)
        await self._guard(self._reader.read())

    def close(self):
        if self._writer:
            self._writer.close()

    async def _reply(self, expected):
        lines = []
        while True:
            line = await self._guard(self._reader.readline())
            if not line.endswith(b"\n"):
                raise SessionOver("closed", f"after {len(lines)} reply lines")
            lines.append(line.decode(errors="replace").strip())
            if line[3:4] != b"-":
                break
        if not lines[-1].startswith(str(expected)):
            raise SessionOver("refused", lines[-1])
        return lines[-1]

    async def _guard(self, awaitable, limit=True):
        """Awaits with the plan's time limit, and turns what can go wrong into SessionOver."""
        try:
            return await asyncio.wait_for(awaitable, self.plan.timeout_s if limit else None)
        except asyncio.TimeoutError as error:
            raise SessionOver("timeout", f"no answer within {self.plan.timeout_s} s") from error
        except (ConnectionResetError, BrokenPipeError) as error:
            raise SessionOver("reset", str(error)) from error
        except ssl.SSLError as error:
            raise SessionOver("tls", str(error)) from error
        except OSError as error:
            raise SessionOver("unreachable", str(error)) from error


_CONTEXTS = {}


def tls_context(ca_file):
    """One context per authority: making one takes longer than a session."""
    if ca_file not in _CONTEXTS:
        _CONTEXTS[ca_file] = ssl.create_default_context(cafile=ca_file or None)
    return _CONTEXTS[ca_file]


class Client:
    """Carries out a Plan."""

    def __init__(self, plan, out=sys.stdout):
        self.plan = plan
        self.released = asyncio.Event()
        self.stopping = False
        self.sums = collections.Counter()
        self._out = out

    async def run(self):
        limit = asyncio.Semaphore(self.plan.concurrency or self.plan.sessions or 1)
        running = set()
        begun_at = time.monotonic()
        for number in range(self.plan.sessions):
            await limit.acquire()
            if self.stopping:
                break
            if self.plan.per_second:
                await asyncio.sleep(begun_at + number / self.plan.per_second - time.monotonic())
            task = asyncio.create_task(self._job(number))
            running.add(task)
            task.add_done_callback(lambda done: (running.discard(done), limit.release()))
        if running:
            await asyncio.wait(running)
        self._tell("done", seconds=time.monotonic() - begun_at, sums=dict(self.sums))

    async def _job(self, number):
        """One session's messages; what a broken session leaves over is tried again in another."""
        plan = self.plan
        left = collections.deque(make(f"{plan.run}.{number}.{index}@client.lab.test", plan.size, f"{plan.run}.{number}.{index}")
                                 for index in range(plan.messages))
        port, security = plan.doors[number % len(plan.doors)]
        source = plan.sources[number % len(plan.sources)] if plan.sources else None
        for attempt in range(1, plan.attempts + 1):
            session = Session(plan, port, security, source, plan.first_port + number if plan.first_port else 0)
            outcome, detail = "delivered", ""
            try:
                await self._converse(session, number, left)
            except SessionOver as over:
                outcome, detail = over.outcome, over.detail
            finally:
                session.close()
            self._count(f"end:{outcome}")
            self._detail("end", session=number, attempt=attempt, port=port, backend=session.backend, outcome=outcome,
                         detail=detail, left=len(left))
            if outcome == "delivered":
                return
            if attempt < plan.attempts:
                self._count("retried", len(left))
                await asyncio.sleep(plan.retry_s)
        self._count("given_up", len(left))

    async def _converse(self, session, number, left):
        plan = self.plan
        await session.open()
        self._count(f"open:{session.backend}")
        self._detail("open", session=number, port=session.port, backend=session.backend, local=session.local,
                     waited_s=session.waited_s, opened_s=session.opened_s)
        if plan.hold == GREETED:
            await session.hold(self.released)
        while left:
            message = left[0]
            self._detail("begin", id=message.message_id, hash=message.body_hash)
            await session.envelope()
            half = len(message.wire) // 2 if plan.hold == HALF_SENT else 0
            if half:
                await session.send(message.wire[:half])
                self._detail("held", session=number, backend=session.backend)
                half += await session.hold(self.released, message.wire[half:-TAIL], plan.trickle_s)
            await session.send(message.wire[half:])
            await session.end_of_data()
            left.popleft()
            self._count("messages")
            self._detail("message", id=message.message_id, port=session.port, backend=session.backend)
            if left and plan.pause_s:
                await asyncio.sleep(plan.pause_s)
        await session.quit()

    def _count(self, what, by=1):
        self.sums[what] += by

    def _detail(self, event, **fields):
        if self.plan.details:
            self._tell(event, **fields)

    def _tell(self, event, **fields):
        print(json.dumps({"event": event, "time": time.monotonic(), **fields}), file=self._out, flush=True)


async def obey(client):
    """Reads the orders on standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        if line.strip() == b"go":
            client.released.set()
        elif line.strip() == b"stop":
            client.stopping = True


async def main():
    client = Client(Plan(**json.loads(sys.argv[1])))
    orders = asyncio.create_task(obey(client))
    await client.run()
    orders.cancel()


if __name__ == "__main__":
    asyncio.run(main())
