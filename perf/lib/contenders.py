# SPDX-License-Identifier: Apache-2.0
"""What perf/compare compares: each contender balances connections to port 25 over the lab's backends, in the balancer's namespace.

Every contender has one processor, the last; clients and servers have the others.
"""
import math
import os
import pathlib
import re
import shutil

from .blast_lab import ROOT
from .machine import files_allowed, last_cpu, on_cpu_seconds, resident_kb, thread_named
from lab.balancer import Balancer, programs
from lab.network import VIP4, backend_addresses, sysctl
from lab.shell import CommandError, Service, run, wait_until

SLUICE_CFG = """\
instance = "compare";
dataplane:
{{
  workers = 1; lcores = "{cpu}"; idle = "poll"; flow_capacity = {flows}; memory_mb = 256; hugepages = false;
  flow_store = "{store}";
  ports = ( {{ name = "front"; device = "net_af_xdp0,iface=lb-front"; faces = "clients";  twin = "slf0"; }},
            {{ name = "back";  device = "net_af_xdp1,iface=lb-back";  faces = "backends"; twin = "slb0"; }} );
}};
control: {{ http = ""; }};
checks: {{ greeting: {{ type = "banner"; interval = 1.0; rise = 1; }}; }};
pools = ( {{ name = "mta"; check = "greeting"; backends = ( {backends} ); }} );
services = ( {{ name = "relay"; vip = "{vip}"; port = 25; pool = "mta"; }} );
"""

HAPROXY_CFG = """\
global
    nbthread 1
    maxconn {connections}
    no strict-limits
    log stderr format raw local0 warning
defaults
    mode tcp
    timeout connect 5s
    timeout client 15m
    timeout server 15m
    option splice-auto
    option tcp-smart-accept
    option tcp-smart-connect
listen relay
    bind {vip}:25
    balance leastconn
    option smtpchk
    default-server check inter 1s
{servers}
"""

NGINX_CONF = """\
load_module {modules}/ngx_stream_module.so;
daemon off;
worker_processes {processes};
worker_rlimit_nofile {files};
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log warn;
events {{ worker_connections {files}; }}
stream {{
    upstream mta {{ least_conn; {servers} }}
    server {{ listen {vip}:25 backlog=4096 reuseport; proxy_pass mta; proxy_timeout 15m; tcp_nodelay on; }}
}}
"""

NFTABLES = """\
table ip compare {{
    chain prerouting {{
        type nat hook prerouting priority dstnat;
        ip daddr {vip} tcp dport 25 dnat to numgen inc mod {count} map {{ {backends} }}
    }}
}}
"""


class Contender:
    """`start()` returns when connections to `targets` are served; `stop()` leaves the namespace as it was."""
    name = title = version = program = ""

    def __init__(self, lab, connections):
        self.lab = lab
        self.network = lab.network
        self.connections = connections  # at once, at most
        self.backends = [backend_addresses(index)[0] for index in range(len(lab.network.backends))]
        self.targets = [VIP4]
        self.services = []
        # A proxy holds two files for each connection. Where a process may not have so many, there are several, which share the port.
        self.processes = math.ceil(2.2 * connections / files_allowed()) if 2 * connections > files_allowed() else 1

    def absence(self):
        """Why it cannot be had here; "" if it can."""
        return "" if shutil.which(self.program) else f"{self.program} is not there: .ci/install-packages, or a build"

    def start(self):
        raise NotImplementedError

    def stop(self):
        for service in self.services:
            service.stop()
        self.services.clear()

    def sample(self):
        """Cumulative seconds of CPU, for `work`."""
        return {"own_s": sum(on_cpu_seconds(pid) for pid in self.pids())}

    @staticmethod
    def work(before, after):
        """CPU seconds between two samples: `own_s` is the balancer's (None: it is in the kernel alone), `lab_s` what is to be counted
        of its processes in the sum over the lab."""
        own_s = after["own_s"] - before["own_s"]
        return {"own_s": own_s, "lab_s": own_s}

    def pids(self):
        """The balancer's processes, children included."""
        out = []
        for service in self.services:
            children = pathlib.Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
            out += [service.pid, *map(int, children)]
        return out

    def memory(self):
        """KB: of its processes; `fixed_kb` is taken at start whatever comes, `per_session_bytes` where it is known by construction."""
        return {"process_kb": sum(resident_kb(pid) for pid in self.pids())}

    def _serve(self, name, *command):
        service = Service(name, command, self.lab.directory / f"{self.name}.log", self.network.balancer, cpus=str(last_cpu()))
        self.services.append(service)
        wait_until(lambda: service.require_running() or ":25 " in run("ss", "-Hltn", namespace=self.network.balancer), 10,
                   f"{name} listening")


