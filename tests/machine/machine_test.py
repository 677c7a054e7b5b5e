# SPDX-License-Identifier: Apache-2.0
"""The installed package on cards of an emulated machine, under systemd: set up as docs/installing.md says, with real mail from
the lab's clients to the lab's Postfix. A case boots a machine of its own, which takes a minute or less."""
import re
import time

import pytest

from lab.mail_client import GREETED, HALF_SENT
from lab.network import VIP4, VIP6
from lab.shell import run
from lab.ticker import Ticker

from .guest import two_cards

JUMBO = 9000
TIMESTAMPS = 12


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


def require_segments(lab, mtu):
    """What the two ends of a session may send each other is what the cards carry."""
    for target, headers in ((VIP4, 40), (VIP6, 60)):
        held = lab.mailer(target=target, sessions=1, messages=0, hold=GREETED, timeout_s=300)
        held.wait_open(1, 60)
        said = run("ss", "-Htino", "dport", "=", ":25", namespace=lab.network.clients[0])
        sizes = [int(size) for size in re.findall(r" (?:mss|advmss):(\d+)", said)]
        assert mtu - headers - TIMESTAMPS <= max(sizes) <= mtu - headers, said
        held.go()
        assert held.wait().outcomes == {"delivered": 1}


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
    machine.wait_healthy("on cards that were bound again")
    guest.run("sluicectl --config /etc/sluice/edge1.cfg setup --undo && systemctl daemon-reload")
    assert guest.run("ls -A /etc/sysctl.d /etc/modules-load.d | grep sluice; true") == ""


def check_card(appliance, card, workers, mtu=1500):
    """Boot, mail over both families, users, a pulled cable, restarts with open sessions."""
    machine = appliance(two_cards(card), mtu=mtu)
    lab, guest = machine.lab, machine.guest
    machine.set_up(workers=workers)
    require_confined(guest)
    for vip in (VIP4, VIP6):
        machine.require_mail(target=vip, size=3 * mtu)
    require_segments(lab, mtu)
    assert machine.port("front")["dataplane"]["mtu"] == mtu

    guest.set_link("front", False)
    machine.wait_link(False)
    guest.set_link("front", True)
    machine.wait_link(True)
    assert "port front: link down" in machine.journal()

    held = lab.mailer(target=VIP4, sessions=6, hold=HALF_SENT, timeout_s=300)
    held.wait_held(6)
    ticker = Ticker(lab, "tap-back")
    guest.run("systemctl restart sluice-control@edge1")
    begun = time.monotonic()
    guest.run("systemctl restart sluice-dataplane@edge1", timeout_s=300)
    machine.wait_healthy("after the restarts")
    ticker.wait_passing(time.monotonic())
    print(f"{card}, {workers} workers: packets of an open session went nowhere for {ticker.longest_gap(begun, time.monotonic()):.2f} s "
          "as the data plane was restarted")
    ticker.stop()
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
    check_card(appliance, "e1000e", 1, JUMBO)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("card, workers, mtu", [("virtio", 1, JUMBO), ("virtio", 2, 1500), ("vmxnet3", 1, JUMBO), ("vmxnet3", 2, 1500),
                                                ("e1000", 1, 1500), ("e1000", 1, JUMBO), ("e1000e", 1, 1500), ("e1000e", 2, 1500)])
def test_installed_package_carries_mail_on_each_card(appliance, card, workers, mtu):
    check_card(appliance, card, workers, mtu)
