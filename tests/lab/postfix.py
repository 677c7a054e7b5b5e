# SPDX-License-Identifier: Apache-2.0
"""A real Postfix in a namespace: its own configuration, queue and mailbox, independent of one on the host.

It takes mail for the lab's domain on 25, on 587 (STARTTLS demanded) and on 465 (TLS from the first byte), and stores each message as
a file in a Maildir, so that messages can be counted and compared one by one.
"""
import os
import pathlib
import pwd
import re
import stat

from .messages import DOMAIN
from .network import kill_processes, signal_processes
from .shell import CommandError, Timeout, run, tail, wait_until

# What an operator would say of a mail server, of any.
SITE = """\
compatibility_level = 3.6
myhostname = {name}.{domain}
mydestination =
inet_interfaces = all
inet_protocols = all
mynetworks = 127.0.0.0/8
smtpd_banner = $myhostname ESMTP Postfix
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = {domain}
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
"""
# What makes it one of several on this machine, with a mailbox that can be read.
INSTANCE = """\
queue_directory = {root}/queue
data_directory = {root}/data
mail_owner = postfix
setgid_group = postdrop
maillog_file = {root}/log
maillog_file_prefixes = {root}
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
virtual_mailbox_base = {root}
virtual_mailbox_maps = static:inbox/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_destination_concurrency_limit = 8
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 52428800
smtpd_tls_loglevel = 0
# A lab's clients are few addresses with many sessions: nothing here may limit them.
default_process_limit = {processes}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
smtpd_error_sleep_time = 0
smtpd_timeout = 1h
in_flow_delay = 0
{extra}
"""

MASTER_CF = """\
smtp       inet  n - n - {processes} smtpd
submission inet  n - n - {processes} smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
submissions inet n - n - {processes} smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - 8 virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
{extra}
"""


class Postfix:
    """One instance. `start()` and `stop()` as an operator would, `kill()` as a crash would. `site`, `services`: a site's own main.cf,
    beside what the lab needs, and master.cf."""

    def __init__(self, name, namespace, root, certificate, key, processes=1000, main_extra="", master_extra="", site=None, services=None):
        self.name = name
        self.namespace = namespace
        self.root = pathlib.Path(root)
        owner = pwd.getpwnam("postfix")
        for directory in ("config", "queue", "data", "inbox"):
            (self.root / directory).mkdir(parents=True)
        for directory in ("data", "inbox"):
            os.chown(self.root / directory, owner.pw_uid, owner.pw_gid)
        values = dict(name=name, domain=DOMAIN, root=self.root, uid=owner.pw_uid, gid=owner.pw_gid,
                      certificate=certificate, key=key, processes=processes)
        (self.config / "main.cf").write_text((site or SITE.format(**values)) + INSTANCE.format(extra=main_extra, **values))
        (self.config / "master.cf").write_text(services or MASTER_CF.format(extra=master_extra, processes=processes))

    @property
    def config(self):
        return self.root / "config"

    @property
    def log(self):
        return self.root / "log"

    def start(self):
        """Starts it and returns when it listens. Raises CommandError with its log if it does not."""
        # Postfix' own start script warns about an instance beside the host's default one; the log tells the rest.
        run("postfix", "-c", self.config, "start", namespace=self.namespace)
        try:
            wait_until(self.listening, 20, f"{self.name} listening")
        except Timeout as error:
            raise CommandError(f"{error}; its log ends:\n{tail(self.log)}") from error

    def listening(self):
        listeners = run("ss", "-Hltn", namespace=self.namespace)
        return all(re.search(rf":{port}\s", listeners) for port in (25, 465, 587))

    def reload(self):
        """Sessions go on with what was; what begins now has read its files anew."""
        run("postfix", "-c", self.config, "reload", namespace=self.namespace)

    def stop(self):
        run("postfix", "-c", self.config, "stop", namespace=self.namespace)

    def kill(self):
        """All its processes at once, without a word to its clients."""
        kill_processes(self.namespace)

    def pause(self):
        """None of its processes runs on; its kernel still completes handshakes."""
        signal_processes(self.namespace, "STOP")

    def resume(self):
        signal_processes(self.namespace, "CONT")

    def queued(self):
        """Messages accepted and not yet in the mailbox. The execute bit marks a queue file as complete: without
        it, it is of a session that is still open or was cut."""
        return sum(is_complete(path) for part in ("maildrop", "incoming", "active", "deferred")
                   for path in (self.root / "queue" / part).rglob("*"))

    def stored(self):
        """Every message in the mailbox, as bytes."""
        for part in ("new", "cur"):
            for path in (self.root / "inbox" / part).glob("*"):
                yield path.read_bytes()

    def forget_stored(self):
        """Empties the mailbox."""
        for path in (self.root / "inbox").glob("new/*"):
            path.unlink()

    def count(self):
        """Messages in the mailbox."""
        try:
            return len(os.listdir(self.root / "inbox" / "new"))
        except FileNotFoundError:
            return 0


def is_complete(path):
    """Whether it is a queue file whose message was accepted. Files come and go while we look."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IXUSR)
