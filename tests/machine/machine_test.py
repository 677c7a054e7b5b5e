# SPDX-License-Identifier: Apache-2.0
"""The installed package on cards of an emulated machine, under systemd: set up as docs/installing.md says, with real mail from
the lab's clients to the lab's Postfix. A case boots a machine of its own, which takes a minute or less."""
import json
import shutil

import pytest

from lab.balancer import EXAMPLE
from lab.lab import Lab
from lab.mail_client import HALF_SENT
from lab.network import VIP4, VIP6, balancer_addresses
from lab.shell import wait_until

from . import steps
from .guest import Guest

HUGE_PAGES = 190
LOGS = {"journal.log": "journalctl -b --no-pager -o short-monotonic -u 'sluice-*'",
        "status.json": "sluicectl --config /etc/sluice/edge1.cfg status --json",
        "metrics.txt": r"""bash -c 'exec 9<>/dev/tcp/127.0.0.1/9125 || exit 1; printf "GET /metrics HTTP/1.0\r\n\r\n" >&9; cat <&9'"""}


class Appliance:
    """A lab whose balancer is the machine."""

    def __init__(self, lab, directory, disk, card, workers):
        self.lab = lab
        self.directory = directory
        self.workers = workers
        self.guest = Guest(lab, directory, *disk, card)

    def set_up(self):
        """As an operator does: page, card, file, start."""
        guest = self.guest
        guest.wait()
        cards = guest.cards()
        assert len(cards) == 2, cards
        guest.run(steps.bind(cards, HUGE_PAGES), timeout_s=300)
        text = EXAMPLE.read_text()
        for old, new in (('instance = "lab"', 'instance = "edge1"'), ("hugepages     = false", "hugepages = true"),
                         ("workers       = 1;", f'workers = {self.workers}; lcores = "{"1" if self.workers == 1 else "0-1"}";'),
                         ("net_af_xdp0,iface=lb-front", cards[0]), ("net_af_xdp1,iface=lb-back", cards[1]),
                         ("checks:", 'control: { http = "127.0.0.1:9125"; };\n\nchecks:')):
            assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
            text = text.replace(old, new, 1)
        # An emulated machine beside others takes its time, and a server that does not answer in time has died.
        text = text.replace("connect_timeout = 1.0;", "connect_timeout = 10.0;")
        guest.write("/etc/sluice/edge1.cfg", text)
        guest.write("/etc/sluice/edge1.addresses", "\n".join(balancer_addresses("slf0", "slb0")))
        guest.run(steps.start(), timeout_s=300)
        wait_until(self.healthy, 120, "every backend up, as seen from the machine", interval_s=1)

    def status(self):
        return json.loads(self.guest.run(LOGS["status.json"]))

    def healthy(self):
        status = self.status()
        return status["dataplane"].get("settled") and all(entry["state"] == "up" for entry in status["backends"])

    def port(self, name):
        (found,) = [port for port in self.status()["ports"] if port["name"] == name]
        return found

    def wait_link(self, up):
        """Until status and the kernel's twin both have it."""
        def seen():
            carrier = self.guest.run("cat /sys/class/net/slf0/carrier")
            return self.port("front")["state"] == ("up" if up else "link down") and carrier == str(int(up))
        wait_until(seen, 60, f"the link of front {'up' if up else 'down'}", interval_s=0.5)

    def bring_back(self):
        """Logs, status and metrics, beside the console's log."""
        for name, command in LOGS.items():
            (self.directory / name).write_text(self.guest.run(command, check=False))


@pytest.fixture
def appliance(disk, tmp_path):
    """A function that boots a machine; what it left is shown beside a failure."""
    made = []
    with Lab(backends=3) as lab:
        def boot(card, workers):
            directory = lab.directory / "machine"
            directory.mkdir()
            made.append(Appliance(lab, directory, disk, card, workers))
            lab.start_backends()
            made[0].set_up()
            return made[0]
        yield boot
        for machine in made:
            try:
                if not (machine.directory / "metrics.txt").exists():
                    machine.bring_back()
            finally:
                machine.guest.stop()
                for path in machine.directory.glob("*.*"):
                    shutil.copy(path, tmp_path)
                    print(f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}")


