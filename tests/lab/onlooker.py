# SPDX-License-Identifier: Apache-2.0
"""What clients and mail servers see of a balancer, whatever it is: observed scene by scene, and compared.

A scene is a state of the mail servers, which are witnesses (see lab.witness). What is observed of it, by door ("192.0.2.25:25"):

    shares    who answered, as "mta1.4:25" (name, family, port), -> share of the sessions; "nobody"
    headers   who -> the PROXY headers that came to it, in words
    sticky    whether a client stays with its server (scene "up" alone)
    refills   whether new sessions prefer the server that has lost its own (scene "up" alone, of more than two servers)
    at_once   who -> sessions that were open at the same time, if asked for
    kept      of sessions that were open before the scene, those that are still: who
"""
import collections
import json
import subprocess
import sys

from .mailer import TESTS
from .network import VIP4, VIP6, client_addresses
from .shell import CommandError, in_namespace

PORTS = (25, 26, 27, 28, 465, 587)
SESSIONS = 36
HELD = 60
TOLERANCE = 0.12
REFILLS = 0.44  # in turn or by chance it is the server's share, a third


class Helper:
    """A program of the lab that answers each line of JSON with one line."""

    def __init__(self, module, namespace, *args):
        self.process = subprocess.Popen(in_namespace(namespace, [sys.executable, "-m", module, *args]), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(TESTS),
                                             "PYTHONDONTWRITEBYTECODE": "1"})

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise CommandError(f"{self.process.args}: ended")
        return line

    def ask(self, task):
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


class Onlooker:
    """Witnesses on all backends of a lab, and a visitor in the first client's namespace."""

    def __init__(self, lab):
        certificate, key = lab.issue_certificate()
        self.witnesses = {}
        for index, namespace in enumerate(lab.network.backends):
            self.witnesses[f"mta{index + 1}"] = Helper("lab.witness", namespace, f"mta{index + 1}", str(certificate), str(key))
        for witness in self.witnesses.values():
            witness.hear()
        self.visitor = Helper("lab.visitor", lab.network.clients[0])
        self.sources = dict(zip((4, 6), client_addresses(0)))

    def stop(self):
        for helper in (*self.witnesses.values(), self.visitor):
            helper.stop()

    def set_moods(self, moods):
        """Name -> mood; those that are not named are as at first."""
        for name, witness in self.witnesses.items():
            witness.ask(moods.get(name, {}))

    def visit(self, do, door=None, **task):
        if door:
            task.update(door=door, sources=self.sources[6 if ":" in door[0] else 4])
        return json.loads(self.visitor.ask({"do": do, **task}))

    def look(self, doors, extras=False, at_once=0, together=False, refills=True):
        """What is seen now at `doors`. `extras`: the scheduler's ways, too, at the first door at which more than one server answers.
        `together`: all sessions of a door are open at the same time; `refills`: whether that is asked, too."""
        out = {}
        for door in doors:
            seen = self.visit("visit", door, sessions=SESSIONS, together=together)
            count = collections.Counter(who for _, who, _ in seen)
            if set(count) == {"nobody"}:
                continue
            shares = {who: number / len(seen) for who, number in count.items()}
            here = out[f"{door[0]}:{door[1]}"] = {"shares": shares, "headers": {}}
            for _, who, header in seen:
                if header:
                    here["headers"].setdefault(who, set()).add(header)
            answering = set(count) - {"nobody"}
            if extras and len(answering) > 1 and door[1] != 465:
                extras = False
                here["sticky"] = sticky(seen)
                if not here["sticky"] and len(answering) > 2 and refills:
                    here["refills"] = self._refills(door)
        if at_once:
            out["at_once"] = dict(collections.Counter(self.visit("hold", doors[0], sessions=at_once)))
            self.visit("drop", who="")
        return out

    def _refills(self, door):
        held = collections.Counter(who for who in self.visit("hold", door, sessions=HELD) if who != "nobody")
        if not held:
            return False
        least = min(held, key=lambda who: (held[who], who))
        gone = self.visit("drop", who=least)
        again = self.visit("hold", door, sessions=gone)
        self.visit("drop", who="")
        return again.count(least) / gone > max(REFILLS, 1.3 * held[least] / HELD)

    def doors(self):
        """Every address and port that is looked at."""
        return [(vip, port) for vip in (VIP4, VIP6) for port in PORTS]


def sticky(seen):
    """Whether most clients met one server alone."""
    met = collections.defaultdict(set)
    for source, who, _ in seen:
        met[source].add(who)
    return sum(len(whos) == 1 for whos in met.values()) > 0.7 * len(met)


def differences(one, other, tolerance=TOLERANCE):
    """Facts, as "SCENE DOOR FACT: ONE / OTHER", in which two observations (scene -> what `look()` saw) are not alike."""
    out = []
    for scene in one | other:
        here, there = one.get(scene, {}), other.get(scene, {})
        for door in here | there:
            if door in ("at_once", "kept"):
                if here.get(door) != there.get(door):
                    out.append(f"{scene} {door}: {here.get(door)} / {there.get(door)}")
                continue
            if (door in here) != (door in there):
                shares = (here.get(door) or there.get(door))["shares"]
                out.append(f"{scene} {door} answers: {door in here} / {door in there} ({shares})")
                continue
            stays = one.get("up", {}).get(door, {}).get("sticky")
            out += [f"{scene} {door} {text}" for text in at_door(here[door], there[door], 1 if stays else tolerance)]
    return out


def at_door(here, there, tolerance):
    for fact in ("headers", "sticky", "refills"):
        asked = fact in here and fact in there  # the last two of one door alone, and that may be another one
        if asked and here[fact] != there[fact]:
            yield f"{fact}: {here.get(fact)} / {there.get(fact)}"
    shares = [here["shares"], there["shares"]]
    if set(shares[0]) != set(shares[1]):
        yield f"who: {shares[0]} / {shares[1]}"
    elif any(abs(shares[0][who] - shares[1][who]) > tolerance for who in shares[0]):
        yield f"shares: {shares[0]} / {shares[1]}"
