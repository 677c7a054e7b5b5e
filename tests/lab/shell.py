# SPDX-License-Identifier: Apache-2.0
"""Running programs, in a namespace or not, with errors that say what went wrong."""
import os
import signal
import subprocess
import time


class CommandError(RuntimeError):
    """A program failed; the message holds its command line and the end of what it said."""


class Timeout(RuntimeError):
    """A condition did not come true in time."""


def in_namespace(namespace, argv):
    """The command line that runs `argv` in a network namespace (None: where we are)."""
    argv = [str(arg) for arg in argv]
    return ["ip", "netns", "exec", namespace, *argv] if namespace else argv


def run(*argv, namespace=None, stdin=None, timeout_s=120):
    """Runs a program to its end and returns its standard output. Raises CommandError if it fails."""
    command = in_namespace(namespace, argv)
    try:
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(command)}: not done after {timeout_s} s") from error
    except FileNotFoundError as error:
        raise CommandError(f"{command[0]}: not installed (run .ci/install-packages)") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandError(f"{' '.join(command)}: exit code {done.returncode}: {said}")
    return done.stdout


PATIENCE_S = 60  # what a busy machine may need for anything; costs nothing when the condition comes true


def wait_until(condition, timeout_s, what, interval_s=0.05):
    """Polls `condition` until it returns something true, and returns that. Raises Timeout(what) when it has not after
    `timeout_s`, or after a minute if that is longer: a limit for what hangs, no measure of how fast a thing is."""
    timeout_s = max(timeout_s, PATIENCE_S)
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout_s} s")
        time.sleep(interval_s)


def tail(path, lines=15):
    """The last lines of a log, or a word about its absence."""
    try:
        with open(path, errors="replace") as log:
            return "".join(log.readlines()[-lines:]).rstrip() or "(empty)"
    except OSError:
        return "(no log)"


class Service:
    """A long-running program with its log, started at once and stopped by `stop()`."""

    def __init__(self, name, argv, log_path, namespace=None, env=None, cpus=None):
        self.name = name
        self.log_path = log_path
        command = in_namespace(namespace, argv)
        if cpus is not None:
            command = ["taskset", "-c", cpus, *command]
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def require_running(self):
        """Raises CommandError with the end of the log if the program has ended."""
        if not self.running():
            raise CommandError(f"{self.name} ended with code {self.process.returncode}; its log ends:\n"
                               f"{tail(self.log_path)}")

    def stop(self, with_signal=signal.SIGTERM, timeout_s=10):
        """Ends the program and returns its exit code; kills it if it does not go."""
        if self.running():
            self.process.send_signal(with_signal)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()
