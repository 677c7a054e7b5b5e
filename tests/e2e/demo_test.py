# SPDX-License-Identifier: Apache-2.0
"""The demo is what a newcomer sees first: it must work, tell the truth in its exit code, and leave nothing behind."""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from lab.balancer import ROOT
from lab.lab import LABS, RUNTIME, clean_up
from lab.shell import run, wait_until

pytestmark = pytest.mark.quiet  # compares all labs of the machine before and after


def namespaces():
    return {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.startswith("sluice-")}


def traces():
    """All that labs have on this machine; others may run beside."""
    return namespaces() | set(LABS.glob("*")) | set(RUNTIME.glob("*"))


def test_once_delivers_everything_and_cleans_up():
    before = traces()
    done = subprocess.run([ROOT / "demo", "--once", "--sessions", "150"], text=True, capture_output=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^ +0 lost$", done.stdout, re.M) and "300 confirmed" in done.stdout, done.stdout
    assert "mta2 dies" in done.stdout and "mta2 comes back" in done.stdout
    assert not traces() - before


@pytest.mark.long
def test_two_regions_lose_nothing_and_clean_up():
    before = traces()
    done = subprocess.run([ROOT / "demo", "--regions"], text=True, capture_output=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Sessions ended with their own mail servers and with nothing else." in done.stdout, done.stdout
    assert not traces() - before


@pytest.fixture
def running_demo(tmp_path):
    """A demo that has finished its mail and keeps the lab; yields the process and what it said."""
    before = traces()
    out = tmp_path / "demo.log"
    with open(out, "w") as log:
        # A shell that runs the tests in the background has Ctrl-C ignored by all that it starts.
        process = subprocess.Popen([ROOT / "demo", "--sessions", "60"], stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        wait_until(lambda: process.poll() is not None or "Ctrl-C removes it all" in out.read_text(), 240, "demo ready")
        assert process.poll() is None, out.read_text()
        yield process, out.read_text(), traces() - before
    finally:
        process.kill()
        process.wait()
        clean_up()


def commands(text):
    """What the demo invites to paste, without `sudo`: we are root already."""
    return [line.strip().removeprefix("sudo ") for line in text.splitlines() if line.strip().startswith("sudo /")]


def test_the_commands_it_offers_work_and_ctrl_c_cleans_up(running_demo):
    process, text, left = running_demo
    offered = commands(text)
    assert len(offered) >= 5, text
    for command in offered:
        done = subprocess.run(command, shell=True, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    process.send_signal(signal.SIGINT)
    assert process.wait(180) == 130
    assert left and not left & traces()


def test_what_a_killed_demo_leaves_is_removed_by_clean(running_demo):
    process, _, left = running_demo
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left <= traces()
    said = run(ROOT / "tests" / "lab" / "clean")
    assert "removed: " in said and "nothing" not in said
    assert not left & traces()
    names = {path.name for path in left if isinstance(path, pathlib.Path)}
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and mentions(pid, names)], "processes of the lab live on"


def mentions(pid, names):
    """Whether a process has the name of a lab in its command line."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read().decode(errors="replace")
    except OSError:
        return False
    return any(name in line for name in names)
