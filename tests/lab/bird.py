# SPDX-License-Identifier: Apache-2.0
"""BIRD in a network namespace, with a control socket beside its configuration."""
import pathlib

from .shell import Service, run, wait_until


class Bird:
    def __init__(self, lab, name, namespace, config):
        """Starts it with that file, once the file is found to be right. It is one of the lab's services."""
        self._lab = lab
        config = pathlib.Path(config)
        run("bird", "-p", "-c", config)
        self._socket = config.with_suffix(".ctl")
        self._socket.unlink(missing_ok=True)
        command = ["bird", "-f", "-c", config, "-s", self._socket, "-P", config.with_suffix(".pid")]
        self.service = Service(name, command, config.with_suffix(".log"), namespace)
        lab.services.append(self.service)
        wait_until(lambda: self.service.require_running() or self._socket.exists(), 15, f"{name} listens")

    def say(self, words):
        """What it answers to a command of birdc."""
        return run("birdc", "-s", self._socket, *words.split())