class Direct(Contender):
    """No balancer: clients connect to the backends in turn; the balancer's namespace is a router."""
    name, title = "none", "no balancer"

    def __init__(self, lab, connections):
        super().__init__(lab, connections)
        self.targets = self.backends
        self.version = f"kernel {os.uname().release}"

    def absence(self):
        return ""

    def start(self):
        self.network.route_without_balancer()

    def stop(self):
        self.network.stop_routing()

    @staticmethod
    def work(before, after):
        return {"own_s": None, "lab_s": 0.0}


class Nftables(Direct):
    """The kernel's own NAT, connection tracking with it."""
    name, title = "nftables", "nftables DNAT"

    def __init__(self, lab, connections):
        super().__init__(lab, connections)
        self.targets = [VIP4]
        self.version += f", nft {run('nft', '--version').split()[1]}"

    def absence(self):
        try:
            self.start()
        except CommandError as error:  # a kernel without NAT for nftables refuses the rules
            return str(error)
        finally:
            self.stop()
        return ""

    def start(self):
        super().start()
        backends = ", ".join(f"{index} : {address}" for index, address in enumerate(self.backends))
        run("nft", "-f", "-", namespace=self.network.balancer,
            stdin=NFTABLES.format(vip=VIP4, count=len(self.backends), backends=backends))

    def stop(self):
        run("nft", "flush", "ruleset", namespace=self.network.balancer)
        super().stop()


