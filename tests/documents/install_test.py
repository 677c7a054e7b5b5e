# SPDX-License-Identifier: Apache-2.0
"""What `meson install` puts where, the systemd units, and the script that addresses the twins."""
import os
import re
import subprocess

import pytest

from lab.balancer import ROOT
from lab.etcd import register_module

PROGRAMS = ["sluice-control", "sluice-dataplane", "sluicectl"]


def test_programs_pages_units_completion_and_examples_are_installed(installed, find):
    for program in PROGRAMS:
        path = find(f"sbin/{program}")
        done = subprocess.run([path, "--version"], text=True, capture_output=True, timeout=120)
        assert done.returncode == 0 and done.stdout.startswith(program), done.stderr
    for suffix in ("man8/sluicectl.8", "man8/sluice-control.8", "man8/sluice-dataplane.8", "man8/sluice-register.8", "man5/sluice.cfg.5",
                   "bash-completion/completions/sluicectl", "libexec/sluice/address-twins", "libexec/sluice/bind-card", "libexec/sluice/prepare-instance",
                   "sysusers.d/sluice.conf", "tmpfiles.d/sluice.conf", "rules.d/60-sluice.rules", "examples/af_xdp.conf",
                   "examples/uio.conf", "examples/announce-address.conf", "libexec/sluice/vip-ready", "libexec/sluice/gobgp-follow", "examples/anycast/gobgpd.toml", "examples/anycast/bird.conf", "examples/anycast/keepalived-reload.conf", "examples/edge.cfg", "examples/edge.addresses",
                   "regions/node/edge.cfg", "regions/node/north1.addresses", "regions/router/sysctl.conf", "regions/mta/register-south.conf", "regions/mta/main.cf", "regions/mta/master.cf",
                   "regions/etcd/third.env", "regions/dns/named.conf", "regions/dns/dns-update.timer",
                   "system/sluice-control@.service", "system/sluice-dataplane@.service", "system/sluice-register.service", "sbin/sluice-register", "examples/register.conf",
                   "share/sluice/grafana/sluice.json", "share/sluice/grafana/sessions.json", "share/sluice/prometheus/alerts.yml"):
        assert find(suffix).stat().st_size > 0
    names = {path.name for path in installed.rglob("*") if path.is_file()}
    assert not names & {"sluicectl-documents", "config-reference", "perf_mail"}, "tools of the build do not belong to an installation"


def test_setup_writes_the_name_of_the_script_that_is_installed(installed, find):
    script = find("libexec/sluice/bind-card")
    assert os.access(script, os.X_OK)
    assert f"/{script.relative_to(installed)}".encode() in find("sbin/sluicectl").read_bytes()


def test_what_keeps_the_name_server_right_can_be_run(find):
    assert os.access(find("regions/dns/dns-update"), os.X_OK)


def test_installed_examples_pass_the_check(find):
    for name in ("edge.cfg", "minimal.cfg"):
        done = subprocess.run([find("sbin/sluice-control"), "--config", find(f"examples/{name}"), "--check"], text=True,
                              capture_output=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", ["sluice-control@.service", "sluice-dataplane@.service", "sluice-register.service", "dns-update.service",
                                  "dns-update.timer"])
def test_systemd_takes_the_units(installed, find, tmp_path, unit):
    """Verified with the programs' paths as they are in the installation: systemd looks whether they are there."""
    for path in (*installed.rglob("*.service"), *installed.rglob("*.timer")):
        text = path.read_text().replace("/usr/local/sbin/dns-update", str(find("regions/dns/dns-update")))
        assert "@sbindir@" not in text and "@libexecdir@" not in text
        for program in set(re.findall(r"=(/\S+/(?:sluice-[a-z]+|sluicectl|address-twins|prepare-instance))", text.replace("=+", "="))):
            assert (installed / program.lstrip("/")).exists(), program
            text = text.replace(f"{program} ", f"{installed / program.lstrip('/')} ")
        (tmp_path / path.name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / unit.replace("@", "@edge1")], text=True, capture_output=True,
                          timeout=120, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"})
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "sluice" in line or "dns-update" in line]
    assert done.returncode == 0 and not complaints, done.stdout + done.stderr


