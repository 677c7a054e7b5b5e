# SPDX-License-Identifier: Apache-2.0
"""Both processes as the package runs them: their own users, few capabilities, a filter of system calls."""
import fcntl
import os
import subprocess
import sys

import pytest

from lab.balancer import EXAMPLE, ROOT, build_directory
from lab.confined import ConfinedBalancer, command, make_users, standing, threads
from lab.lab import Lab
from lab.network import VIP4
from lab.shell import in_namespace, run


@pytest.fixture
def world():
    """A lab with three mail servers, and the balancer as installed, but not started."""
    with Lab(backends=3) as lab:
        root = lab.directory / "root"
        run("meson", "install", "-C", build_directory(), "--no-rebuild", "--destdir", root)
        config = lab.directory / "lab.cfg"
        config.write_text(EXAMPLE.read_text())
        lab.balancer = ConfinedBalancer(lab.network, lab.directory / "balancer", root, config)
        yield lab


def as_member_of(balancer, group, *argv):
    """Runs a program as somebody who is nobody but a member of a group."""
    return subprocess.run(in_namespace(balancer.network.balancer,
                                       ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups", "--inh-caps=-all",
                                        "--bounding-set=-all", *argv]),
                          text=True, capture_output=True, timeout=60, env={**os.environ, **balancer.env})


def test_mail_goes_through_processes_that_are_not_root(world):
    lab, balancer = world, world.balancer
    lab.start_backends()
    balancer.start()
    sent = lab.mailer(target=VIP4, sessions=20, messages=1).wait()
    assert len(sent.confirmed) == 20, sent.summary()

    control, dataplane = standing(balancer.control.pid), standing(balancer.dataplane.pid)
    assert (control["user"], control["group"], control["groups"]) == ("sluice-control", "sluice", {"sluice-dataplane"})
    assert control["effective"] == control["bounding"] == {"net_admin"}
    assert (dataplane["user"], dataplane["group"], dataplane["groups"]) == ("sluice-dataplane", "sluice-dataplane", set())
    # ipc_lock stands for LimitMEMLOCK=infinity; sys_admin is that of the drop-in for AF_XDP.
    assert dataplane["effective"] == dataplane["bounding"] == {"net_admin", "net_raw", "sys_admin", "ipc_lock"}
    for process in (control, dataplane):
        assert process["filtered"] and process["no_new_privileges"]
    workers = {name: held for name, held in threads(balancer.dataplane.pid).items() if "worker" in name}
    assert workers and not any(workers.values()), "workers keep no capability"

    # Members of the group `sluice` operate it, and have no business with the channel.
    ctl = [balancer.program("sluicectl"), "--config", balancer.config]
    assert as_member_of(balancer, "sluice", *ctl, "drain", "mta/mta2").returncode == 0
    refused = as_member_of(balancer, "nogroup", *ctl, "status")
    assert refused.returncode != 0 and "member of the socket's group" in refused.stderr
    sockets = {path.name: path for path in (balancer.runtime / "lab").iterdir() if path.is_socket()}
    assert {name: path.group() for name, path in sockets.items()} == {"channel.sock": "sluice-dataplane", "control.sock": "sluice"}
    assert all(path.stat().st_mode & 0o777 == 0o660 for path in sockets.values())

    # Both come back under what they left, the flows among it.
    balancer.dataplane.stop()
    balancer.start_dataplane()
    balancer.control.stop()
    balancer.start_control()
    assert balancer.backend("mta", "mta2", 25)["state"] == "draining", "what was changed by hand is remembered"
    balancer.ctl("enable", "mta/mta2")
    balancer.wait_healthy()
    assert "with those of the last run" in (balancer.directory / "sluice-dataplane.log").read_text()
    again = lab.mailer(target=VIP4, sessions=10, messages=1).wait()
    assert len(again.confirmed) == 10, again.summary()


def test_reload_fails_when_the_file_does(world):
    balancer = world.balancer
    world.start_greeters()
    balancer.start()
    assert balancer.reload().returncode == 0
    good = balancer.config.read_text()
    balancer.config.write_text(good.replace('pool = "mta";', 'pool = "mat";'))
    refused = balancer.reload()
    assert refused.returncode != 0 and "mat" in refused.stdout + refused.stderr
    balancer.config.write_text(good)
    assert balancer.reload().returncode == 0


# Anybody may do this, were there no filter: 0 or an errno value.
ASK_TO_BE_TRACED = "import ctypes; c = ctypes.CDLL(None, use_errno=True); print(c.ptrace(0, 0, 0, 0) and ctypes.get_errno())"
ASK_FOR_A_KEYRING = "import ctypes; c = ctypes.CDLL(None, use_errno=True); print(0 if c.syscall(250, 0, -4, 1) > 0 else ctypes.get_errno())"
SET_AFFINITY = "import os; os.sched_setaffinity(0, os.sched_getaffinity(0)); print(0)"


@pytest.mark.parametrize("name", ["sluice-control", "sluice-dataplane"])
@pytest.mark.parametrize("deed", [ASK_TO_BE_TRACED, ASK_FOR_A_KEYRING])
def test_the_filter_of_system_calls_bites(name, deed):
    unit = ROOT / "config/systemd" / f"{name}@.service"
    assert run(sys.executable, "-c", deed).strip() == "0"
    assert run(*command(unit, [sys.executable, "-c", deed])).strip() == "1", "EPERM"


def test_only_the_data_plane_may_choose_its_processors():
    units = {name: ROOT / "config/systemd" / f"sluice-{name}@.service" for name in ("control", "dataplane")}
    assert run(*command(units["dataplane"], [sys.executable, "-c", SET_AFFINITY])).strip() == "0"
    done = subprocess.run(command(units["control"], [sys.executable, "-c", SET_AFFINITY]), text=True, capture_output=True, timeout=60)
    assert "PermissionError" in done.stderr


def test_what_root_has_left_makes_way_unless_it_is_in_use(tmp_path):
    make_users(ROOT / "config/systemd/sluice.sysusers")
    directory = tmp_path / "edge1"
    directory.mkdir()
    for name in ("dataplane.lock", "channel.sock", "control.lock", "control.sock"):
        (directory / name).touch()
    with open(directory / "dataplane.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run("env", f"SLUICE_RUNTIME_ROOT={tmp_path}", ROOT / "config/systemd/prepare-instance", "edge1")
    assert {path.name for path in directory.iterdir()} == {"dataplane.lock", "channel.sock"}
    run("env", f"SLUICE_RUNTIME_ROOT={tmp_path}", ROOT / "config/systemd/prepare-instance", "edge1")
    assert not list(directory.iterdir())
    assert (directory.owner(), directory.group(), directory.stat().st_mode & 0o7777) == ("root", "sluice-dataplane", 0o1775)
