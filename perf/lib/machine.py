# SPDX-License-Identifier: Apache-2.0
"""The machine that measurements run on: what it is, its huge pages, its processors, what else it is doing."""
import contextlib
import os
import pathlib
import platform
import shutil
import sys
import time

HUGE_PAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
TICK = os.sysconf("SC_CLK_TCK")


def machine():
    """One line: processors, kernel, date."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown processor")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, {time.strftime('%Y-%m-%d')}"


@contextlib.contextmanager
def huge_pages(megabytes):
    """Sees to it that so much memory is free in 2 MiB pages, as far as the kernel finds it, and gives back what it took.

    Without root, or where there is none to be had, the measurement runs on with ordinary pages and says so itself.
    """
    taken = reserve(megabytes)
    try:
        yield
    finally:
        give_back(taken)


def reserve(megabytes):
    """Returns how many pages were added."""
    total, free = HUGE_PAGES / "nr_hugepages", HUGE_PAGES / "free_hugepages"
    if not total.exists() or os.geteuid() != 0:
        return 0
    missing = (megabytes + 1) // 2 - int(free.read_text())
    if missing <= 0:
        return 0
    before = int(total.read_text())
    total.write_text(str(before + missing))
    taken = int(total.read_text()) - before
    if taken < missing:
        print(f"only {taken} of {missing} huge pages were to be had", file=sys.stderr)
    return taken


def give_back(pages):
    if pages > 0:
        total = HUGE_PAGES / "nr_hugepages"
        total.write_text(str(max(0, int(total.read_text()) - pages)))


def real_time_prefix(priority=20):
    """Words before a command that keep other processes from interrupting it; none where that is not allowed.

    Real-time processes get 95 % of a processor unless kernel.sched_rt_runtime_us says otherwise, which is left alone.
    """
    if os.geteuid() != 0 or not shutil.which("chrt"):
        return []
    return ["chrt", "-f", str(priority)]


def last_cpu():
    """The CPU to measure on: the last that we may use, as the first takes most interrupts."""
    return max(os.sched_getaffinity(0))


def cpu_times():
    """(busy, all) seconds of every processor since boot. Busy: user, nice, system, irq, softirq, steal."""
    fields = [int(word) / TICK for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return user + nice + system + irq + softirq + steal, sum(fields)


def foreign_load(seconds=1.0):
    """Share of the machine that is busy while we do nothing."""
    busy, every = cpu_times()
    time.sleep(seconds)
    busy_then, every_then = cpu_times()
    return (busy_then - busy) / max(every_then - every, 1e-9)
