# SPDX-License-Identifier: Apache-2.0
"""Three real etcd nodes in the balancer's namespace, with TLS, which take nobody without a certificate of their authority; and
mail servers that register themselves there."""
import contextlib
import importlib.machinery
import importlib.util
import json
import pathlib
import shutil
import signal
import sys

from .certificates import Authority
from .firewall import firewall
from .network import BALANCER_BACK, backend_addresses
from .shell import CommandError, Service, run, wait_until

PREFIX = "/sluice/mx"
MEMBERS = 3
ADDRESSES = ("127.0.0.1", BALANCER_BACK[0])  # for the balancer, and for those behind it
REGISTER = pathlib.Path(__file__).resolve().parents[2] / "controlplane/fleet/sluice-register"


def register_module():
    """The code of sluice-register, which is a program and no module by its name."""
    loader = importlib.machinery.SourceFileLoader("sluice_register", str(REGISTER))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def client_port(member):
    return 2379 + 10 * member


class Etcd:
    def __init__(self, lab):
        self.lab = lab
        self.directory = lab.directory / "etcd"
        self.directory.mkdir(mode=0o755)
        self.authority = Authority(self.directory / "ca")
        self.peer = self.server = self.authority.issue("server", [*ADDRESSES, "localhost"])
        self.client = self.authority.issue("node", ["node.test"])
        self.services = {}
        for member in range(MEMBERS):
            self.start_member(member)
        self.wait_healthy()

    def start(self, extra=()):
        for member in range(MEMBERS):
            self.start_member(member, extra)
        self.wait_healthy()

    @property
    def _peers(self):
        return ",".join(f"m{each}=https://127.0.0.1:{client_port(each) + 1}" for each in range(MEMBERS))

    def start_member(self, member, extra=()):
        ca, shown = self.authority.certificate, {"": self.server, "peer-": self.peer}
        urls = [f"https://{address}:{client_port(member)}" for address in ADDRESSES]
        peer = f"https://127.0.0.1:{client_port(member) + 1}"
        tls = [word for kind, (certificate, key) in shown.items() for word in (
            f"--{kind}cert-file={certificate}", f"--{kind}key-file={key}", f"--{kind}trusted-ca-file={ca}", f"--{kind}client-cert-auth")]
        # Bound to all addresses: the twin that has the second one is made later.
        listen = f"https://0.0.0.0:{client_port(member)}"
        self.services[member] = Service(
            f"etcd {member}",
            ["etcd", f"--name=m{member}", f"--data-dir={self.directory / f'data{member}'}", f"--listen-client-urls={listen}",
             f"--advertise-client-urls={','.join(urls)}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
             f"--initial-cluster={self._peers}", "--heartbeat-interval=100", "--election-timeout=1000", "--unsafe-no-fsync", *tls, *extra],
            self.lab.directory / f"etcd-{member}.log", self.lab.network.balancer)
        self.lab.services.append(self.services[member])

    def stop(self):
        for member in list(self.services):
            self.stop_member(member)

    def stop_member(self, member):
        service = self.services.pop(member)
        service.stop()
        self.lab.services.remove(service)

    def wipe(self):
        """Stopped, and everything that was known is gone."""
        self.stop()
        for member in range(MEMBERS):
            shutil.rmtree(self.directory / f"data{member}")

    def save(self, path):
        """A snapshot."""
        self.ctl("snapshot", "save", path, endpoints=self.endpoints[:1])

    def restore(self, path):
        """Stopped, and all members know what was saved, and nothing else."""
        self.wipe()
        for member in range(MEMBERS):
            self.ctl("snapshot", "restore", path, f"--name=m{member}", f"--data-dir={self.directory / f'data{member}'}",
                     f"--initial-cluster={self._peers}", f"--initial-advertise-peer-urls=https://127.0.0.1:{client_port(member) + 1}")

    @contextlib.contextmanager
    def hung(self, *members):
        """They are there, and do nothing."""
        for member in members:
            self.services[member].process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for member in members:
                self.services[member].process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def cut_off(self):
        """What is sent to them is lost, without a word."""
        ports = ", ".join(str(client_port(member)) for member in range(MEMBERS))
        with firewall([self.lab.network.balancer], f"chain in {{ type filter hook input priority 0; tcp dport {{ {ports} }} drop; }}"):
            yield

    @property
    def revision(self):
        return json.loads(self.ctl("get", "nothing", "--write-out=json"))["header"]["revision"]

    @property
    def endpoints(self):
        return [f"https://127.0.0.1:{client_port(member)}" for member in range(MEMBERS)]

    def ctl(self, *words, endpoints=None):
        certificate, key = self.client
        return run("env", "ETCDCTL_API=3", "etcdctl", f"--endpoints={','.join(endpoints or self.endpoints)}",
                   f"--cacert={self.authority.certificate}", f"--cert={certificate}", f"--key={key}", "--command-timeout=5s",
                   *words, namespace=self.lab.network.balancer)

    def wait_healthy(self):
        def answers():
            try:
                return self.ctl("get", "nothing") == ""
            except CommandError:
                return False
        wait_until(answers, 30, "etcd answers")

    def settings(self, **files):
        """fleet.etcd, as a configuration has it."""
        certificate, key = self.client
        files = {"ca_file": self.authority.certificate, "cert_file": certificate, "key_file": key, **files}
        endpoints = ", ".join(f'"{endpoint}"' for endpoint in self.endpoints)
        return (f'etcd = {{ endpoints = [{endpoints}]; prefix = "{PREFIX}"; '
                + " ".join(f'{name} = "{path}";' for name, path in files.items()) + " };")

    def register(self, index, namespace=None, leave_s=0):
        """sluice-register on mail server 0, 1, ..., beside its Postfix, which waits that long for sessions when it leaves. Returns the
        running program."""
        certificate, key = self.client
        name = f"mta{index + 1}"
        endpoints = " ".join(f"https://{BALANCER_BACK[0]}:{client_port(member)}" for member in range(MEMBERS))
        config = self.lab.directory / f"register-{name}.conf"
        config.write_text(f"[etcd]\nendpoints = {endpoints}\nprefix = {PREFIX}\nca_file = {self.authority.certificate}\n"
                          f"cert_file = {certificate}\nkey_file = {key}\n"
                          f"[backend]\npool = mta\nname = {name}\naddress = {backend_addresses(index)[0]}\n"
                          f"[wait]\naddress = {backend_addresses(index)[0]}\n[leave]\nwait = {leave_s}\n")
        service = Service(f"register {name}", [sys.executable, REGISTER, "--config", config], self.lab.directory / f"register-{name}.log",
                          namespace or self.lab.network.backends[index])
        self.lab.services.append(service)
        return service

    def leave(self, service):
        service.stop()
        self.lab.services.remove(service)

    def keys(self):
        return self.ctl("get", "--prefix", "--keys-only", f"{PREFIX}/").split()
