# SPDX-License-Identifier: Apache-2.0
"""An emulated machine on which an operator sets the installed package up, as docs/installing.md says, within a lab."""
import json

from lab.balancer import EXAMPLE
from lab.network import balancer_addresses, ip
from lab.shell import wait_until

from . import steps
from .guest import Guest

HUGE_PAGES = 190
CONFIG = "/etc/sluice/edge1.cfg"
LOGS = {"journal.log": "journalctl -b --no-pager -o short-monotonic -u 'sluice-*'",
        "status.json": f"sluicectl --config {CONFIG} status --json",
        "metrics.txt": r"""bash -c 'exec 9<>/dev/tcp/127.0.0.1/9125 || exit 1; printf "GET /metrics HTTP/1.0\r\n\r\n" >&9; cat <&9'"""}
DEVICES = ("net_af_xdp0,iface=lb-front", "net_af_xdp1,iface=lb-back")  # of the lab's file, front first


def replaced(text, *changes):
    for old, new in changes:
        assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
        text = text.replace(old, new, 1)
    return text


class Appliance:
    """A lab whose balancer is the machine. `machine`: what Guest is told besides."""

    def __init__(self, lab, directory, disk, cards, mtu=1500, **machine):
        self.lab = lab
        self.directory = directory
        self._mtu = mtu
        if mtu != 1500:
            self._set_lab_mtu()
        self.guest = Guest(lab, directory, *disk, cards, mtu=mtu, **machine)
        self._number_of_cards = len(cards)
        self.cards = []

    def _set_lab_mtu(self):
        network = self.lab.network
        switch = ["front", "back", *(f"client{i}" for i in range(len(network.clients))), *(f"mta{i + 1}" for i in range(len(network.backends)))]
        for namespace, devices in ((network.wires, switch), *((end, ["eth0"]) for end in (*network.clients, *network.backends))):
            ip(namespace, *(f"link set {device} mtu {self._mtu}" for device in devices))

    def boot(self):
        """Until the machine takes commands."""
        self.guest.wait()
        self.cards = self.guest.cards()
        assert len(self.cards) == self._number_of_cards, self.cards

    def configure(self, workers=1, lcores=None, changes=()):
        """Writes the file and the addresses. `changes`: pairs of old and new text of the file, when it names the cards."""
        lcores = lcores or ("1" if workers == 1 else "0-1")
        mtu = f"mtu = {self._mtu}; " if self._mtu != 1500 else ""
        text = replaced(EXAMPLE.read_text(), ('instance = "lab"', 'instance = "edge1"'), ("hugepages     = false", "hugepages = true"),
                        ("workers       = 1;", f'workers = {workers}; lcores = "{lcores}";'),
                        *((f'device = "{old}";', f'device = "{new}"; {mtu}') for old, new in zip(DEVICES, self.cards)),
                        ("checks:", 'control: { http = "127.0.0.1:9125"; };\n\nchecks:'))
        # An emulated machine beside others takes its time, and a server that does not answer in time has died.
        text = replaced(text.replace("connect_timeout = 1.0;", "connect_timeout = 10.0;"), *changes)
        self.guest.write(CONFIG, text)
        self.guest.write("/etc/sluice/edge1.addresses", "\n".join(balancer_addresses("slf0", "slb0")))

    def bind(self, *cards):
        """Huge pages, and the cards for DPDK."""
        self.guest.run(steps.bind(cards or self.cards, HUGE_PAGES), timeout_s=300)

    def start(self):
        self.guest.run(steps.start(), timeout_s=300)
        self.wait_healthy("after the start")

    def set_up(self, **configuration):
        """All that an operator does: card, file, start."""
        self.boot()
        self.bind()
        self.configure(**configuration)
        self.start()

    def status(self):
        return json.loads(self.guest.run(LOGS["status.json"]))

    def healthy(self):
        """Whether every backend is up; None as long as nobody can say."""
        said = self.guest.run(LOGS["status.json"], check=False)
        if not said.startswith("{"):
            return None
        status = json.loads(said[:said.rindex("}") + 1])
        return status["dataplane"].get("settled") and all(entry["state"] == "up" for entry in status["backends"])

    def wait_healthy(self, when):
        wait_until(self.healthy, 120, f"every backend up, as seen from the machine, {when}", interval_s=1)

    def port(self, name):
        (found,) = [port for port in self.status()["ports"] if port["name"] == name]
        return found

    def carry(self):
        """The cards through which the bonded port's packets go."""
        told = self.port("front")["dataplane"]
        return [member["device"] for member in told["members"] if member["carries"]] if told else []

    def wait_carries(self, *cards):
        wait_until(lambda: self.carry() == list(cards), 60, f"{cards} carry", interval_s=0.5)

    def wait_link(self, up):
        """Until status and the kernel's twin both have it."""
        def seen():
            carrier = self.guest.run("cat /sys/class/net/slf0/carrier")
            return self.port("front")["state"] == ("up" if up else "link down") and carrier == str(int(up))
        wait_until(seen, 60, f"the link of front {'up' if up else 'down'}", interval_s=0.5)

    def journal(self, process="dataplane"):
        return self.guest.run(f"journalctl -b --no-pager -u sluice-{process}@edge1")

    def wait_said(self, text):
        """Until the data plane has said it."""
        wait_until(lambda: text in self.journal(), 120, f"the data plane says {text!r}", interval_s=1)

    def wait_unplugged(self, card):
        wait_until(lambda: self.guest.run(f"[ -e /sys/bus/pci/devices/{card} ] || echo gone") == "gone", 60, f"{card} is let go", interval_s=0.5)

    def require_mail(self, **plan):
        sent = self.lab.mailer(sessions=10, concurrency=5, **plan).wait()
        assert len(sent.confirmed) == 10, sent.summary()

    def bring_back(self):
        """Logs, status and metrics, beside the console's log."""
        for name, command in LOGS.items():
            (self.directory / name).write_text(self.guest.run(command, check=False))
