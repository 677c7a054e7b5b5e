# SPDX-License-Identifier: Apache-2.0
"""The machine that measurements run on: what it is, its huge pages, its processors, what else it is doing."""
import contextlib
import os
import pathlib
import platform
import resource
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


def raise_file_limit(wanted=200_000):
    """Lets the programs started from here open so many files each, or as many as the system allows."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except ValueError:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def files_allowed():
    """Files that one process may have open, less some for its own use."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200


def last_cpu():
    """The CPU to measure on: the last that we may use, as the first takes most interrupts."""
    return max(os.sched_getaffinity(0))


def cpu_times():
    """(busy, all) seconds of every processor since boot. Busy: user, nice, system, irq, softirq, steal."""
    fields = [int(word) / TICK for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return user + nice + system + irq + softirq + steal, sum(fields)


def on_cpu_seconds(pid, thread=None):
    """Seconds that a process, or one thread of it, has been on a CPU, by the scheduler's nanosecond clock: interrupts that
    it was charged with are in it, times when it was preempted are not. 0 if it is gone."""
    tasks = pathlib.Path(f"/proc/{pid}/task")
    total = 0
    for task in [tasks / str(thread)] if thread else tasks.glob("*"):
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total / 1e9


def thread_named(pid, prefix):
    """The id of the one thread whose name begins so."""
    (found,) = [task.name for task in pathlib.Path(f"/proc/{pid}/task").glob("*") if (task / "comm").read_text().startswith(prefix)]
    return int(found)


def kernel_threads(prefix):
    """Ids of the kernel's threads whose names begin so, such as "ksoftirqd/"."""
    return [int(path.parent.name) for path in pathlib.Path("/proc").glob("[0-9]*/comm") if path.read_text().startswith(prefix)]


def resident_kb(pid):
    """Memory of a process that is its own: what it shares with others is divided among them."""
    fields = dict(line.split(":") for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Pss"].split()[0])


def socket_memory_kb():
    """Memory of the whole machine in the kernel's objects of TCP connections: sockets with their files, names and epoll entries,
    tracked connections, and buffers that hold bytes."""
    per_connection = ("TCP", "TCPv6", "MPTCP", "sock_inode_cache", "filp", "eventpoll_epi", "request_sock_TCP", "tw_sock_TCP",
                      "tw_sock_TCPv6", "nf_conntrack")
    slabs = {line.split()[0]: line.split() for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]}
    total = sum(int(slabs[name][1]) * int(slabs[name][3]) for name in per_connection if name in slabs)
    sockets = sum(int(slabs[name][1]) for name in ("TCP", "TCPv6") if name in slabs)
    total += sockets * int(slabs["dentry"][3])  # one each; the cache as a whole holds the files of everyone
    tcp = next(line.split() for line in pathlib.Path("/proc/net/sockstat").read_text().splitlines() if line.startswith("TCP:"))
    return (total + int(tcp[tcp.index("mem") + 1]) * os.sysconf("SC_PAGE_SIZE")) / 1024


def foreign_load(seconds=1.0):
    """Share of the machine that is busy while we do nothing."""
    busy, every = cpu_times()
    time.sleep(seconds)
    busy_then, every_then = cpu_times()
    return (busy_then - busy) / max(every_then - every, 1e-9)
