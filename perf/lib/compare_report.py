# SPDX-License-Identifier: Apache-2.0
"""From perf/compare's figures to its report: Markdown and plots. What is compared within a round is subtracted or divided within that
round first, so that what disturbs a whole round disturbs little."""
import statistics

from .plot import bars


class Series:
    """One figure of one contender over the rounds."""

    def __init__(self, values):
        self.values = [value for value in values if value is not None]

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    def text(self, digits):
        if not self.values:
            return "-"
        if len(self.values) == 1:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({min(self.values):,.{digits}f}-{max(self.values):,.{digits}f})"

    def row(self, key, label):
        return (key, label, self.median, min(self.values), max(self.values))


def ms(key):
    return lambda turn: turn["paced"]["session_us"][key] / 1000


def sessions_per_s(turn):
    return turn["full"]["completed"] / turn["full"]["seconds"]


def megabytes_per_s(turn):
    return turn["bulk"]["message_bytes"] / turn["bulk"]["seconds"] / 1e6


def cpu_ms_per_session(phase, key):
    """The same number is CPU seconds per 1000 sessions."""
    def of(turn):
        seconds = turn[phase]["cpu"].get(key)
        return None if seconds is None else 1000 * seconds / turn[phase]["completed"]
    return of


def load_of_its_cpu(turn):
    own_s = turn["full"]["cpu"]["own_s"]
    return None if own_s is None else 100 * own_s / turn["full"]["seconds"]


class Comparison:
    def __init__(self, found):
        self.found = found
        self.names = list(found["contenders"])

    def title(self, name):
        return self.found["contenders"][name]["title"]

    def series(self, name, figure):
        return Series([figure(turns[name]) for turns in self.found["rounds"] if name in turns])

    def over(self, name, baseline, figure, combine):
        """`combine(of this, of the baseline)`, round by round; empty where one of both has no such figure."""
        if baseline not in self.names or name not in self.names:
            return Series([])
        pairs = [(figure(turns[name]), figure(turns[baseline])) for turns in self.found["rounds"]]
        return Series([combine(*pair) for pair in pairs if None not in pair])

    def added(self, name, figure):
        return self.over(name, "none", figure, lambda mine, none: mine - none) if name != "none" else Series([])

    def idle_bytes(self, name):
        """(sessions, of processes, of the kernel beyond no balancer, in all): bytes per idle session, for each number of them."""
        steps, none = self.found["idle"].get(name, []), self.found["idle"].get("none")
        out = []
        for index, step in enumerate(steps[1:], 1):
            sessions = step["sessions"]
            process = step.get("per_session_bytes", 1024 * (step["process_kb"] - steps[0]["process_kb"]) / sessions)
            kernel = step["kernel_kb"] - steps[0]["kernel_kb"] - (none[index]["kernel_kb"] - none[0]["kernel_kb"] if none else 0)
            kernel = max(0.0, 1024 * kernel / sessions) if none else 0.0
            out.append((sessions, process, kernel, process + kernel))
        return out


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def speed_table(all_of):
    return table(
        ["", "sessions/s", "MB/s, large messages", "p50 ms", "p99 ms", "added p99 ms", "its CPU in use, %"],
        [[all_of.title(name), all_of.series(name, sessions_per_s).text(0), all_of.series(name, megabytes_per_s).text(0),
          all_of.series(name, ms("p50")).text(2), all_of.series(name, ms("p99")).text(2), all_of.added(name, ms("p99")).text(2),
          all_of.series(name, load_of_its_cpu).text(0)] for name in all_of.names])


def cpu_table(all_of):
    full, paced = "full speed", "paced"
    columns = [("full", "own_s", 4, f"balancer, {full}"), ("full", "own_without_device_s", 4, f"of it without its devices, {full}"),
               ("full", "lab_s", 3, f"whole lab, {full}"), ("paced", "own_s", 4, f"balancer, {paced}"),
               ("paced", "lab_s", 3, f"whole lab, {paced}")]
    rows = [[all_of.title(name), *(all_of.series(name, cpu_ms_per_session(phase, key)).text(digits) for phase, key, digits, _ in columns),
             all_of.added(name, cpu_ms_per_session("full", "lab_s")).text(3)] for name in all_of.names]
    return table(["CPU seconds per 1000 sessions", *(column[3] for column in columns), f"whole lab over none, {full}"], rows)


def idle_table(all_of):
    rows = []
    for name in all_of.names:
        for (sessions, process, kernel, total), step in zip(all_of.idle_bytes(name), all_of.found["idle"][name][1:]):
            rows.append([all_of.title(name), f"{sessions:,}", f"{process:,.0f}", f"{kernel:,.0f}", f"{total:,.0f}",
                         f"{step['process_kb'] / 1024:,.1f}"])
    return table(["idle sessions", "number", "bytes each: processes", "bytes each: kernel, over none", "bytes each",
                  "processes in all, MiB"], rows)


