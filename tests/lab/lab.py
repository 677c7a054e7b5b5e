# SPDX-License-Identifier: Apache-2.0
"""One lab: network, backends, balancer and mail clients under one roof, cleaned up however it ends.

A lab lives in LABS/<id>, with the pid of its owner in `owner`. Whoever makes the next lab, or runs `tests/lab/clean`,
removes those whose owner is gone.
"""
import atexit
import concurrent.futures
import fcntl
import json
import os
import pathlib
import resource
import secrets
import shutil
import signal
import sys
import tempfile

from .balancer import EXAMPLE, Balancer
from .certificates import Authority
from .mail_client import GREETED
from .mailer import TESTS, Mailer
from .messages import DOMAIN, tally
from .network import VIP4, VIP6, Network, client_addresses, remove_namespace
from .postfix import Postfix
from .shell import Service, run, wait_until

# In memory where possible: mail servers wait for the disk with every message.
LABS = pathlib.Path("/dev/shm/sluice-lab" if os.path.isdir("/dev/shm") else tempfile.gettempdir() + "/sluice-lab")
RUNTIME = pathlib.Path("/run/sluice-lab")
FLOW_STORES = (pathlib.Path("/dev/shm"), pathlib.Path("/dev/hugepages"))
PREFIX = "sluice-"


