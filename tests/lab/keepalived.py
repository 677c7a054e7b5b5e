# SPDX-License-Identifier: Apache-2.0
"""keepalived in a network namespace, with a shipped configuration and what of it is the lab's own."""
import pathlib
import signal
import subprocess

from .anycast import EXAMPLES
from .shell import Service, in_namespace


def shipped(name, *replacements):
    """The text of a shipped file, changed."""
    text = (EXAMPLES / name).read_text()
    for old, new in replacements:
        assert old in text, f"{name} no longer holds {old}"
        text = text.replace(old, new)
    return text


class Keepalived:
    def __init__(self, lab, name, namespace, path, text):
        """Writes the file, and starts it once keepalived has found it to be right. It is one of the lab's services."""
        path = pathlib.Path(path)
        path.write_text(text)
        checked = subprocess.run(in_namespace(namespace, ["keepalived", "-t", "-f", path]), text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
        base = path.with_suffix("")
        self.service = Service(name, ["keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", path, "-p", f"{base}.pid",
                                      "-r", f"{base}-vrrp.pid"], f"{base}.log", namespace)
        lab.services.append(self.service)

    def reload(self):
        """As keepalived-reload.conf does it."""
        self.service.process.send_signal(signal.SIGHUP)
