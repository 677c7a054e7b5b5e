# SPDX-License-Identifier: Apache-2.0
"""Sluice itself in the lab: both processes, with their logs, their readiness and what they report."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

from .network import namespace_exists
from .shell import CommandError, Service, Timeout, in_namespace, run, tail, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "examples" / "lab.cfg"
TWINS = ("slf0", "slb0")


def build_directory():
    return pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build"))


def programs(build=None):
    """Paths of the three programs in a build directory."""
    build = pathlib.Path(build or build_directory())
    return {"sluice-dataplane": build / "dataplane" / "sluice-dataplane",
            "sluice-control": build / "controlplane" / "sluice-control",
            "sluicectl": build / "controlplane" / "sluicectl"}


class Balancer:
    """The two processes in the balancer's namespace. `start()` returns when both serve."""

    def __init__(self, network, directory, config=EXAMPLE, build=None, dataplane_build=None, env=None, state=None):
        """`env`: more of the environment, of both processes and of sluicectl; `state`: control's state directory, if not below
        `directory`."""
        self.network = network
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config = pathlib.Path(config)
        self._programs = programs(build)
        if dataplane_build:
            self._programs["sluice-dataplane"] = programs(dataplane_build)["sluice-dataplane"]
        # Unix sockets have short paths, hence not in the lab's directory.
        self.runtime = pathlib.Path("/run/sluice-lab") / network.balancer
        self.state = pathlib.Path(state or self.directory / "state")
        self.env = {"SLUICE_RUNTIME_DIR": str(self.runtime), "SLUICE_STATE_DIR": str(self.state), **(env or {})}
        self.dataplane = self.control = None

    def start(self, healthy=True):
        """Starts both; with `healthy`, waits until every backend is in service."""
        self.start_dataplane()
        self.start_control()
        if healthy:
            self.wait_healthy()

    def start_dataplane(self, timeout_s=30):
        if "net_af_packet" in self.config.read_text():
            self.network.hide_from_kernel("lb-front", "lb-back")
        self.runtime.mkdir(parents=True, exist_ok=True)
        self.dataplane = self._service("sluice-dataplane", "--config", self.config)
        self._wait(self.dataplane, self._twins_exist, timeout_s, "kernel twins")
        self.network.address_twins(*TWINS)

    def spawn_control(self):
        """Starts control, and waits for nothing."""
        self.control = self._service("sluice-control", "--config", self.config)

    def start_control(self, timeout_s=15):
        self.spawn_control()
        self._wait(self.control, lambda: self.status(check=False) is not None, timeout_s, "answer to sluicectl status")

    def _service(self, name, *args):
        program = self._programs[name]
        if not program.exists():
            raise CommandError(f"{name} is not built (meson setup build && ninja -C build)")
        return Service(name, [program, *args], self.directory / f"{name}.log", self.network.balancer,
                       {**self.env, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0"})

    @staticmethod
    def _wait(service, condition, timeout_s, what):
        def check():
            service.require_running()
            return condition()
        try:
            wait_until(check, timeout_s, f"{service.name}: {what}")
        except Timeout as error:
            raise CommandError(f"{error}; its log ends:\n{tail(service.log_path)}") from error

    def _twins_exist(self):
        links = run("ip", "-n", self.network.balancer, "-brief", "link")
        return all(any(line.startswith(twin) for line in links.splitlines()) for twin in TWINS)

    def program(self, name):
        return self._programs[name]

    def run_control(self, *args, timeout_s=60):
        """Runs sluice-control with our configuration to its end, and returns the finished process."""
        command = in_namespace(self.network.balancer, [self._programs["sluice-control"], "--config", self.config, *args])
        return subprocess.run(command, text=True, capture_output=True, timeout=timeout_s, env={**os.environ, **self.env})

    def ctl(self, *args, check=True):
        """Runs sluicectl and returns its output; with check=False, None if it fails."""
        done = self.ctl_run(*args)
        if done.returncode == 0:
            return done.stdout
        if check:
            raise CommandError(f"sluicectl {' '.join(args)}: exit code {done.returncode}: {done.stderr.strip()}")
        return None

    def ctl_run(self, *args, timeout_s=60, instance=(), within=()):
        """Runs sluicectl, whatever comes of it, and returns the finished process. `instance`: how it finds control, if
        not by the configuration. `within`: the words of a command that runs the words after it, such as unshare."""
        return subprocess.run(self._ctl_command(args, instance, within), text=True, capture_output=True, timeout=timeout_s,
                              env={**os.environ, **self.env})

    def ctl_start(self, *args):
        """Starts sluicectl, its output in pipes."""
        return subprocess.Popen(self._ctl_command(args, ()), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **self.env})

    def _ctl_command(self, args, instance, within=()):
        return in_namespace(self.network.balancer,
                            [*within, self._programs["sluicectl"], *(instance or ("--config", self.config)), *args])

    def status(self, check=True):
        """What `sluicectl status --json` says, or None (check=False) if it does not answer."""
        out = self.ctl("status", "--json", check=check)
        return None if out is None else json.loads(out)

    def counters(self):
        """The data plane's counters, summed over its workers."""
        return self.status()["counters"]

    def flows(self):
        """Flows that are open now."""
        counters = self.counters()
        return counters["flows_embryonic_now"] + counters["flows_established_now"]

    def backend(self, pool, name, port):
        """What the status says of one backend."""
        (found,) = [entry for entry in self.status()["backends"]
                    if (entry["pool"], entry["name"], entry["port"]) == (pool, name, port)]
        return found

    def pool(self, name, port):
        """What the status says of one pool on one port."""
        (found,) = [entry for entry in self.status()["pools"] if (entry["name"], entry["port"]) == (name, port)]
        return found

    def backend_figures(self, figure, pool="mta", port=25):
        """Backend name -> one of its figures, such as flows_created."""
        return {entry["name"]: entry["figures"][figure] for entry in self.status()["backends"]
                if (entry["pool"], entry["port"]) == (pool, port)}

    def wait_state(self, pool, name, port, up, timeout_s=20):
        """Waits until control has that verdict, and the data plane uses what follows from it."""
        wait_until(lambda: (self.backend(pool, name, port)["state"] == "up") == up and self.status()["dataplane"]["settled"],
                   timeout_s, f"{pool}/{name}:{port} {'up' if up else 'down'}")

    def wait_healthy(self, timeout_s=30, well=("up",)):
        """Waits until every backend is up, or in another of these states, and the data plane uses what control published."""
        def healthy():
            status = self.status()
            return status["dataplane"]["settled"] and all(entry["state"] in well for entry in status["backends"])
        try:
            wait_until(healthy, timeout_s, "every backend up")
        except Timeout as error:
            states = {f"{entry['pool']}/{entry['name']}:{entry['port']}": f"{entry['state']} ({entry['reason']})"
                      for entry in self.status()["backends"] if entry["state"] not in well}
            raise CommandError(f"{error}; {states}, data plane {self.status()['dataplane']}") from error

    def require_counter_law(self):
        """received + handed_in = forwarded + punted + handed_out + answered + drops, once packets have come to rest. Returns the
        counters."""
        def holds():
            counters = self.counters()
            drops = sum(value for name, value in counters.items() if name.startswith("drop_") and name not in ("drop_from_twin", "drop_made"))
            left = counters["received"] + counters["handed_in"]
            right = counters["forwarded"] + counters["punted"] + counters["handed_out"] + counters["answered"] + drops
            return counters if left == right else None
        return wait_until(holds, 10, "counter law")

    def stop(self):
        for service in (self.control, self.dataplane):
            if service:
                service.stop()
        if namespace_exists(self.network.balancer):
            run("nft", "flush", "ruleset", namespace=self.network.balancer)
        shutil.rmtree(self.runtime, ignore_errors=True)

    def kill_control(self):
        self.control.stop(signal.SIGKILL)

    def require_running(self):
        for service in (self.dataplane, self.control):
            service.require_running()
