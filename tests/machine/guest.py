# SPDX-License-Identifier: Apache-2.0
"""An emulated machine with two network cards, whose other ends are TAPs on a lab's bridges. Everything is computed by QEMU:
no help of the processor's is needed."""
import json
import socket
import time

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
KERNEL_LINE = "console=ttyS0 quiet panic=-1 root=/dev/vda rw intel_iommu=on iommu=pt tsc=reliable"
BOOT_S = 300


class Guest:
    """Started at once; `wait()` until its shell answers. `card`: a name of MODELS."""

    def __init__(self, lab, directory, disk, kernel, first_root, card):
        self.directory = directory
        self.console = directory / "console.log"
        device, slots = MODELS[card]
        command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-M", "q35", "-accel", "tcg,thread=multi",
                   "-cpu", "max", "-smp", "2", "-m", "1536", "-kernel", kernel, "-initrd", first_root, "-append", KERNEL_LINE,
                   "-serial", f"file:{self.console}", "-serial", f"unix:{directory}/shell,server=on,wait=off",
                   "-qmp", f"unix:{directory}/monitor,server=on,wait=off", "-device", "intel-iommu,intremap=on",
                   "-drive", f"file={disk},if=none,id=disk,format=raw,snapshot=on", "-device", "virtio-blk-pci,drive=disk,disable-legacy=on"]
        queues = ",queues=2" if card == "virtio" else ""
        for number, name in enumerate(("front", "back")):
            command += ["-netdev", f"tap,id={name},ifname=tap-{name},script=no,downscript=no{queues}"]
            bus = "bus=pcie.0,addr=0x1%d" % number
            if slots:
                command += ["-device", f"pcie-root-port,id=slot{number},chassis={number + 1},slot={number + 1},addr=0x{number + 8:x}"]
                bus = f"bus=slot{number}"
            command += ["-device", f"{device},netdev={name},id={name},mac=52:54:00:00:00:0{number + 1},{bus},romfile="]
        self.service = Service("qemu", command, directory / "qemu.log", lab.network.wires)
        self._shell = self._monitor = None
        wait_until(lambda: self._alive() and self._has_opened(lab.network.wires), 30, "qemu's sockets and TAPs")
        for name in ("front", "back"):
            ip(lab.network.wires, f"link set tap-{name} master {name} up")
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
        return (self.directory / "monitor").exists() and "tap-front" in links and "tap-back" in links

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

    def cards(self):
        """PCI addresses, front first."""
        listed = self.run("for d in /sys/bus/pci/devices/*; do [ $(cat $d/class) = 0x020000 ] && echo ${d##*/}; done; true")
        return sorted(listed.split())

    def stop(self):
        for connection in (self._shell, self._monitor):
            if connection:
                connection.close()
        self.service.stop()