def targets(all_of):
    """(what is wanted, what was reached, whether it is enough; None = not measured)."""
    out = []
    for text, key, wanted in (("CPU per session with the device, of HAProxy's: at most 1/5", "own_s", 5),
                              ("CPU per session without the device, of HAProxy's: at most 1/50", "own_without_device_s", 50)):
        mine, other = cpu_ms_per_session("full", key), cpu_ms_per_session("full", "own_s")
        pairs = [(other(turns["haproxy"]), mine(turns["sluice"])) for turns in all_of.found["rounds"]
                 if {"haproxy", "sluice"} <= turns.keys()]
        ratio = Series([theirs / ours for theirs, ours in pairs if ours])
        out.append((text, f"1/{ratio.text(1)}" if ratio.values else "-", ratio.median and ratio.median >= wanted))
    mine, other = all_of.idle_bytes("sluice"), all_of.idle_bytes("haproxy")
    for (sessions, *_, ours), (*_, theirs) in zip(mine, other):
        out.append((f"memory per idle session, of HAProxy's, {sessions:,} of them: at most 1/100", f"1/{theirs / ours:,.0f}",
                    theirs / ours >= 100))
    ours = all_of.added("sluice", ms("p99"))
    for name in ("haproxy", "nginx"):
        theirs = all_of.added(name, ms("p99"))
        if ours.values and theirs.values:
            out.append((f"added p99 session time below that of {all_of.title(name)}", f"{ours.median:.2f} ms, {theirs.median:.2f} ms",
                        ours.median < theirs.median))
    return out


def verdict(enough):
    return "not measured" if enough is None else "reached" if enough else "missed"


def plots(all_of):
    """File name -> SVG."""
    def chart(title, note, figure, digits, names=all_of.names):
        found = [(name, all_of.series(name, figure)) for name in names]
        return bars(title, note, [series.row(name, all_of.title(name)) for name, series in found if series.values], digits)

    out = {"compare-sessions.svg": chart("Sessions per second", "full speed; higher is better", sessions_per_s, 0),
           "compare-megabytes.svg": chart("Megabytes per second", "large messages; higher is better", megabytes_per_s, 0),
           "compare-p99.svg": chart("p99 session time, ms", "paced; lower is better", ms("p99"), 2),
           "compare-cpu.svg": chart("Balancer's CPU seconds per 1000 sessions", "full speed, device included; lower is better",
                                    cpu_ms_per_session("full", "own_s"), 3),
           "compare-lab-cpu.svg": chart("Whole lab's CPU seconds per 1000 sessions", "full speed; lower is better",
                                        cpu_ms_per_session("full", "lab_s"), 3)}
    rows = [(name, all_of.title(name), *[steps[-1][3]] * 3) for name in all_of.names if (steps := all_of.idle_bytes(name))]
    if rows:
        out["compare-idle.svg"] = bars("Bytes per idle session", "processes and kernel, over no balancer; lower is better", rows)
    return out


def write_report(found, output):
    """Writes compare.md and the plots into a directory. Returns the report."""
    all_of = Comparison(found)
    plan = found["plan"]
    load = max(found["foreign_load"])
    drawn = plots(all_of)
    versions = "; ".join(f"{each['title']} {each['version']}" for each in found["contenders"].values())
    parts = [
        "# Sluice beside others", "",
        f"Made by `sudo perf/compare{' --quick' if plan['quick'] else ''}` at {found['began']}. {found['machine']}.",
        f"{versions}.",
        f"{len(found['rounds'])} rounds, taking turns, {plan['seconds']} s for each phase; {plan['concurrency']} sessions at once at full speed, "
        f"{plan['rate']:.0f} a second when paced; large messages of {plan['large']:,} octets. Medians, in brackets the smallest and the "
        "largest. What each column means: perf/README.md.",
        "", f"Load by others, before, between and after: at most {100 * load:.0f} %." + (
            " **That is too much for these figures to be trusted.**" if load > 0.1 else ""), "",
        *(f"Not here: {title}: {reason}" for title, reason in found["absent"].items()), "",
        speed_table(all_of), "", cpu_table(all_of), "", idle_table(all_of) if found["idle"] else "", "", "## What was wanted", "",
        table(["wanted", "measured", ""], [[text, reached, verdict(enough)] for text, reached, enough in targets(all_of)]), "",
        *(f"![{name.removesuffix('.svg')}]({name})" for name in drawn), ""]
    report = "\n".join(parts)
    (output / "compare.md").write_text(report)
    for name, svg in drawn.items():
        (output / name).write_text(svg)
    return report
