# SPDX-License-Identifier: Apache-2.0
"""The page of perf/report: what was measured, as text with a picture for each question. Pure: figures come in, files come out."""
import statistics

from .plot import bars, curves, stacked

PAGE = "README.md"
STAGES = {"receive": "receive", "parse": "parse and prefetch", "look_up_flows": "look up", "place_new_flows": "place new flows",
          "translate": "translate", "transmit": "transmit", "poll_control": "commands", "expire_some": "expire"}
MIXES = {"established": "an established flow's segment", "lifecycle": "a whole connection's segment (of seven)",
         "new": "a SYN that is placed", "cookies": "a SYN that is answered", "shed": "a SYN while the worker is behind"}
SESSIONS = {"vlan": "with VLAN tags", "proxy": "with a PROXY header", "syn-cookie": "whose SYN was answered for its server", "fullnat": "`fullnat`",
            "dsr": "`dsr` (the client's half)", "ipip": "`ipip` (the client's half)", "gue": "`gue` (the client's half)"}
# Name -> what was measured, in whose words, where it is written. Each on its own hardware, most of them with cards.
PUBLISHED = [
    ("Krononat, stateful NAT over DPDK (2018)", "77 million packets/s on 12 cores with 60 million connections: 156 ns a packet and core",
     "[USENIX ATC 2018](https://www.usenix.org/conference/atc18/presentation/andre)"),
    ("DPVS 1.9.2, `fullnat` over DPDK", "200,000 connections/s on one worker, 1.24 million on ten, 1.07 million on sixteen: 826 ns a packet on one worker; "
     "2.9 million packets/s of UDP: 345 ns", "[its test report](https://github.com/iqiyi/dpvs/blob/master/test/release/v1.9.2/performance.md)"),
    ("Cuckoo++, a flow table alone (2017)", "37 million look-ups/s and core that find (27 ns), 60 million that do not (17 ns)",
     "[arXiv:1712.09624](https://arxiv.org/abs/1712.09624)"),
    ("dperf, client and server of connections", "2.1 million HTTP connections/s for a core of each (25 Gbit/s card), 4 million on newer machines",
     "[its README](https://github.com/baidu/dperf)"),
]


def write_page(found, directory):
    """Writes the page and its pictures. Returns the page."""
    pictures = {"stages.svg": _stages, "cost.svg": _cost, "kinds.svg": _kinds, "scaling.svg": _scaling, "flood.svg": _flood}
    for name, draw in pictures.items():
        if picture := draw(found):
            (directory / name).write_text(picture)
    text = _page(found)
    (directory / PAGE).write_text(text)
    return text


def _median(rows, figure):
    return statistics.median(row[figure] for row in rows)


def _over_flows(found, family):
    """Flows -> the rows of all processes, fewest flows first."""
    out = {}
    for run in found["established"][family]:
        for row in run:
            out.setdefault(row["flows"], []).append(row)
    return dict(sorted(out.items()))


def _stages(found):
    rows = []
    for flows, runs in _over_flows(found, "ipv4").items():
        ghz = found["tsc_ghz"]
        rows.append((f"{flows:,} flows", [statistics.median(run["stage_cycles"][stage] for run in runs) / ghz for stage in STAGES]))
    return stacked("Where a packet's time goes: ns in each stage of the worker", "established nat flows, IPv4; receive and transmit are the rig's devices",
                   list(STAGES.values()), rows)


def _cost(found):
    series = []
    for family in found["established"]:
        points = _over_flows(found, family)
        series.append((f"{family}, worker", [(flows, _median(runs, "worker_ns"), min(run["worker_ns_q1"] for run in runs),
                                              max(run["worker_ns_q3"] for run in runs)) for flows, runs in points.items()]))
        if family == "ipv4":
            series.append(("two random lines", [(flows, _median(runs, "bound_ns"), *_ends(runs, "bound_ns")) for flows, runs in points.items()]))
    least, most = min(points), max(points)
    marks = [10 ** power for power in range(9) if least <= 10 ** power <= most]
    return curves("What a packet costs over the number of flows, ns", "medians over processes, whiskers from the lowest to the highest quartile",
                  series, ("flows", marks if len(marks) > 1 else [least, most]), ("ns", [5, 10, 20, 50, 100, 200, 400]))


def _ends(rows, figure):
    values = [row[figure] for row in rows]
    return min(values), max(values)


def _kinds(found):
    rows = []
    for mix, what in MIXES.items():
        runs = found["mixes"][mix]
        rows.append(("sluice", what, _median(runs, "worker_ns"), min(run["worker_ns_q1"] for run in runs), max(run["worker_ns_q3"] for run in runs)))
    return bars("What a packet of each kind costs, ns", "a thousand flows, IPv4, 64-byte frames", rows, digits=0, left=290)


def _scaling(found):
    if not found["scaling"]:
        return None
    rows = []
    for words, figure in (("each packet at its flow's worker", "own_times"), ("packets at either worker", "either_times")):
        runs = [run[figure] for run in found["scaling"]]
        rows.append(("sluice", words, statistics.median(run["median"] for run in runs), min(run["q1"] for run in runs), max(run["q3"] for run in runs)))
    return bars("What two workers carry, in times of one", "two threads of one processor, if that is all there is; see the text", rows, digits=2, left=230)


