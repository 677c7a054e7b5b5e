# SPDX-License-Identifier: Apache-2.0
"""What keeps the data plane from its cards is told in words, with what to do; and the way without an IOMMU, where there is none."""
import pytest

from lab.network import VIP4, VIP6

from .guest import two_cards

UNIT = "sluice-dataplane@edge1"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d/uio.conf"


def require_refusal(machine, *texts):
    """The data plane does not start, and says why."""
    said = machine.guest.run("/usr/lib/sluice/prepare-instance edge1; timeout 60 sluice-dataplane --config /etc/sluice/edge1.cfg 2>&1", timeout_s=120, check=False)
    for text in texts:
        assert text in said, said


@pytest.mark.timeout(1200)
def test_what_is_missing_is_told_and_uio_is_the_way_without_an_iommu(appliance):
    machine = appliance(two_cards("vmxnet3"), iommu=False, bare_node=True)
    machine.boot()
    guest, card = machine.guest, machine.cards[0]
    machine.configure()
    require_refusal(machine, "memory_mb = 256 MiB of free huge pages, and 0 MiB are free; reserve more (`sysctl")

    # Pages are there; the kernel's driver has the card, and nothing else could take it.
    machine.guest.run("echo 190 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; modprobe vmxnet3")
    require_refusal(machine, f'port front: device "{card}" is the kernel\'s (vmxnet3), and there is no IOMMU', "boot with intel_iommu=on iommu=pt")
    said = guest.run("sluicectl --config /etc/sluice/edge1.cfg doctor", check=False)
    assert f"{card} is the kernel's (vmxnet3)" in said, said

    # What the document says for a machine with an IOMMU fails in words, too.
    said = guest.run(f"/usr/lib/sluice/bind-card {card} vfio-pci 2>&1", check=False)
    assert "is behind no IOMMU: turn it on in the firmware, and boot with intel_iommu=on iommu=pt" in said, said

    # A worker on a node that has no memory.
    machine.configure(lcores="2")
    require_refusal(machine, "CPU 2 of a worker is on NUMA node 1, where 0 MiB of huge pages are free", "choose dataplane.lcores")

    # uio_pci_generic, as docs/installing.md has it: with the drop-in, as root, by physical addresses.
    guest.run(f"modprobe uio_pci_generic; dpdk-devbind.py --bind=uio_pci_generic {' '.join(machine.cards)}", timeout_s=300)
    guest.run(f"install -D -m 644 /usr/share/doc/sluice/examples/uio.conf {DROP_IN}; systemctl daemon-reload")
    machine.configure()
    machine.start()
    assert guest.run(f"ps -o user= -p $(systemctl show -P MainPID {UNIT})") == "root"
    for vip in (VIP4, VIP6):
        machine.require_mail(target=vip)


@pytest.mark.timeout(1200)
@pytest.mark.long
def test_card_that_the_kernel_has_is_told_behind_an_iommu(appliance):
    machine = appliance(two_cards("virtio"))
    machine.boot()
    guest, card = machine.guest, machine.cards[0]
    guest.run("echo 190 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages; modprobe virtio_net")
    machine.configure()
    require_refusal(machine, f'port front: device "{card}" is the kernel\'s (virtio-pci); give it to DPDK',
                    f"modprobe vfio-pci; dpdk-devbind.py --bind=vfio-pci {card}")
    machine.bind()
    machine.start()
    machine.require_mail(target=VIP4)