@pytest.mark.parametrize("unit", ["sluice-control@.service", "sluice-dataplane@.service"])
def test_units_come_back_and_are_confined(find, unit):
    lines = find(f"system/{unit}").read_text().splitlines()
    assert {"Restart=always", "NoNewPrivileges=yes", "ProtectSystem=strict", "RestrictNamespaces=yes", "Type=notify",
            "WatchdogSec=10", f"User={unit.split('@')[0]}"} <= set(lines)
    assert any(line.startswith("CapabilityBoundingSet=CAP_") for line in lines)
    assert any(line.startswith("SystemCallFilter=") for line in lines)


def test_a_mail_server_is_stopped_after_it_has_left(find):
    """And its way back to the clients after that; the unit waits for longer than the program does."""
    lines = find("system/sluice-register.service").read_text().splitlines()
    after = {unit for line in lines if line.startswith("After=") for unit in line.removeprefix("After=").split()}
    assert {f"{name}.service" for name in ("postfix", "postfix@-", "exim4", "opensmtpd", "haraka", "kumomta", "pmta", "docker", "bird", "frr")} <= after
    (most,) = [int(line.removeprefix("TimeoutStopSec=")) for line in lines if line.startswith("TimeoutStopSec=")]
    assert most >= register_module().MOST_WAIT_S + 30


@pytest.mark.parametrize("unit, most", [("sluice-control@.service", 3.0), ("sluice-dataplane@.service", 5.0)])
def test_units_leave_little_open(find, tmp_path, unit, most):
    """By systemd's own count: 0 is closed, 10 is root without any fence."""
    path = tmp_path / unit.replace("@", "@edge1")
    path.write_text(find(f"system/{unit}").read_text())
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={round(most * 10)}", "--no-pager", path], text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_users_are_made_once_and_apart(find, tmp_path):
    """Control is in the data plane's group, for the channel; nobody else is. What is there already stays."""
    (tmp_path / "etc").mkdir()
    for _ in range(2):
        done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}", find("sysusers.d/sluice.conf")], text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert users["sluice-control"][3] == groups["sluice"][2] and users["sluice-dataplane"][3] == groups["sluice-dataplane"][2]
    assert groups["sluice-dataplane"][3] == "sluice-control" and groups["sluice"][3] == ""
    assert all(users[name][6] == "/usr/sbin/nologin" and users[name][2] != "0" for name in ("sluice-control", "sluice-dataplane"))