class HaProxy(Contender):
    """One thread, splicing, a check of each server every second."""
    name, title, program = "haproxy", "HAProxy", "haproxy"

    def __init__(self, lab, connections):
        super().__init__(lab, connections)
        if not self.absence():
            self.version = re.search(r"version (\S+)", run("haproxy", "-v"))[1]

    def start(self):
        self.network.route_without_balancer()
        servers = "\n".join(f"    server mta{index + 1} {address}:25" for index, address in enumerate(self.backends))
        path = self.lab.directory / "haproxy.cfg"
        connections = min(self.connections, files_allowed() // 2)
        path.write_text(HAPROXY_CFG.format(vip=VIP4, connections=connections, servers=servers))
        for _ in range(self.processes):
            self._serve("haproxy", "haproxy", "-db", "-f", path)

    def stop(self):
        super().stop()
        self.network.stop_routing()


class Nginx(Contender):
    """One worker."""
    name, title, program = "nginx", "nginx stream", "nginx"

    def __init__(self, lab, connections):
        super().__init__(lab, connections)
        if not self.absence():
            self.version = run("sh", "-c", "nginx -v 2>&1").strip().rpartition("/")[2]

    def start(self):
        self.network.route_without_balancer()
        directory = self.lab.directory / "nginx"
        directory.mkdir(exist_ok=True)
        servers = " ".join(f"server {address}:25;" for address in self.backends)
        path = directory / "nginx.conf"
        path.write_text(NGINX_CONF.format(modules="/usr/lib/nginx/modules", processes=self.processes, directory=directory,
                                          files=min(2 * self.connections + 512, files_allowed()),
                                          servers=servers, vip=VIP4))
        self._serve("nginx", "nginx", "-e", directory / "nginx-error.log", "-c", path)

    def stop(self):
        super().stop()
        self.network.stop_routing()


class Sluice(Contender):
    """One worker that polls; nat; ordinary pages."""
    name, title = "sluice", "Sluice"
    OWN_STAGES = ("poll_control", "parse", "look_up_flows", "place_new_flows", "translate", "expire_some")

    def __init__(self, lab, connections):
        super().__init__(lab, connections)
        self.balancer = None
        self.store = self.lab.directory / "flows"
        self.flows = max(1_048_576, 2 * connections)  # the configuration's default
        if not self.absence():
            commit = run("git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*").strip()
            self.version = f"{run(self.program, '--version').split()[1]} ({commit})"

    @property
    def program(self):
        return programs()["sluice-dataplane"]

    def start(self):
        directory = self.lab.directory / "sluice"
        path = self.lab.directory / "compare.cfg"
        self.store.mkdir(exist_ok=True)
        backends = ", ".join(f'{{ name = "mta{index + 1}"; address = "{address}"; }}' for index, address in enumerate(self.backends))
        path.write_text(SLUICE_CFG.format(cpu=last_cpu(), flows=self.flows, store=self.store, backends=backends, vip=VIP4))
        self.balancer = Balancer(self.network, directory, path)
        self.balancer.start()
        self.services = [self.balancer.dataplane, self.balancer.control]
        self.worker = thread_named(self.balancer.dataplane.pid, "rte-worker")

    def stop(self):
        if self.balancer:
            self.balancer.stop()
        self.services.clear()
        shutil.rmtree(self.store, ignore_errors=True)

    def sample(self):
        status = self.balancer.status()
        counters = status["counters"]
        return {"counters": counters, "tsc_hz": status["dataplane"]["tsc_hz"], "tsc_s": self._seconds(),
                "worker_s": on_cpu_seconds(self.balancer.dataplane.pid, self.worker),
                "all_s": sum(on_cpu_seconds(pid) for pid in self.pids())}

    def work(self, before, after):
        """Polling in vain is no work: of the worker's time the share of turns that did something. `own_without_device_s` leaves out the
        drivers' receive and transmit calls, which are AF_XDP's and the kernel's; it comes from those of every 64th turn."""
        hz = after["tsc_hz"]
        grown = {name: after["counters"][name] - value for name, value in before["counters"].items()}
        worker_s = after["worker_s"] - before["worker_s"]
        # Where other processes share the processor, a turn's cycles hold times when it was preempted: so does the wall clock.
        on_cpu = min(1.0, worker_s / max(after["tsc_s"] - before["tsc_s"], 1e-9))
        own_s = grown["busy_cycles"] / hz * on_cpu
        stages = self._own_cycles(grown)
        others_s = after["all_s"] - before["all_s"] - worker_s
        return {"own_s": own_s, "lab_s": own_s + others_s, "own_without_device_s": min(own_s, max(0.0, stages / hz * on_cpu)),
                "others_s": others_s, "worker_on_cpu": on_cpu, "busy_cycles_s": grown["busy_cycles"] / hz}

    def memory(self):
        counters = self.balancer.counters()
        return {**super().memory(), "per_session_bytes": self._bytes_per_flow(), "flow_capacity": counters["flow_capacity"],
                "flows": counters["flows_established_now"] + counters["flows_embryonic_now"]}

    def _bytes_per_flow(self):
        """Flow memory with its index, services and backends, divided by its capacity."""
        return sum(path.stat().st_size for path in self.store.iterdir()) / self.flows

    @classmethod
    def _own_cycles(cls, counters):
        sampling = 64  # kStageSampling of dataplane/contract/counters.h
        return sampling * sum(counters[f"stage_{stage}_cycles"] for stage in cls.OWN_STAGES)

    @staticmethod
    def _seconds():
        return float(pathlib.Path("/proc/uptime").read_text().split()[0])


CONTENDERS = (Direct, Nftables, HaProxy, Nginx, Sluice)
