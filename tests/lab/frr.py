# SPDX-License-Identifier: Apache-2.0
"""FRR's zebra, bgpd and bfdd in a network namespace, with an /etc/frr and a /run of their own: the host sees nothing of it."""
import pathlib
import shutil

from .shell import Service, run, wait_until

DAEMONS = "/usr/lib/frr"
SCRIPT = """\
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/frr && chown frr:frr /run/frr
mount --bind {directory} /etc/frr
for daemon in zebra bgpd bfdd; do {daemons}/$daemon -d -A 127.0.0.1; done
vtysh -b
echo ready
exec sleep infinity
"""


class Frr:
    def __init__(self, namespace, directory, text):
        """Starts it with the text of an frr.conf."""
        directory = pathlib.Path(directory)  # each of the commands below becomes the next: the process is that in the namespaces
        directory.mkdir()
        (directory / "frr.conf").write_text(text)
        (directory / "vtysh.conf").touch()
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, "frr", "frr")
        log = directory.with_suffix(".log")
        script = SCRIPT.format(directory=directory, daemons=DAEMONS)
        self.service = Service("frr", ["unshare", "--mount", "sh", "-c", script], log, namespace)
        wait_until(lambda: self.service.require_running() or "ready" in log.read_text(), 30, "FRR is configured")

    def say(self, *commands):
        """What vtysh answers to these commands."""
        words = [word for command in commands for word in ("-c", command)]
        return run("nsenter", "--mount", "--net", "--target", self.service.pid, "vtysh", *words)
