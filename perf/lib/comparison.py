# SPDX-License-Identifier: Apache-2.0
"""One contender's turn in perf/compare: the same sessions against each, and what they cost.

CPU is counted by the scheduler's own clock (schedstat), process by process, so that programs beside the lab do not count. Interrupts are
charged to whoever they interrupt: the handling of a packet by the kernel to the sender, for veth hands it over within the sender's
system call. So `own_s` of every contender alike lacks what the kernel does for it on the backs of clients and servers, and `lab_s`, the sum
over the whole lab, has it.
"""
import contextlib
import json
import math
import os
import resource
import subprocess

from .blast_lab import build_directory
from .machine import files_allowed, kernel_threads, last_cpu, on_cpu_seconds, socket_memory_kb
from lab.network import client_addresses
from lab.shell import CommandError, Service, in_namespace, run, wait_until

SMALL, LARGE = 2000, 4_000_000  # octets of a message
FULL, PACED, BULK = "full", "paced", "bulk"


def peers_cpus():
    """The processors of clients and servers, as taskset takes them: all but the contenders'."""
    others = sorted(os.sched_getaffinity(0) - {last_cpu()}) or [last_cpu()]
    return ",".join(map(str, others))


def program():
    return build_directory() / "perf" / "perf_mail"


def start_sinks(lab):
    for index, namespace in enumerate(lab.network.backends):
        lab.services.append(Service(f"sink {index}", [program(), "sink"], lab.directory / f"sink{index}.log", namespace, cpus=peers_cpus()))
        wait_until(lambda where=namespace: ":25 " in run("ss", "-Hltn", namespace=where), 10, "sink listening")


def receive_apart(network):
    """Has the kernel do its part of what a balancer sends, up to the receiver's socket, on the processors of clients and servers, as if
    these were other machines. On veth it would be done within the balancer's system call."""
    mask = sum(1 << int(cpu) for cpu in peers_cpus().split(","))
    for port in ("lbf", "lbb"):
        run("sh", "-c", f"echo {mask:x} > /sys/class/net/{port}/queues/rx-0/rps_cpus", namespace=network.wires)


def phases(plan):
    """Name -> arguments of `perf_mail load`."""
    return {FULL: ("--concurrency", plan.concurrency, "--seconds", plan.seconds, "--size", SMALL),
            PACED: ("--concurrency", 10_000, "--rate", plan.rate, "--seconds", plan.seconds, "--size", SMALL),
            BULK: ("--concurrency", 12, "--seconds", plan.seconds, "--size", plan.large)}


def client(lab, contender, *arguments):
    """The command line of the client program in its namespace."""
    sources = [word for address in client_addresses(0)[0] for word in ("--source", address)]
    targets = [word for address in contender.targets for word in ("--target", address)]
    return in_namespace(lab.network.clients[0], ["taskset", "-c", peers_cpus(), program(), *arguments, *targets, *sources])


def measure_phase(lab, contender, arguments):
    """Runs the client once. Returns its figures and the CPU seconds."""
    servers = [service.pid for service in lab.services]
    before, at_start = contender.sample(), _endpoint_seconds(servers)
    done = subprocess.run(client(lab, contender, "load", *arguments), text=True, capture_output=True)
    at_end, after = _endpoint_seconds(servers), contender.sample()
    if done.returncode != 0:
        raise CommandError(f"{contender.name}: {done.stdout.strip()} {done.stderr.strip()}")
    figures = json.loads(done.stdout)
    work = contender.work(before, after)
    endpoints_s = at_end - at_start
    return {**figures, "cpu": {**work, "endpoints_s": endpoints_s, "lab_s": work["lab_s"] + endpoints_s}}


def _endpoint_seconds(servers):
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (children.ru_utime + children.ru_stime + sum(map(on_cpu_seconds, servers))
            + sum(map(on_cpu_seconds, kernel_threads("ksoftirqd/"))))


def measure_turn(lab, contender, plan):
    """Every phase against one contender: phase -> figures."""
    contender.start()
    try:
        return {name: measure_phase(lab, contender, arguments) for name, arguments in phases(plan).items()}
    finally:
        contender.stop()


def measure_idle(lab, contender, steps):
    """Memory with so many idle sessions. Returns a list, with none first: sessions, kernel_kb, and what the contender tells."""
    contender.start()
    try:
        out = [_memory(contender, 0)]
        with _holders(lab, contender, steps) as holders:
            for number, wanted in enumerate(steps):
                for holder, parts in holders:
                    _expect(contender, holder, parts[number])
                out.append(_memory(contender, wanted))
                for holder, _ in holders:
                    holder.stdin.write("\n")
                    holder.stdin.flush()
            for holder, parts in holders:
                _expect(contender, holder, parts[-1])
        return out
    finally:
        contender.stop()


@contextlib.contextmanager
def _holders(lab, contender, steps):
    """Client programs that share the sessions among them, as many as the limit of open files asks for: [(process, its part of each step)]."""
    count = math.ceil(max(steps) / (0.9 * files_allowed()))
    parts = [[step // count + (index < step % count) for step in steps] for index in range(count)]
    holders = [(subprocess.Popen(client(lab, contender, "hold", "--sessions", *own), text=True, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT), own) for own in parts]
    try:
        yield holders
    finally:
        for holder, _ in holders:
            holder.kill()
            holder.wait()


def _memory(contender, sessions):
    return {"sessions": sessions, "kernel_kb": socket_memory_kb(), **contender.memory()}


def _expect(contender, holder, wanted):
    """Reads the client's next line, which tells that so many sessions are held, or have ended well."""
    line = holder.stdout.readline()
    try:
        told = json.loads(line)
    except ValueError as error:
        raise CommandError(f"{contender.name}: the client said {line.strip()!r}") from error
    if told.get("held", told.get("completed")) != wanted:
        raise CommandError(f"{contender.name}: of {wanted} idle sessions {told}")
