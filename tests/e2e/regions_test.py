# SPDX-License-Identifier: Apache-2.0
"""Two regions with the shipped configuration, and real mail in both while parts of them die: who was with something else sees nothing."""
import io
import shutil
import subprocess
import sys

import pytest

from lab.anycast import BFD
from lab.etcd import REGISTER
from lab.lab import Lab
from lab.region_hosts import EXAMPLES, VIP, VIPS
from lab.regions import World
from lab.regions_mail import Traffic, is_allowed
from lab.regions_show import Show, Steps
from lab.screen import Screen
from lab.shell import run, wait_until


@pytest.fixture
def world():
    with Lab(backends=0, clients=0) as lab:
        made = World(lab, BFD)
        made.build()
        made.start()
        yield made
        made.stop()


def require_nothing_wrong(traffic):
    assert not traffic.wrong, [(event.title, end) for event, end in traffic.wrong]
    for region, outcome in traffic.finish().items():
        assert outcome.is_good, (region, outcome)


def test_a_node_dies_and_then_a_region(world):
    traffic = Traffic(world)
    traffic.start()
    quiet = traffic.during("nothing happens", lambda: None, seconds=4)
    for region, seen in quiet.seen.items():
        assert set(seen.by) == {region}, f"clients of {region} are served by {seen.by}"
    steps = Steps(world)
    event = traffic.during(*steps.node_dies())
    assert set(event.seen["north"].by) == {"north"} and not event.seen["north"].cut, event.seen
    assert world.nodes[1].balancer.counters()["flows_resumed"] > 0, "the other node has taken sessions over"

    def region_dies():
        steps.region_dies()[1]()
        world.wait_led("south", "north")
        wait_until(lambda: world.clients["south"].bird.say(f"show route primary {VIP}/32").count("far") == 1, 60, "and so does BGP")
    event = traffic.during("region south dies", region_dies, steps.region_dies()[2])
    assert event.seen["south"].by.get("north"), event.seen
    fleet = world.nodes[1].balancer.ctl("fleet")
    assert "cluster" in fleet, f"two of three members of etcd are left: {fleet}"
    require_nothing_wrong(traffic)


@pytest.mark.long
def test_all_that_the_demo_does_costs_nobody_a_session():
    said = io.StringIO()
    with Lab(backends=0, clients=0) as lab:
        assert Show(Screen(said)).run(lab, BFD), said.getvalue()
    assert "Sessions ended with their own mail servers and with nothing else." in said.getvalue()


def test_who_may_be_cut():
    assert is_allowed("south-mta1", ("south", "")) and is_allowed(None, ("south", ""))
    assert not is_allowed("north-mta1", ("south", "")) and not is_allowed(None, ("south",)) and not is_allowed("south-mta1", ())


# Those that include the others.
BIRD_FILES = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.conf") if "router id" in path.read_text())


@pytest.mark.parametrize("name", BIRD_FILES)
def test_bird_takes_the_shipped_files(name):
    run("bird", "-p", "-c", EXAMPLES / name)


def test_bind_takes_the_shipped_files(tmp_path):
    (tmp_path / "keys").write_text("".join(run("tsig-keygen", region) for region in VIPS))
    for region in VIPS:
        (tmp_path / f"{region}.zone").write_text((EXAMPLES / "dns/example.net.zone").read_text())
    text = (EXAMPLES / "dns/named.conf").read_text()
    for old, new in (("/etc/bind/sluice.keys", str(tmp_path / "keys")), ("/var/lib/bind", str(tmp_path))):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "named.conf"
    path.write_text(text)
    assert "loaded serial 1" in run("named-checkconf", "-z", path)


@pytest.mark.parametrize("region", VIPS)
def test_a_mail_server_takes_its_file(tmp_path, region):
    text = (EXAMPLES / f"mta/register-{region}.conf").read_text()
    path = tmp_path / "register.conf"
    path.write_text("\n".join(line for line in text.splitlines() if "/etc/sluice/" not in line or line.startswith("#")))
    done = subprocess.run([sys.executable, REGISTER, "--check", "--config", path], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and f"/sluice/mx/backends/mta-{region}/{region}-mta1" in done.stdout, done.stderr


def test_postfix_takes_its_files(tmp_path):
    for name in ("main.cf", "master.cf"):
        shutil.copy(EXAMPLES / "mta" / name, tmp_path)
    for what in ("-n", "-M", "-P"):
        done = subprocess.run(["postconf", "-c", tmp_path, what], text=True, capture_output=True, timeout=60)
        assert done.returncode == 0 and done.stdout and not done.stderr, done.stderr
    services = {line.split()[0] for line in run("postconf", "-c", tmp_path, "-M").splitlines() if line.split()[1] == "inet"}
    assert services == {"smtp", "submission", "submissions"}


def test_the_shell_takes_what_keeps_the_name_server_right():
    run("sh", "-n", EXAMPLES / "dns/dns-update")
    run("sh", "-euc", f". {EXAMPLES / 'dns/dns-update.conf'}")