def address_twins(tmp_path, text, wait_s=1, ip_fails=False):
    """Runs the script beside an `ip` that knows slf0 alone, and notes its batch."""
    ip = tmp_path / "ip"
    ip.write_text(f'#!/bin/sh\ncase "$*" in\n"link show dev slf0") exit 0;;\n"-force -batch "*) cat "$3" > {tmp_path}/batch; exit {int(ip_fails)};;\n*) exit 1;;\nesac\n')
    ip.chmod(0o755)
    path = tmp_path / "edge1.addresses"
    if text is not None:
        path.write_text(text)
    return subprocess.run([ROOT / "config/systemd/address-twins", path], text=True, capture_output=True, timeout=120,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLUICE_TWINS_WAIT": str(wait_s)})


def test_twins_are_addressed_when_they_are_there(tmp_path):
    text = "# slx0 is no device here\naddress replace 192.0.2.25/32 dev slf0\nlink set slf0 up\n"
    done = address_twins(tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "batch").read_text() == text


def test_a_twin_that_does_not_come_is_named_and_the_others_are_addressed(tmp_path):
    text = "address replace 192.0.2.25/32 dev slf0\nlink set slb9 up\n"
    done = address_twins(tmp_path, text, wait_s=0)
    assert done.returncode == 0 and "no interface slb9" in done.stderr
    assert (tmp_path / "batch").read_text() == text


@pytest.mark.parametrize("text", [
    "link set dev slf0 up",
    "l set slf0 mtu 1500 up",
    "link add vips type dummy\nlink set vips up\naddress add 192.0.2.1/32 dev vips",
    "link add link slf0 name slf0.5 type vlan id 5\naddress add 192.0.2.1/32 dev slf0.5",
    "link add name vips up type bridge\nlink set dev slf0 master vips",
    "-6 route add 2001:db8::/32 via fe80::1 dev slf0 # dev eth9",
])
def test_only_interfaces_that_the_file_does_not_make_are_waited_for(tmp_path, text):
    done = address_twins(tmp_path, text + "\n", wait_s=0)
    assert done.returncode == 0 and not done.stderr
    assert (tmp_path / "batch").exists()


def test_a_line_that_fails_does_not_stop_the_data_plane(tmp_path):
    """`ip -force -batch` ends with 1 if any line failed: a route that is there already is enough."""
    done = address_twins(tmp_path, "address replace 192.0.2.25/32 dev slf0\n", ip_fails=True)
    assert done.returncode == 0 and "not every line" in done.stderr


def test_without_a_file_the_twins_are_left_to_others(tmp_path):
    done = address_twins(tmp_path, None)
    assert done.returncode == 0 and "left to others" in done.stdout


CARD = "0000:3b:00.0"


MAC = "3c:fd:fe:00:00:01"


class Bus:
    """A PCI bus of files, with one card as eth2. The kernel's part, to which driver_override says who takes the card, is done when
    udev comes to rest."""

    def __init__(self, directory, driver=None, routes="", net="net", has_iommu=True):
        self.directory = directory
        self.device = directory / "sys/bus/pci/devices" / CARD
        self.interface = self.device / net / "eth2"
        self.interface.mkdir(parents=True)
        (self.interface / "address").write_text(f"{MAC}\n")
        (self.device / "vendor").write_text("0x8086\n")
        (self.device / "device").write_text("0x10fb\n")
        if has_iommu:
            (self.device / "iommu_group").mkdir()
        self.drivers = directory / "sys/bus/pci/drivers"
        (self.drivers / "ixgbe").mkdir(parents=True)
        if driver:
            (self.device / "driver").symlink_to(self.drivers / driver)
        self.before = driver
        self.program("ip", f"[ \"$*\" = 'route show table all' ] && printf '{routes}'")

    def program(self, name, text):
        path = self.directory / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def bind(self, *known, takes=True, card=CARD):
        """Runs the script beside a modprobe that brings the driver, which then takes the card or does not."""
        self.program("modprobe", f"mkdir -p {self.drivers}/$1")
        old = f"ln -sfn {self.drivers}/{self.before} {self.device}/driver" if self.before else "true"
        new = f"ln -sfn {self.drivers}/vfio-pci {self.device}/driver" if takes else f"rm -f {self.device}/driver"
        self.program("udevadm", f'echo "$*" >> {self.directory}/settled\n[ -e {self.device}/driver_override ] || exit 0\n'
                                f'if [ -n "$(cat {self.device}/driver_override)" ]; then {new}; else {old}; fi')
        return subprocess.run([ROOT / "config/systemd/bind-card", card, "vfio-pci", *known], text=True, capture_output=True, timeout=120,
                              env={**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", "SLUICE_SYS_ROOT": str(self.directory / "sys")})

    def driver(self):
        return os.path.basename(os.readlink(self.device / "driver")) if (self.device / "driver").exists() else None

    def require_left_alone(self, done, told):
        assert done.returncode == 1 and f"bind-card: {CARD}: {told}" in done.stderr, done.stderr
        assert self.driver() == self.before and not (self.device / "driver_override").exists()


@pytest.mark.parametrize("driver", [None, "ixgbe"])
def test_a_card_is_given_to_the_driver_for_dpdk(tmp_path, driver):
    bus = Bus(tmp_path, driver, routes="default via 10.0.0.1 dev eth1\nfe80::/64 dev eth2 proto kernel\nmulticast ff00::/8 dev eth2 table local\n"
                                       "local fe80::1 dev eth2 table local\n10.1.0.0/16 dev eth22\n")
    done = bus.bind()
    assert done.returncode == 0, done.stderr
    assert bus.driver() == "vfio-pci" and (bus.device / "driver_override").read_text() == "vfio-pci\n"
    assert (tmp_path / "sys/bus/pci/drivers_probe").read_text() == f"{CARD}\n"
    assert set((tmp_path / "settled").read_text().splitlines()) == {"settle --timeout=10"}
    (tmp_path / "sys/bus/pci/drivers_probe").unlink()
    assert bus.bind().returncode == 0 and not (tmp_path / "sys/bus/pci/drivers_probe").exists(), "twice is once"


@pytest.mark.parametrize("net", ["net", "virtio3/net"])
@pytest.mark.parametrize("route", ["default via 10.0.0.1 dev eth2", "2001:db8::/64 dev eth2 proto kernel", "10.0.0.0/8 dev eth2 table 100",
                                   "default\n\tnexthop via 10.0.0.1 dev eth2 weight 1", "local 192.0.2.1 dev eth2 table local"])
def test_a_card_that_the_kernel_routes_over_is_left_to_it(tmp_path, net, route):
    bus = Bus(tmp_path, "ixgbe", f"{route}\n", net)
    bus.require_left_alone(bus.bind(), "the kernel has routes over eth2")


@pytest.mark.parametrize("link, upper", [("master", "br0"), ("upper_bond0", "bond0"), ("upper_eth2.10", "eth2.10")])
def test_a_card_with_other_interfaces_upon_it_is_left_to_the_kernel(tmp_path, link, upper):
    bus = Bus(tmp_path, "ixgbe")
    (bus.interface / link).symlink_to(f"../{upper}")
    bus.require_left_alone(bus.bind(), f"the kernel has other interfaces upon eth2 ({upper})")


def test_without_knowing_the_routes_a_card_is_left_alone(tmp_path):
    bus = Bus(tmp_path, "ixgbe")
    bus.program("ip", "exit 1")
    bus.require_left_alone(bus.bind(), "ip route does not tell")


@pytest.mark.parametrize("known, told", [(["8086:10fc"], "is a card 8086:10fb, and not 8086:10fc"),
                                         (["8086:10fb", "3c:fd:fe:00:00:02"], f"is the card {MAC}, and not 3c:fd:fe:00:00:02")])
def test_another_card_at_the_address_is_left_alone(tmp_path, known, told):
    bus = Bus(tmp_path, "ixgbe")
    bus.require_left_alone(bus.bind(*known), told)


def test_the_card_that_was_there_is_taken(tmp_path):
    bus = Bus(tmp_path, "ixgbe")
    done = bus.bind("8086:10fb", MAC)
    assert done.returncode == 0 and bus.driver() == "vfio-pci", done.stderr


def test_without_an_iommu_a_card_stays_unless_vfio_is_told_to_do_without(tmp_path):
    bus = Bus(tmp_path, "ixgbe", has_iommu=False)
    bus.require_left_alone(bus.bind(), "is behind no IOMMU")
    parameters = tmp_path / "sys/module/vfio/parameters"
    parameters.mkdir(parents=True)
    (parameters / "enable_unsafe_noiommu_mode").write_text("Y\n")
    assert bus.bind().returncode == 0 and bus.driver() == "vfio-pci"


@pytest.mark.parametrize("driver", [None, "ixgbe"])
def test_a_card_that_is_refused_goes_back(tmp_path, driver):
    bus = Bus(tmp_path, driver)
    done = bus.bind(takes=False)
    assert done.returncode == 1 and f"vfio-pci does not take it (dmesg tells why); the kernel's driver is {driver or 'none'} now" in done.stderr
    assert bus.driver() == driver and (bus.device / "driver_override").read_text() == "\n"


def test_a_card_that_is_not_there_is_told(tmp_path):
    bus = Bus(tmp_path, "ixgbe")
    done = bus.bind(card="0000:3b:00.7")
    assert done.returncode == 1 and "0000:3b:00.7: there is no such card" in done.stderr
