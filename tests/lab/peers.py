# SPDX-License-Identifier: Apache-2.0
"""Exim and OpenSMTPD, which Debian does not install beside Postfix: run as if installed, in a mount namespace of their own.

`.ci/install-packages --peers` unpacks the packages into a cache. Here each server gets /usr, /etc and /var as overlays: its
package above the host's files, and what it writes above both, in the lab's directory. The host sees nothing of it.
"""
import os
import pathlib
import re
import shlex

from .messages import DOMAIN
from .network import kill_processes
from .shell import CommandError, Service, Timeout, run, tail, wait_until

# Not below a directory that gets an overlay: its layers may not hold each other.
CACHE = pathlib.Path(os.environ.get("SLUICE_PEERS", "/opt/sluice-lab/peers"))

EXIM_CONF = """\
primary_hostname = {name}.{domain}
domainlist local_domains = {domain}
log_file_path = {root}/logs/%slog
tls_certificate = {certificate}
tls_privatekey = {key}
tls_advertise_hosts = *
daemon_smtp_ports = {ports}
tls_on_connect_ports = 465
smtp_accept_max = 2000
smtp_accept_queue = 0
smtp_connect_backlog = 1000
host_lookup =
rfc1413_query_timeout = 0s
acl_smtp_rcpt = accept_ours
{extra}
begin acl
accept_ours:
  accept domains = +local_domains
  deny message = relay not permitted
begin routers
{routers}
inbox:
  driver = accept
  transport = maildir
begin transports
to_smart_host:
  driver = smtp
maildir:
  driver = appendfile
  directory = {root}/inbox
  maildir_format
  create_directory
  user = Debian-exim
  group = Debian-exim
begin retry
* * F,1h,3s
"""

EXIM_SMART_HOST = """\
smart_host:
  driver = manualroute
  route_list = * {host}
  transport = to_smart_host
"""

OPENSMTPD_CONF = """\
listen on 0.0.0.0 port 25 hostname {name}.{domain} {extra}
listen on :: port 25 hostname {name}.{domain} {extra}
table inbox {{ "@{domain}" = "lab" }}
action store {action}
match from any for domain "{domain}" action store
"""


class Peer:
    """What both have in common: the overlays, start, kill, and the mailbox. `start()` returns when the ports listen."""
    packages = ()
    prepare = ""  # shell commands run inside the overlays before the server

    def __init__(self, name, namespace, root, ports=(25, 465, 587)):
        self.name = name
        self.namespace = namespace
        self.root = pathlib.Path(root)
        self.ports = ports
        for directory in ("inbox", *(f"{kind}/{tree}" for kind in ("upper", "work") for tree in ("usr", "etc", "var"))):
            (self.root / directory).mkdir(parents=True)
        self.log = self.root / "output.log"

    def command(self):
        raise NotImplementedError

    def start(self):
        for package in self.packages:
            if not (CACHE / package / ".complete").exists():
                raise CommandError(f"{package} is not unpacked: run .ci/install-packages --peers")
        overlays = []
        for tree in ("usr", "etc", "var"):
            lower = [str(CACHE / package / tree) for package in self.packages if (CACHE / package / tree).exists()]
            overlays.append(f"mount -t overlay overlay -o lowerdir={':'.join([*lower, '/' + tree])},"
                            f"upperdir={self.root}/upper/{tree},workdir={self.root}/work/{tree} /{tree}")
        script = "\n".join(["set -e", "mount --make-rprivate /", *overlays, "mount -t tmpfs tmpfs /run", self.prepare,
                            f"exec {shlex.join(map(str, self.command()))}"])
        service = Service(self.name, ["unshare", "--mount", "sh", "-c", script], self.log, self.namespace)
        try:
            wait_until(lambda: service.require_running() or self.listening(), 15, f"{self.name} listening")
        except Timeout as error:
            raise CommandError(f"{error}; its log ends:\n{tail(self.log)}") from error

    def listening(self):
        listeners = run("ss", "-Hltn", namespace=self.namespace)
        return all(re.search(rf":{port}\s", listeners) for port in self.ports)

    def kill(self):
        kill_processes(self.namespace)

    def stored(self):
        """Every message in the mailbox, as bytes."""
        for path in (self.root / "inbox").glob("new/*"):
            yield path.read_bytes()


class Exim(Peer):
    packages = ("exim4-daemon-heavy", "exim4-base")

    def __init__(self, name, namespace, root, certificate, key, extra="", smart_host="", **options):
        """`smart_host`: where all mail goes instead of the mailbox."""
        super().__init__(name, namespace, root, **options)
        self.config = self.root / "exim.conf"
        self.config.write_text(EXIM_CONF.format(name=name, domain=DOMAIN, root=self.root, certificate=certificate, key=key,
                                                ports=":".join(map(str, self.ports)), extra=extra,
                                                routers=EXIM_SMART_HOST.format(host=smart_host) if smart_host else ""))
        self.config.chmod(0o640)
        # The compiled-in place of its configuration: only from there does it keep the right to listen on 25.
        self.prepare = "\n".join([
            "useradd --system --user-group --no-create-home Debian-exim",
            "mkdir -p /var/lib/exim4 /var/spool/exim4 /var/log/exim4",
            f"install -o root -g Debian-exim -m 640 {self.config} /var/lib/exim4/config.autogenerated",
            f"chgrp Debian-exim {key} && chmod 640 {key}",
            f"mkdir {self.root}/logs",
            f"chown -R Debian-exim: {self.root}/inbox {self.root}/logs /var/spool/exim4 /var/log/exim4"])

    def command(self):
        return ["/usr/sbin/exim4", "-bdf", "-q5s"]


class OpenSmtpd(Peer):
    """On port 25 alone: Debian's build fails every TLS handshake with OpenSSL 3 (github.com/OpenSMTPD/OpenSMTPD/issues/1171)."""
    packages = ("opensmtpd",)

    def __init__(self, name, namespace, root, extra="", smart_host=""):
        """`smart_host`: where all mail goes instead of the mailbox."""
        super().__init__(name, namespace, root, ports=(25,))
        self.config = self.root / "smtpd.conf"
        self.config.write_text(OPENSMTPD_CONF.format(name=name, domain=DOMAIN, root=self.root, extra=extra,
                                                     action=f"relay host smtp://{smart_host}" if smart_host else
                                                     f'maildir "{self.root}/inbox" virtual <inbox>'))
        self.prepare = "\n".join([
            "useradd --system --user-group --no-create-home opensmtpd",
            "useradd --system --user-group --no-create-home opensmtpq",
            "useradd --user-group --no-create-home --home-dir /nonexistent lab",
            # It greets after the reverse look-up of the client: from files alone, for there is no name server here.
            "rm -f /etc/resolv.conf && printf 'lookup file\nnameserver 127.0.0.1\n' > /etc/resolv.conf",
            "mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd && chmod 711 /var/spool/smtpd",
            f"chown -R lab: {self.root}/inbox"])

    def command(self):
        return ["/usr/sbin/smtpd", "-d", "-f", self.config]
