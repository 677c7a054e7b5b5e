# SPDX-License-Identifier: Apache-2.0
"""Real name servers in the balancer's namespace: one that has a zone, signed if wanted, and changes it by dynamic updates; and a resolver
that validates it and that the namespace's programs ask."""
import shutil

from .network import own_files
from .shell import Service, run, wait_until

ZONE = """$TTL 1
@ IN SOA ns hostmaster 1 60 60 600 1
@ IN NS ns
ns IN A 127.0.0.1
"""
DNS_PORT = 5353


class Named:
    """A BIND of its own directory. `ready`: what its log says when it serves. `namespace`: where, if not beside the balancer."""

    def __init__(self, lab, name, ready, namespace=None):
        self.lab, self.name, self.ready = lab, name, ready
        self.namespace = namespace or lab.network.balancer
        self.directory = lab.directory / name
        self.directory.mkdir(mode=0o755)
        self.service = None

    def configure(self, text):
        (self.directory / "named.conf").write_text(text + "controls { };\n")

    def start(self):
        self.service = Service(self.name, ["named", "-f", "-g", "-c", self.directory / "named.conf", "-u", "root"],
                               self.lab.directory / f"{self.name}.log", self.namespace)
        self.lab.services.append(self.service)
        wait_until(lambda: self.service.require_running() or self.ready in self.service.log_path.read_text(), 20, f"{self.name} runs")

    def stop(self):
        self.service.stop()
        self.lab.services.remove(self.service)
        self.service.log_path.unlink()


class NameServer(Named):
    """Has `zone`, which changes by dynamic updates; `signed`: BIND signs it with a key of its own."""

    def __init__(self, lab, zone, signed=False):
        super().__init__(lab, "bind", "all zones loaded")
        self.zone = zone
        (self.directory / "zone").write_text(ZONE)
        self.configure(f"""
options {{ directory "{self.directory}"; pid-file none; session-keyfile none; recursion no; listen-on-v6 {{ none; }};
  listen-on port {DNS_PORT} {{ 127.0.0.1; }}; dnssec-validation no; }};
zone "{zone}" {{ type primary; file "zone"; allow-update {{ 127.0.0.1; }}; {'dnssec-policy default;' if signed else ''} }};
""")
        self.start()

    def update(self, *lines):
        script = f"server 127.0.0.1 {DNS_PORT}\nzone {self.zone}\n" + "".join(f"update {line}\n" for line in lines) + "send\n"
        run("nsupdate", namespace=self.lab.network.balancer, stdin=script)

    def trust_anchor(self):
        """The zone's key as a resolver is told of it."""
        path = wait_until(lambda: next(self.directory.glob("K*.key"), None), 20, "the zone has a key")
        (record,) = [line for line in path.read_text().splitlines() if not line.startswith(";")]
        flags, protocol, algorithm, *key = record.split("DNSKEY", 1)[1].split()
        return f'trust-anchors {{ {self.zone}. static-key {flags} {protocol} {algorithm} "{"".join(key)}"; }};\n'


class Resolver(Named):
    """What /etc/resolv.conf of the namespace names. It knows the zones of `server` alone, and forgets within a second."""

    def __init__(self, lab, server):
        super().__init__(lab, "resolver", "running")
        self.server = server
        self.files = own_files(lab.network.balancer)
        (self.files / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.set_validating(True)
        self.start()

    def set_validating(self, validates):
        """From the next start on."""
        self.configure(f"""
options {{ directory "{self.directory}"; pid-file none; session-keyfile none; recursion yes; listen-on-v6 {{ none; }};
  listen-on {{ 127.0.0.1; }}; dnssec-validation {'yes' if validates else 'no'}; max-cache-ttl 1; max-ncache-ttl 1; servfail-ttl 0; }};
zone "{self.server.zone}" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {DNS_PORT}; }}; }};
{self.server.trust_anchor() if validates else ''}""")

    def remove(self):
        shutil.rmtree(self.files)
