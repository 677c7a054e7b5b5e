# SPDX-License-Identifier: Apache-2.0
"""Mail of both regions' clients while something happens in the world of lab.regions, and what each client saw of it: what was cut that
should not have been, how long nothing was confirmed, what became of every message in the end."""
import dataclasses
import time

from .region_hosts import RELAY, SUBMISSION
from .shell import CommandError, wait_until

# How each region's clients send: other sites' servers to the VIP of both regions, customers to where the DNS leads them.
STREAMS = (("relay", RELAY, [[25, "plain"]]), ("submission", SUBMISSION, [[587, "starttls"], [465, "tls"]]))
PER_SECOND, MESSAGES, PAUSE_S = 1.5, 5, 0.6  # sessions begun by each stream, and what each of them does: three seconds of it
NEVER_ENDS = 1_000_000


@dataclasses.dataclass
class Event:
    """What happened, and what of it clients saw. `allowed`: region of clients -> beginnings of the names of mail servers with which their
    sessions may be cut by it; with "", also those that have reached none."""
    title: str
    allowed: dict
    begun_s: float
    ended_s: float = 0
    seen: dict = dataclasses.field(default_factory=dict)  # region -> Seen


@dataclasses.dataclass
class Seen:
    confirmed: int
    by: dict            # region of the mail server -> messages confirmed
    cut: int            # sessions that may be cut by what happened
    wrong: list         # end events of those that may not
    gap_s: float        # the longest time in which a stream got nothing confirmed


class Traffic:
    """`start()`, then `during()` for each event, then `finish()`."""

    def __init__(self, world):
        self.world = world
        self.events = []
        self._mailers = {}  # region -> one for each stream

    def start(self):
        for region, clients in self.world.clients.items():
            self._mailers[region] = [clients.mail(target, doors=doors, sessions=NEVER_ENDS, per_second=PER_SECOND, messages=MESSAGES, pause_s=PAUSE_S,
                                                  size=4000, attempts=60, retry_s=0.7, timeout_s=45) for _, target, doors in STREAMS]

    @property
    def mailers(self):
        return [mailer for each in self._mailers.values() for mailer in each]

    def during(self, title, act, allowed=None, seconds=6):
        """Carries out `act`; then mail goes on for so long, and until every stream has had something confirmed since. Returns the Event."""
        event = Event(title, allowed or {}, time.monotonic())
        act()
        done_s = time.monotonic()
        wait_until(lambda: time.monotonic() - done_s > seconds and self._flows_since(done_s), 120, f"{title}: mail goes on")
        event.ended_s = time.monotonic()
        self.events.append(event)
        event.seen = {region: self._seen(event, region, mailers) for region, mailers in self._mailers.items()}
        return event

    def _flows_since(self, moment):
        for mailer in self.mailers:
            if not mailer.running():
                raise CommandError(f"a mail client has ended: {mailer.summary()}")
        return all(mailer.moments and mailer.moments[-1][0] > moment for mailer in self.mailers)

    @staticmethod
    def _seen(event, region, mailers):
        by, cut, wrong, gap_s = {}, 0, [], 0.0
        for mailer in mailers:
            times = [event.begun_s]
            for moment, backend in list(mailer.moments):
                if event.begun_s <= moment <= event.ended_s:
                    times.append(moment)
                    by[backend.split("-")[0]] = by.get(backend.split("-")[0], 0) + 1
            times.append(event.ended_s)
            gap_s = max(gap_s, *(later - earlier for earlier, later in zip(times, times[1:])))
            for end in list(mailer.ended):
                if end["outcome"] == "delivered" or not event.begun_s <= end["time"] <= event.ended_s:
                    continue
                if is_allowed(end["backend"], event.allowed.get(region, ())):
                    cut += 1
                else:
                    wrong.append(end)
        return Seen(sum(by.values()), by, cut, wrong, gap_s)

    def finish(self):
        """No further sessions; those that are open come to their end. Returns region -> Outcome."""
        for mailer in self.mailers:
            mailer.stop()
        for mailer in self.mailers:
            mailer.wait()
        self.world.lab.wait_delivered()
        return {region: self._outcome(region) for region in self._mailers}

    def _outcome(self, region):
        mailers = self._mailers[region]
        found = self.world.lab.tally(*mailers)
        sums = [mailer.sums for mailer in mailers]
        return Outcome(sent=sum(len(mailer.attempted) for mailer in mailers), confirmed=sum(len(mailer.confirmed) for mailer in mailers),
                       given_up=sum(each.get("given_up", 0) for each in sums), lost=len(found.lost), duplicated=len(found.duplicated),
                       changed=len(found.corrupted), gap_s=max((event.seen[region].gap_s for event in self.events), default=0.0))

    @property
    def wrong(self):
        """(event, end of a session that nothing should have cut)."""
        return [(event, end) for event in self.events for seen in event.seen.values() for end in seen.wrong]


@dataclasses.dataclass
class Outcome:
    """Of all messages of a region's clients, by their own word and by the mailboxes."""
    sent: int        # at least in part
    confirmed: int
    given_up: int
    lost: int        # confirmed, and in no mailbox
    duplicated: int  # its server died between storing it and saying so
    changed: int
    gap_s: float

    @property
    def is_good(self):
        return not (self.given_up or self.lost or self.changed) and self.sent == self.confirmed


def is_allowed(backend, allowed):
    """Whether a session with that mail server (None: it had got none yet) may be cut."""
    return any(each and backend.startswith(each) for each in allowed) if backend else "" in allowed
