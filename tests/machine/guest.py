# SPDX-License-Identifier: Apache-2.0
"""An emulated machine with network cards, whose other ends are TAPs on a lab's bridges. Everything is computed by QEMU: no help of
the processor's is needed."""
import json
import socket
import time
from typing import NamedTuple

from lab.network import ip
from lab.shell import PATIENCE_S, CommandError, Service, run, tail, wait_until

# What QEMU is told of a card; whether it sits in a slot of its own, behind a port, or on the bus, as old cards do.
MODELS = {
    "e1000e": ("e1000e", True),
    "e1000": ("e1000", False),
    "vmxnet3": ("vmxnet3", True),
    # Without these two a virtio card goes past the IOMMU, and nothing arrives.
    "virtio": ("virtio-net-pci,disable-legacy=on,iommu_platform=on,mq=on,vectors=6,rss=on", True),
}
KERNEL_LINE = "console=ttyS0 quiet panic=-1 root=/dev/vda rw tsc=reliable"
IOMMU_LINE = " intel_iommu=on iommu=pt"
IOMMU = ["-device", "intel-iommu,intremap=on"]
MEMORY_MB = 1536
# A third processor, on a node of its own that has no memory.
BARE_NODE = ["-object", f"memory-backend-ram,id=memory,size={MEMORY_MB}M", "-numa", "node,nodeid=0,cpus=0-1,memdev=memory",
             "-numa", "node,nodeid=1,cpus=2"]
BOOT_S = 300


class Card(NamedTuple):
    """A card of the machine."""
    name: str  # QEMU's; the TAP at its other end is `tap-NAME`
    model: str  # of MODELS
    bridge: str  # of the lab

    def device(self, number):
        """QEMU's options of the card itself; `number`: its place, from 0."""
        device, has_slot = MODELS[self.model]
        bus = f"bus=slot{number}" if has_slot else f"bus=pcie.0,addr=0x1{number}"
        return f"{device},netdev={self.name},id={self.name},mac=52:54:00:00:00:0{number + 1},{bus},romfile="

    def options(self, number):
        """All that QEMU is told of it."""
        queues = ",queues=2" if self.model == "virtio" else ""
        out = ["-netdev", f"tap,id={self.name},ifname=tap-{self.name},script=no,downscript=no{queues}"]
        if MODELS[self.model][1]:
            out += ["-device", f"pcie-root-port,id=slot{number},chassis={number + 1},slot={number + 1},addr=0x{number + 8:x}"]
        return [*out, "-device", self.device(number)]


def two_cards(model):
    return [Card("front", model, "front"), Card("back", model, "back")]


class Guest:
    """Started at once; `wait()` until its shell answers. `iommu`: whether it has one; `bare_node`: a third processor, on a node
    without memory; `mtu`: of the TAPs."""

    def __init__(self, lab, directory, disk, kernel, first_root, cards, iommu=True, bare_node=False, mtu=1500):
        self.directory = directory
        self.console = directory / "console.log"
        self._cards = cards
        command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-M", "q35", "-accel", "tcg,thread=multi",
                   "-cpu", "max", "-smp", "3" if bare_node else "2", "-m", str(MEMORY_MB), "-kernel", kernel, "-initrd", first_root,
                   "-append", KERNEL_LINE + (IOMMU_LINE if iommu else ""),
                   "-serial", f"file:{self.console}", "-serial", f"unix:{directory}/shell,server=on,wait=off",
                   "-qmp", f"unix:{directory}/monitor,server=on,wait=off",
                   *(IOMMU if iommu else []), *(BARE_NODE if bare_node else []),
                   "-drive", f"file={disk},if=none,id=disk,format=raw,snapshot=on", "-device", "virtio-blk-pci,drive=disk,disable-legacy=on"]
        for number, card in enumerate(cards):
            command += card.options(number)
        self.service = Service("qemu", command, directory / "qemu.log", lab.network.wires)
        self._shell = self._monitor = None
        wait_until(lambda: self._alive() and self._has_opened(lab.network.wires), 30, "qemu's sockets and TAPs")
        for card in cards:
            ip(lab.network.wires, f"link set tap-{card.name} mtu {mtu} master {card.bridge} up")
        self._shell = self._connect("shell")
        self._monitor = self._connect("monitor").makefile("rw")
        self._monitor.readline()  # its greeting
        self.order("qmp_capabilities")

    def _alive(self):
        if self.service.running():
            return True
        raise CommandError(f"qemu ended; it said:\n{tail(self.service.log_path)}\nits console:\n{tail(self.console, 40)}")

    def _has_opened(self, namespace):
        links = run("ip", "-n", namespace, "-brief", "link")
        return (self.directory / "monitor").exists() and all(f"tap-{card.name}" in links for card in self._cards)

    def _connect(self, name):
        out = socket.socket(socket.AF_UNIX)
        out.connect(str(self.directory / name))
        return out

    def wait(self):
        """Until the machine is up and takes commands."""
        self._read_until("READY", BOOT_S)

    def _read_until(self, mark, timeout_s):
        deadline, said = time.monotonic() + timeout_s, b""
        self._shell.settimeout(1)
        while mark.encode() not in said:
            self._alive()
            if time.monotonic() > deadline:
                raise CommandError(f"no {mark} within {timeout_s} s; so far: {said[-2000:].decode(errors='replace')}; "
                                   f"the console ends:\n{tail(self.console, 40)}")
            try:
                said += self._shell.recv(65536)
            except TimeoutError:
                pass
        return said.decode(errors="replace").replace("\r", "")

    def run(self, command, timeout_s=2 * PATIENCE_S, check=True):
        """Runs a line or more of shell in the machine, and returns what it said."""
        mark = "@@done"
        self._shell.sendall(f"{{ {command}\n}} </dev/null; echo; echo '@@'done $?\n".encode())
        said = self._read_until(mark + " ", timeout_s)
        while not said.endswith("\n"):
            said += self._shell.recv(100).decode().replace("\r", "")
        out, code = said.rsplit(mark + " ", 1)
        if check and int(code) != 0:
            raise CommandError(f"in the machine: {command}: exit code {code.strip()}: {out[-3000:]}")
        return out.strip()

    def write(self, path, text):
        self.run(f"mkdir -p $(dirname {path}); cat > {path} <<'@@end'\n{text}\n@@end\n")

    def order(self, command, **arguments):
        """A command to QEMU itself."""
        self._monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._monitor.flush()
        while True:
            answer = json.loads(self._monitor.readline())
            if "error" in answer:
                raise CommandError(f"qemu: {command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def set_link(self, name, up):
        """Pulls the cable of a card, or puts it back."""
        self.order("set_link", name=name, up=up)

    def unplug(self, name):
        """Has a card removed, as by the button beside its slot: the system is asked to let go of it."""
        self.order("device_del", id=name)

    def plug(self, name):
        """Puts a card back into its slot."""
        (number,) = [number for number, card in enumerate(self._cards) if card.name == name]
        driver, *options = self._cards[number].device(number).split(",")
        self.order("device_add", driver=driver, **dict(option.split("=", 1) for option in options))

    def cards(self):
        """PCI addresses, in the order in which they were given."""
        listed = self.run("for d in /sys/bus/pci/devices/*; do [ $(cat $d/class) = 0x020000 ] && echo ${d##*/}; done; true")
        return sorted(listed.split())

    def stop(self):
        for connection in (self._shell, self._monitor):
            if connection:
                connection.close()
        self.service.stop()