class Lab:
    """A context manager: `with Lab() as lab:`. Builds the network; what runs in it is started on demand."""

    def __init__(self, backends=3, clients=1):
        if os.geteuid() != 0:
            raise PermissionError("the lab makes network namespaces, which needs root: run with sudo")
        raise_file_limit()
        clean_up()
        self.id = secrets.token_hex(3)
        self.directory = LABS / self.id
        self.directory.mkdir(parents=True)
        self.directory.chmod(0o755)
        self._owner = open(self.directory / "owner", "w")
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        atexit.register(self.close)
        self.network = Network(PREFIX + self.id, backends, clients)
        self.backends = []
        self.balancer = None
        self.services = []
        self._mailers = []
        self._authority = None

    def __enter__(self):
        exit_on_signals()
        try:
            self.network.build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """Ends and removes everything. May be called twice."""
        atexit.unregister(self.close)
        if self._owner.closed:
            return
        for mailer in self._mailers:
            mailer.kill()
        self.network.remove()
        for service in self.services:
            service.stop()
        if self.balancer:
            self.balancer.stop()
        self._owner.close()
        remove_files(self.id)

    @property
    def authority(self):
        if not self._authority:
            self._authority = Authority(self.directory / "ca")
        return self._authority

    def issue_certificate(self, **options):
        """The one that all mail servers share: paths of certificate and key."""
        names = [f"mta{index + 1}.{DOMAIN}" for index in range(len(self.network.backends))]
        return self.authority.issue("mta", [f"smtp.{DOMAIN}", *names], **options)

    def start_backends(self, **options):
        """A Postfix in every backend namespace."""
        certificate, key = self.issue_certificate()
        for index, namespace in enumerate(self.network.backends):
            name = f"mta{index + 1}"
            self.backends.append(Postfix(name, namespace, self.directory / name, certificate, key, **options))
        with concurrent.futures.ThreadPoolExecutor() as pool:  # each start waits for seconds on its own sleeps
            list(pool.map(Postfix.start, self.backends))
        return self.backends

    def start_decapsulators(self):
        """The far end of tunnels in every backend namespace."""
        for index, namespace in enumerate(self.network.backends):
            log = self.directory / f"decapsulator-{index + 1}.log"
            service = Service(f"decapsulator mta{index + 1}", [sys.executable, "-m", "lab.decapsulator", "tunnel"], log,
                              namespace, {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})
            self.services.append(service)
            wait_until(lambda s=service, path=log: s.require_running() or "ready" in path.read_text(), 15,
                       f"{service.name} ready")

    def start_greeters(self, *ports, **environment):
        """A server that only greets, in every backend namespace. `stop_greeters()` tells the counts. `environment`: see
        lab.greeter."""
        for index, namespace in enumerate(self.network.backends):
            self._start_greeter(f"mta{index + 1}", namespace, ports or (25, 587, 465), environment)
        for namespace in self.network.backends:
            wait_until(lambda where=namespace: ":25 " in run("ss", "-Hltn", namespace=where), 10, "greeters listening")

    def start_greeter(self, index, *ports, **environment):
        """One of them, after `stop_greeter()` or instead of a Postfix."""
        self._start_greeter(f"mta{index + 1}", self.network.backends[index], ports or (25, 587, 465), environment)

    def start_liar(self, index, port, greeting):
        """A greeter beside backend 0, 1, ... that says `greeting` to everyone, or nothing (None). See `stop_liars()`."""
        name, namespace = f"liar{index + 1}", self.network.backends[index]
        self.set_temper(name, **({"greeting": greeting} if greeting else {"delay_s": 1e6}))
        self._start_greeter(name, namespace, [port])
        wait_until(lambda: f":{port} " in run("ss", "-Hltn", namespace=namespace), 10, f"{name} listens")

    def stop_liars(self):
        for service in [service for service in self.services if service.name.startswith("greeter liar")]:
            service.stop()
            self.services.remove(service)

    def stop_greeter(self, index):
        (service,) = [service for service in self.services if service.name == f"greeter mta{index + 1}"]
        service.stop()
        self.services.remove(service)

    def _start_greeter(self, name, namespace, ports, environment=None):
        command = [sys.executable, "-m", "lab.greeter", name, self._count_file(name), *ports]
        self.services.append(Service(f"greeter {name}", command, self.directory / f"greeter-{name}.log", namespace,
                                     {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}))

    def set_temper(self, name, **temper):
        """How a greeter behaves from now on (see lab.greeter): delay_s, greeting. Nothing: as at first."""
        path = self._count_file(name).with_name(f"accepted-{name}.temper")
        if not temper:
            return path.unlink(missing_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(temper))
        fresh.rename(path)

    def start_agent(self, index, port=9707):
        """An agent of HAProxy's protocol beside backend 0, 1, ...; it says what the file that is returned holds."""
        path = self.directory / f"agent-mta{index + 1}"
        path.write_text("up 100%\n")
        namespace = self.network.backends[index]
        service = Service(f"agent mta{index + 1}", [sys.executable, "-m", "lab.agent", path, port],
                          self.directory / f"agent-mta{index + 1}.log", namespace,
                          {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})
        self.services.append(service)
        wait_until(lambda: f":{port} " in run("ss", "-Hltn", namespace=namespace), 10, "the agent listens")
        return path, service

    def _count_file(self, name):
        return self.directory / f"accepted-{name}"

    def stop_greeters(self):
        """Backend name -> count of connections accepted, health probes among them."""
        counts = {}
        for service in [service for service in self.services if service.name.startswith("greeter ")]:
            service.stop()
            self.services.remove(service)
            name = service.name.removeprefix("greeter ")
            counts[name] = int(self._count_file(name).read_text())
        return counts

    def start_balancer(self, config=EXAMPLE, healthy=True, **options):
        self.balancer = Balancer(self.network, self.directory / "balancer", config, **options)
        self.balancer.start(healthy)
        return self.balancer

    def mailer(self, client=0, **plan):
        """Starts a mail client (see mail_client.Plan) in a client's namespace, sending from all its addresses."""
        number = len(self._mailers)
        v4, v6 = client_addresses(client)
        plan.setdefault("sources", v6 if ":" in plan["target"] else v4)
        plan.setdefault("ca_file", str(self.authority.certificate))
        plan.setdefault("run", f"{self.id}.{number}")
        mailer = Mailer(self.network.clients[client], self.directory / f"mailer-{number}.log", **plan)
        self._mailers.append(mailer)
        return mailer

    def hold_open(self, sessions, timeout_s=240):
        """Mail clients of as many sessions in all, half of them over IPv6, that are open and go on when each is told to."""
        held = [self.mailer(target=vip, sessions=sessions // 2, messages=0, hold=GREETED, timeout_s=timeout_s)
                for vip in (VIP4, VIP6)]
        for mailer in held:
            mailer.wait_open(sessions // 2, 60)
        return held

    def wait_delivered(self, timeout_s=180):
        """Waits until no backend has a message left in its queue."""
        wait_until(lambda: all(backend.queued() == 0 for backend in self.backends), timeout_s,
                   "mail queues empty", interval_s=0.2)

    def tally(self, *mailers):
        """Compares what clients were told with what lies in the mailboxes (see messages.Tally)."""
        mailers = mailers or self._mailers
        attempted = {key: value for mailer in mailers for key, value in mailer.attempted.items()}
        confirmed = {key for mailer in mailers for key in mailer.confirmed}
        return tally(confirmed, attempted, {backend.name: backend.stored() for backend in self.backends})


def exit_on_signals():
    """Makes SIGTERM and SIGHUP end the program the ordinary way, so that clean-up runs. Ctrl-C does already."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda which, frame: sys.exit(128 + which))


def raise_file_limit(wanted=65536):
    """Lets this process and those it starts open many sockets, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def is_alive(directory):
    """Whether the lab's owner still holds its lock."""
    try:
        with open(directory / "owner") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def remove_files(lab_id):
    shutil.rmtree(LABS / lab_id, ignore_errors=True)
    for path in RUNTIME.glob(f"*{lab_id}*"):
        shutil.rmtree(path, ignore_errors=True)
    for store in FLOW_STORES:  # flows outlive the data plane
        for path in store.glob(f"*{lab_id}*.flows"):
            path.unlink(missing_ok=True)


def clean_up():
    """Removes labs whose owner is gone. Returns their ids."""
    removed = []
    for directory in LABS.glob("*"):
        if is_alive(directory):
            continue
        for line in run("ip", "netns", "list").splitlines():
            if line.startswith(f"{PREFIX}{directory.name}-"):
                remove_namespace(line.split()[0])
        remove_files(directory.name)
        removed.append(directory.name)
    return removed
