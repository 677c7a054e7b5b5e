# SPDX-License-Identifier: Apache-2.0
"""A bond of cards of an emulated machine: members whose cable is pulled, members that are taken out of the running machine, and a
machine that starts with one missing."""
import time

import pytest

from lab.network import VIP4, VIP6

from .guest import Card

HELD = 20


def bonded(machine, mode="active-backup"):
    front, _, second = machine.cards
    return (f'device = "{front}";', f'device = "bond"; bond = {{ mode = "{mode}"; members = ["{front}", "{second}"]; }};')


def require_kept(held):
    for mailer in held:
        mailer.go()
        assert mailer.wait().outcomes == {"delivered": HELD // 2}, mailer.summary()


def check_bond(appliance, model):
    machine = appliance([Card("front", model, "front"), Card("back", model, "back"), Card("second", model, "front")])
    machine.boot()
    machine.bind()
    machine.configure(changes=[bonded(machine)])
    machine.start()
    lab, guest = machine.lab, machine.guest
    front, back, second = machine.cards
    machine.wait_carries(front)
    held = lab.hold_open(HELD, timeout_s=600)

    # Each cable once; where packets went last they stay.
    for pulled, other, name in ((front, second, "front"), (second, front, "second")):
        guest.set_link(name, False)
        machine.wait_carries(other)
        machine.require_mail(target=VIP4)
        guest.set_link(name, True)
        machine.wait_said(f"{pulled}: link up")
        for _ in range(10):  # for longer than the data plane takes to go over
            assert machine.carry() == [other], "it stays where it is as long as that has a link"
            time.sleep(0.1)

    # The card that carries is taken out; the process lets go of it, and of nothing else.
    guest.unplug("front")
    machine.wait_unplugged(front)
    machine.wait_carries(second)
    machine.wait_said(f"port front: {front} was taken away by the kernel")
    machine.require_mail(target=VIP6)
    require_kept(held)

    # The next start goes on with what is there.
    held = lab.hold_open(HELD, timeout_s=600)
    guest.run("systemctl restart sluice-dataplane@edge1", timeout_s=300)
    machine.wait_said(f"port front: {front} of its bond is not there")
    machine.wait_healthy("with one card of the bond")
    # By another MAC address, which neighbours ask for when the one they know has not answered for long.
    machine.require_mail(target=VIP4, timeout_s=240)

    # A port's only card: the data plane ends in order, and comes back with the card.
    guest.unplug("back")
    machine.wait_unplugged(back)
    machine.wait_said(f"port back: the kernel takes {back} away, and there is no port without it")
    machine.wait_said(f'port back: device "{back}" is not there')
    guest.plug("back")
    guest.run(f"until [ -e /sys/bus/pci/devices/{back} ]; do sleep 0.2; done")
    machine.bind(back)
    machine.wait_healthy("with the card put back")
    require_kept(held)


@pytest.mark.timeout(1200)
def test_bond_of_cards_outlives_cables_and_cards(appliance):
    """Of virtio, as the emulated Intel card and vmxnet3 have an interrupt for the link that does not come."""
    check_bond(appliance, "virtio")
