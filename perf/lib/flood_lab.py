# SPDX-License-Identifier: Apache-2.0
"""The lab of perf/flood: the end-to-end tests' network, with blast on the clients' bridge.

blast answers ARP for every address, as it is every client of its own; so the bridge sends it no broadcasts, and it disturbs nobody's
neighbours. Its SYNs go to the VIP or, for comparison, to a decoy on the same bridge that throws them away: then it takes the same processor
time from clients and servers, and sends Sluice nothing.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys

from .blast_lab import EXAMPLE, Lab, Network, build_directory, ip, lab_settings, sysctl
from .comparison import program
from .machine import thread_named
from lab.network import VIP4, client_addresses
from lab.shell import CommandError, Service, in_namespace, run, tail, wait_until

DECOY = "192.0.2.99"
FIRST_CLIENT = "198.18.0.1"  # blast's own, which make sure of the way before the flood begins


class FloodNetwork(Network):
    """The lab's network with two stations more on the front bridge: `flood`, where blast is, and `decoy`."""

    def __init__(self, prefix):
        super().__init__(prefix)
        self.flood, self.decoy = f"{prefix}-flood", f"{prefix}-decoy"

    @property
    def namespaces(self):
        return [*super().namespaces, self.flood, self.decoy]

    def build(self):
        super().build()
        self.cable(self.flood, "eth0", "front", "flood")
        self.cable(self.decoy, "eth0", "front", "decoy")
        sysctl(self.flood, "net.ipv6.conf.eth0.disable_ipv6=1")
        ip(self.wires, "link set flood type bridge_slave bcast_flood off mcast_flood off flood off")
        mac = json.loads(run("ip", "-n", self.flood, "-j", "link", "show", "eth0"))[0]["address"]
        ip(self.decoy, f"address add {DECOY}/24 dev eth0", f"route add {FIRST_CLIENT} dev eth0",
           f"neighbour add {FIRST_CLIENT} lladdr {mac} dev eth0", "route add blackhole 100.64.0.0/10")
        sysctl(self.decoy, "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.eth0.rp_filter=1")  # whence the blackhole is, nothing is accepted

    def spare(self, cpus):
        """Has the kernel do its part of what Sluice sends, up to the servers' sockets, on these processors: it would be done within the
        worker's system calls."""
        for port in ("lbf", "lbb"):
            mask = sum(1 << cpu for cpu in cpus)
            run("sh", "-c", f"echo {mask:x} > /sys/class/net/{port}/queues/rx-0/rps_cpus", namespace=self.wires)

    def link_statistics(self, namespace, device):
        return json.loads(run("ip", "-n", namespace, "-s", "-j", "link", "show", device))[0]["stats64"]


class FloodLab(Lab):
    """`with FloodLab(flows=1_048_576) as lab:`. One worker that polls has the last processor; all else is kept off it."""

    def __init__(self, flows, syn_proxy="auto"):
        super().__init__()
        self.network = FloodNetwork(self.network.balancer.removesuffix("-lb"))
        self.flows = flows
        self.syn_proxy = syn_proxy
        *self.other_cpus, self.worker_cpu = sorted(os.sched_getaffinity(0))

    def start(self, spare_worker=True):
        """Starts everything but the load."""
        if spare_worker:
            self.network.spare(self.other_cpus)
        path = self.directory / "flood.cfg"
        text = lab_settings(EXAMPLE.read_text(), "poll", str(self.worker_cpu), self.flows, 512)
        path.write_text(text.replace('pool = "mta";', f'pool = "mta"; syn_proxy = "{self.syn_proxy}";'))
        self.start_balancer(path, healthy=False)
        keep_to(self.balancer.control.pid, self.other_cpus)
        # Programs beside the lab give way, as they would to a worker on a core that is isolated for it.
        self.worker = thread_named(self.balancer.dataplane.pid, "rte-worker")
        os.setpriority(os.PRIO_PROCESS, self.worker, -20)
        os.sched_setaffinity(0, self.other_cpus)  # and so will be whoever is started from here on
        sinks = [(self.network.decoy, "decoy"), *((where, f"mta{i + 1}") for i, where in enumerate(self.network.backends))]
        for namespace, name in sinks:
            self.services.append(Service(f"sink {name}", [program(), "sink"], self.directory / f"sink-{name}.log", namespace))
            wait_until(lambda where=namespace: ":25 " in run("ss", "-Hltn", namespace=where), 10, "sink listening")
        for index in range(len(self.network.backends)):
            self.balancer.wait_state("mta", f"mta{index + 1}", 25, up=True)

    def crowd(self, neighbours):
        """So many programs more that always have something to do have the worker's processor too, with as good a claim to it."""
        for number in range(neighbours):
            spinner = Service(f"neighbour {number + 1}", [sys.executable, "-c", "while True: pass"], self.directory / "neighbour.log")
            self.services.append(spinner)
            os.sched_setaffinity(spinner.pid, [self.worker_cpu])
            os.setpriority(os.PRIO_PROCESS, spinner.pid, -20)

    def client(self, *arguments):
        """The command line of the mail client."""
        sources = [word for address in client_addresses(0)[0] for word in ("--source", address)]
        return in_namespace(self.network.clients[0], [program(), *arguments, "--target", VIP4, *sources])

    def close(self):
        if hasattr(self, "worker_cpu"):
            os.sched_setaffinity(0, [*self.other_cpus, self.worker_cpu])
        super().close()


def keep_to(pid, cpus):
    """Keeps a process with all its threads to some processors."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cpus)


class Flood:
    """SYNs to one address, from construction to `stop()`, as many as blast can make."""

    def __init__(self, lab, target):
        self.network = lab.network
        self._report = lab.directory / "flood.json"
        self._report.unlink(missing_ok=True)
        self._log = lab.directory / "flood.log"
        command = [build_directory() / "perf" / "blast", "--front", "net_af_xdp0,iface=eth0", "--mode", "syn-flood", "--vip", target,
                   "--clients-from", FIRST_CLIENT, "--clients", 1000, "--sessions-max", 100, "--rate", 1, "--duration", 3600, "--wait", 30,
                   "--cpu", lab.other_cpus[0], "--memory", 256, "--json", self._report]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(in_namespace(self.network.flood, command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        lab.services.append(self)

    @property
    def pid(self):
        return self._process.pid

    def wait_flooding(self):
        """Returns when SYNs pour."""
        before = self.sent()
        wait_until(lambda: self.sent() - before > 10_000 or self._require_running(), 60, "SYN flood")

    def _require_running(self):
        if self._process.poll() is not None:
            raise CommandError(f"blast ended with code {self._process.returncode}; it said:\n{tail(self._log)}")

    def sent(self):
        """Frames that came out of blast's wire."""
        return self.network.link_statistics(self.network.wires, "flood")["rx"]["packets"]

    def stop(self):
        """Ends it. Returns blast's figures, the first time."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return json.loads(self._report.read_text())["trials"][-1] if self._report.exists() else None