def require_confined(guest):
    """Neither is root, and systemd has set up all that the units say."""
    for name, user, capabilities in (("control", "sluice-control", "0000000000001000"), ("dataplane", "sluice-dataplane", "0000000000003000")):
        pid = guest.run(f"systemctl show -P MainPID sluice-{name}@edge1")
        lines = dict(line.split(":", 1) for line in guest.run(f"cat /proc/{pid}/status").splitlines())
        assert guest.run(f"ps -o user:20= -p {pid}") == user
        assert lines["CapEff"].strip() == lines["CapBnd"].strip() == capabilities
        assert lines["Seccomp"].strip() == "2" and lines["NoNewPrivs"].strip() == "1"
    assert guest.run("stat -c '%U:%G:%a' /run/sluice/edge1 /var/lib/sluice/edge1 /dev/hugepages/sluice").splitlines() == [
        "root:sluice-dataplane:1775", "sluice-control:sluice:750", "sluice-dataplane:sluice-dataplane:700"]
    assert "in /dev/hugepages/sluice" in guest.run("journalctl -b --no-pager -u sluice-dataplane@edge1")


def require_mail(lab, **plan):
    sent = lab.mailer(sessions=10, concurrency=5, **plan).wait()
    assert len(sent.confirmed) == 10, sent.summary()


def require_bound_again(machine):
    """What setup writes gives the cards to DPDK when the data plane starts, as after a reboot."""
    guest = machine.guest
    guest.run("sluicectl --config /etc/sluice/edge1.cfg setup --apply && systemctl daemon-reload && systemctl stop sluice-dataplane@edge1", timeout_s=300)
    cards = guest.cards()
    guest.run("; ".join(f"echo {card} > /sys/bus/pci/devices/{card}/driver/unbind; echo > /sys/bus/pci/devices/{card}/driver_override" for card in cards))
    assert guest.run("cat /etc/modules-load.d/sluice-edge1.conf | tail -n 1") == "vfio-pci"
    guest.run("systemctl start sluice-dataplane@edge1", timeout_s=300)
    for card in cards:
        assert guest.run(f"readlink /sys/bus/pci/devices/{card}/driver").endswith("/vfio-pci")
    wait_until(machine.healthy, 120, "every backend up on cards that were bound again", interval_s=1)
    guest.run("sluicectl --config /etc/sluice/edge1.cfg setup --undo && systemctl daemon-reload")
    assert guest.run("ls -A /etc/sysctl.d /etc/modules-load.d | grep sluice; true") == ""


def check_card(appliance, card, workers):
    """Boot, mail over both families, users, a pulled cable, restarts with open sessions."""
    machine = appliance(card, workers)
    lab, guest = machine.lab, machine.guest
    require_confined(guest)
    require_mail(lab, target=VIP4)
    require_mail(lab, target=VIP6)

    guest.set_link("front", False)
    machine.wait_link(False)
    guest.set_link("front", True)
    machine.wait_link(True)
    assert "port front: link down" in guest.run("journalctl -b --no-pager -u sluice-dataplane@edge1")

    held = lab.mailer(target=VIP4, sessions=6, hold=HALF_SENT, timeout_s=300)
    held.wait_held(6)
    guest.run("systemctl restart sluice-control@edge1 && systemctl restart sluice-dataplane@edge1", timeout_s=300)
    wait_until(machine.healthy, 120, "every backend up after the restarts", interval_s=1)
    held.go()
    assert len(held.wait().confirmed) == 6, held.summary()

    require_bound_again(machine)

    # A file with a fault is refused, and says so.
    assert guest.run("systemctl reload sluice-control@edge1") == ""
    guest.run("echo 'nonsense = 1;' >> /etc/sluice/edge1.cfg; ! systemctl reload sluice-control@edge1")
    machine.bring_back()
    assert "sluice_port_link_up" in (machine.directory / "metrics.txt").read_text()
    # systemd ends both in order.
    guest.run("systemctl stop sluice-control@edge1 sluice-dataplane@edge1", timeout_s=300)
    assert guest.run("systemctl show -P Result sluice-control@edge1 sluice-dataplane@edge1").split() == ["success", "success"]


@pytest.mark.timeout(1200)
def test_installed_package_carries_mail_on_a_card(appliance):
    check_card(appliance, "e1000e", 1)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("card, workers", [("virtio", 1), ("virtio", 2), ("vmxnet3", 1), ("vmxnet3", 2), ("e1000", 1), ("e1000e", 2)])
def test_installed_package_carries_mail_on_each_card(appliance, card, workers):
    check_card(appliance, card, workers)
