# SPDX-License-Identifier: Apache-2.0
"""`sluicectl setup` on a machine that runs: what it writes is what sysctl reads, the doctor is content with it, and it goes again.
The places that it writes to are directories of the test's own, mounted over those of the machine for these commands alone."""
import json

import pytest

from lab.network import sysctl
from lab.shell import run

PLACES = {"/etc/sysctl.d": "sysctl.d", "/etc/modules-load.d": "modules-load.d", "/etc/systemd/system": "system", "/etc/default": "default"}


class Machine:
    """A lab's balancer, and an /etc of its own as far as setup writes there."""

    def __init__(self, lab):
        self.balancer = lab.balancer
        self.namespace = lab.balancer.network.balancer
        self.etc = lab.directory / "etc"
        for name in PLACES.values():
            (self.etc / name).mkdir(parents=True)

    def within(self):
        """The words before a command that give it these directories."""
        mounts = "".join(f"mkdir -p {place} && mount --bind {self.etc}/{name} {place} && " for place, name in PLACES.items())
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts} exec "$@"', "sh"]

    def setup(self, *words, code=0):
        """What it says with --json; what it complains of, if it says nothing else."""
        done = self.balancer.ctl_run("--json", "setup", *words, within=self.within())
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr

    def files(self):
        return {str(path.relative_to(self.etc)): path.read_text() for path in self.etc.rglob("*") if path.is_file()}

    def grade(self, topic):
        found = json.loads(self.balancer.ctl_run("doctor", "--json").stdout)["findings"]
        (grade,) = [entry["grade"] for entry in found if entry["topic"] == topic]
        return grade


@pytest.fixture
def machine(lab):
    lab.start_greeters()
    lab.start_balancer()
    made = Machine(lab)
    sysctl(made.namespace, "net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.slf0.rp_filter=0",
           "net.ipv4.conf.slb0.rp_filter=1")
    return made


def test_what_the_doctor_finds_is_written_followed_and_undone(machine):
    name = "sysctl.d/60-sluice-lab.conf"
    planned = machine.setup()
    assert machine.files() == {} and not planned["written"]
    (file,) = [file for file in planned["files"] if file["path"] == f"/etc/{name}"]
    assert file["change"] == "new" and {"net.ipv4.ip_forward = 1", "-net/ipv4/conf/slb0/rp_filter = 2"} <= set(file["added"])
    assert f"sysctl -p /etc/{name}" in planned["to_apply"]

    assert machine.setup("--apply")["written"]
    written = machine.files()
    assert "\nnet.ipv4.ip_forward = 1\n" in written[name]
    assert machine.grade("net.ipv4.ip_forward") == machine.grade("rp_filter, port back") == "warn", "nobody has followed it yet"
    run(*machine.within(), "sysctl", "-p", f"/etc/{name}", namespace=machine.namespace)
    assert machine.grade("net.ipv4.ip_forward") == machine.grade("rp_filter, port back") == "ok"

    again = machine.setup("--apply")
    assert machine.files() == written and {file["change"] for file in again["files"]} == {"as it is"}
    undone = machine.setup("--undo")
    assert machine.files() == {} and undone["to_apply"] == ["reboot"]
    assert machine.setup("--undo")["files"] == []


def test_a_file_of_somebody_else_stops_it_before_it_writes(machine):
    path = machine.etc / "sysctl.d/60-sluice-lab.conf"
    path.write_text("net.ipv4.ip_forward = 0\n")
    before = machine.files()
    assert f"/etc/sysctl.d/{path.name} is not of sluicectl setup" in machine.setup("--apply", code=1)
    assert machine.files() == before
    (file,) = [file for file in machine.setup(code=1)["files"] if file["path"].endswith(path.name)]
    assert file["change"] == "left alone"


def test_its_view_shows_lines_and_commands(machine):
    done = machine.balancer.ctl_run("setup", within=machine.within())
    assert done.returncode == 0, done.stderr
    assert "  + net.ipv4.ip_forward = 1\n" in done.stdout and "nothing is written yet" in done.stdout
    assert "sluicectl setup has files for" in machine.balancer.ctl("doctor")


def test_apply_and_undo_at_once_is_wrong_usage(machine):
    assert "allowed: one of them" in machine.setup("--apply", "--undo", code=2)
    assert machine.files() == {}


def test_what_is_left_out_has_to_be_a_setting_that_is_known(machine):
    told = machine.setup("--without", "net.ipv4.ip_forwards", code=2)
    assert "--without net.ipv4.ip_forwards: no such setting here; allowed: " in told and "net.ipv4.ip_forward," in told
    assert "allowed: one of them" in machine.setup("--undo", "--without", "net.ipv4.ip_forward", code=2)
    (file,) = [file for file in machine.setup("--without", "net/ipv4/ip_forward")["files"] if file["path"].endswith("60-sluice-lab.conf")]
    assert "net.ipv4.ip_forward = 1" not in file["added"] and "-net/ipv4/conf/slb0/rp_filter = 2" in file["added"]