def _flood(found):
    if not found["flood"]:
        return None
    rows = [("sluice" if phase == "flood" else "", phase, *_spread([one["new"]["session_us"]["p99"] / 1000 for one in results]))
            for phase, results in found["flood"]["phases"].items()]
    return bars("99th percentile of a new mail session, ms", "beside 2,000 that are open; elsewhere: the flood goes to another station", rows, digits=1)


def _spread(values):
    return statistics.median(values), min(values), max(values)


def _words(values, digits=0):
    median, low, high = _spread(values)
    return f"{median:,.{digits}f}" + (f" ({low:,.{digits}f}–{high:,.{digits}f})" if high > low else "")


def _table(head, rows):
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _page(found):
    load = 100 * max(found["foreign_load"])
    out = ["# What was measured", "",
           f"Made by `sudo perf/report{found['options']}` at {found['began']}. {found['machine']}. {found['rounds']} processes of each, taking turns; medians, and in "
           "brackets the smallest and the largest. A worker's figures are without a card: its devices are software that hands packets on, "
           "whose cost is the floor.", "",
           f"Load by others before, between and after: at most {load:.0f} %." + (" **That is too much for figures to be trusted.**" if load > 10 else ""), "",
           "## Where a packet's time goes", "", "![Stages](stages.svg)", "", "## What flows cost", "", "![Cost over flows](cost.svg)", ""]
    rows = []
    for family in found["established"]:
        for flows, runs in _over_flows(found, family).items():
            rows.append([family, f"{flows:,}", *(_words([run[figure] for run in runs], 1) for figure in ("floor_ns", "worker_ns", "added_ns", "bound_ns")),
                         _words([run["mpps"] for run in runs], 1)])
    out += _table(["", "flows", "floor ns", "worker ns", "added ns", "two random lines ns", "million packets/s"], rows)
    out += ["The bound is two lines of the table's memory, prefetched as far ahead as the worker does it: a packet of an established flow needs "
            "as many.", "", "## Kinds of packets", "", "![Kinds](kinds.svg)", ""]
    out += _table(["", "ns", "connections/s"], [[what, _words([run["worker_ns"] for run in found["mixes"][mix]], 1),
                                                 _words([run["connections_per_second"] for run in found["mixes"][mix]]) if mix != "established" else ""]
                                                for mix, what in MIXES.items()])
    if found.get("sessions"):  # pages of older figures have none
        out += ["## Kinds of sessions", "", "A segment of an open session of each kind, in turn with one of plain NAT (`sudo perf/worker --kinds`): in times of that.", ""]
        out += _table(["a session", "IPv4, ns", "times", "IPv6, ns", "times"], [[what, *_session_words(found, kind)] for kind, what in SESSIONS.items()])
    out += ["## Two workers", ""]
    if found["scaling"]:
        out += ["![Scaling](scaling.svg)", "", "With two processors for everything, the second worker shares its processor with the rest of the machine, and where the two "
                "are threads of one core they share that. Where packets come to either worker, half of them are handed over.", ""]
    else:
        out += ["Not measured: there is one processor.", ""]
    out += ["## A flood of SYNs", ""] + (_flood_words(found["flood"]) if found["flood"] else ["Not measured in this run.", ""])
    out += ["## Beside what others have published", "",
            "Their figures are of their machines, most of them with cards, and of other work; ours have no card. They tell the order of size, not who is faster. "
            "What runs on the same machine in turn with Sluice is in [compare.md](compare.md).", ""]
    out += _table(["", "figure", "source"], PUBLISHED)
    return "\n".join(out).rstrip() + "\n"


def _session_words(found, kind):
    for runs in found["sessions"].values():
        rows = [row for run in runs for row in run if row["kind"] == kind]
        yield _words([row["ns"]["median"] for row in rows], 1)
        yield _words([row["times"]["median"] for row in rows], 2)


def _flood_words(flood):
    out = ["![Flood](flood.svg)", "", f"Real sessions of the kernel's TCP beside SYNs from four million addresses to the same port (`{flood['command']}`). "
           f"Silent sessions that answered at the end: {flood['held']['completed']:,} of {flood['held']['wanted']:,}.", ""]
    rows = []
    for phase, results in flood["phases"].items():
        well, failed = (sum(one["new"][what] for one in results) for what in ("completed", "failed"))
        lost = sum(one["talkers"]["sessions"] - one["talkers"]["outcomes"].get("delivered", 0) for one in results)
        rows.append([phase, _words([one["sent_per_s"] for one in results]), _words([one["answered_per_s"] for one in results]),
                     _words([100 * one["worker_busy"] for one in results]), _words([one["new"]["session_us"]["p50"] / 1000 for one in results], 1),
                     _words([one["new"]["session_us"]["p99"] / 1000 for one in results], 1), f"{well:,} of {well + failed:,}", lost])
    return out + _table(["", "SYN/s sent", "SYN/s answered", "worker busy, %", "p50 ms", "p99 ms", "new sessions well", "open ones lost"], rows)
