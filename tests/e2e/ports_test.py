# SPDX-License-Identifier: Apache-2.0
"""Ports as an operator knows them: a link that goes and comes, and ports that change their place or name."""
import re
import time

import pytest

from lab.mail_client import GREETED
from lab.network import VIP4, VIP6, ip
from lab.prometheus import fetch, samples
from lab.shell import run, tail, wait_until

WITHIN_S = 3.0
MTU = 3000  # AF_XDP's most is a page less its headroom
TIMESTAMPS = 12
FRONT = '{ name = "front"; device = "net_af_xdp0,iface=lb-front"; faces = "clients";  twin = "slf0"; },'
SPARE = '{ name = "spare"; device = "net_null0,no-rx=1"; faces = "clients"; twin = "sls0"; },'
BACK = '{ name = "back";  device = "net_af_xdp1,iface=lb-back";  faces = "backends"; twin = "slb0"; }'


def port(lab, name):
    (found,) = [one for one in lab.balancer.status()["ports"] if one["name"] == name]
    return found


def has_carrier(lab, twin):
    return "NO-CARRIER" not in run("ip", "-n", lab.network.balancer, "link", "show", twin)


def log_of(lab, process):
    return (lab.balancer.directory / f"{process}.log").read_text()


def restart_dataplane(lab):
    lab.balancer.dataplane.stop()
    lab.balancer.start_dataplane()


def test_a_link_that_goes_and_comes_is_seen_everywhere_at_once(lab):
    lab.start_greeters()
    lab.start_balancer()
    back = port(lab, "back")
    assert back["state"] == "up" and back["dataplane"]["driver"] == "net_af_xdp" and back["dataplane"]["mtu"] == 1500, back
    twin = run("ip", "-n", lab.network.balancer, "link", "show", "slb0")
    assert back["dataplane"]["mac"] in twin and "BROADCAST,MULTICAST,UP" in twin, twin
    assert lab.mailer(target=VIP4, sessions=20, messages=0).wait().outcomes == {"delivered": 20}
    wait_until(lambda: port(lab, "back")["dataplane"]["counters"]["tx_packets"] > 20, 5, "card counters renewed")

    for up, word in ((False, "down"), (True, "up")):
        changed_at = time.monotonic()
        ip(lab.network.wires, f"link set lbb {word}")
        wait_until(lambda up=up: has_carrier(lab, "slb0") == up, WITHIN_S, f"the twin's carrier {word}")
        wait_until(lambda up=up: (port(lab, "back")["state"] == "up") == up, WITHIN_S, f"status: link {word}")
        assert f"port back: link {word}" in log_of(lab, "sluice-dataplane"), tail(lab.balancer.directory / "sluice-dataplane.log")
        wait_until(lambda word=word: f"link {word}" in lab.balancer.ctl("events"), WITHIN_S, f"events: link {word}")
        page = samples(fetch(lab.network.balancer, "/metrics"))
        assert page['sluice_port_link_up{port="back",twin="slb0"}'] == (1 if up else 0)
        assert page['sluice_port_link_up{port="front",twin="slf0"}'] == 1, "the other port is not concerned"
        assert time.monotonic() - changed_at < WITHIN_S + 2, "two programs and a scrape come on top"
    assert port(lab, "back")["dataplane"]["link_changes"] == 2
    lab.balancer.wait_healthy()
    assert lab.mailer(target=VIP4, sessions=20, messages=0).wait().outcomes == {"delivered": 20}


def test_a_twin_that_is_given_another_mac_gets_its_cards_again(lab):
    """As udev does with MACAddressPolicy=persistent, if it looks at the new interface at the wrong moment."""
    lab.start_greeters()
    lab.start_balancer()
    mac = port(lab, "back")["dataplane"]["mac"]
    for other in ("02:00:00:00:00:77", "02:00:00:00:00:78"):
        ip(lab.network.balancer, f"link set slb0 address {other}")
        wait_until(lambda: mac in run("ip", "-n", lab.network.balancer, "link", "show", "slb0"), WITHIN_S, "the card's MAC on the twin")
    assert "twin slb0 had been given another MAC address" in log_of(lab, "sluice-dataplane")
    wait_until(lambda: port(lab, "back")["state"] == "up", WITHIN_S, "control takes the port")
    assert lab.mailer(target=VIP4, sessions=20, messages=0).wait().outcomes == {"delivered": 20}


def test_a_port_put_before_another_takes_no_mail_with_it(lab, config):
    lab.start_greeters()
    path = config()
    lab.start_balancer(path)
    before = path.read_text()
    assert FRONT in before and BACK in before
    path.write_text(before.replace(FRONT, f"{FRONT} {SPARE}"))
    assert "dataplane.ports" in lab.balancer.ctl("reload"), "left until the data plane restarts"
    assert lab.mailer(target=VIP4, sessions=20, messages=0).wait().outcomes == {"delivered": 20}
    restart_dataplane(lab)
    wait_until(lambda: {one["name"]: one["state"] for one in lab.balancer.status()["ports"]} ==
               {"front": "up", "spare": "up", "back": "up"}, 20, "every port bound")
    lab.balancer.wait_healthy()
    assert lab.mailer(target=VIP4, sessions=20, messages=0).wait().outcomes == {"delivered": 20}


def test_a_data_plane_with_another_port_is_refused_in_words_until_the_file_is_read(lab, config):
    lab.start_greeters()
    path = config()
    lab.start_balancer(path)
    good = path.read_text()
    path.write_text(good.replace(BACK, BACK.replace('"back"; ', '"rear"; ')))
    restart_dataplane(lab)  # control has not read the file
    wait_until(lambda: port(lab, "back")["state"] == "refused", 20, "refused")
    assert "the data plane has no port of that name; it has front, rear" in port(lab, "back")["reason"]
    assert port(lab, "rear")["state"] == "not ours"
    backend = lab.balancer.backend("mta", "mta1", 25)
    assert backend["state"] == "unreachable" and "port back: the data plane has no port of that name" in backend["reason"]
    assert "no backend is reached through it" in lab.balancer.ctl("events")
    assert samples(fetch(lab.network.balancer, "/metrics"))['sluice_port_refused{port="back",twin="slb0"}'] == 1
    assert "refused" in lab.balancer.ctl("ports")
    lab.balancer.ctl("reload")
    wait_until(lambda: port(lab, "rear")["state"] == "up", 10, "taken up")
    lab.balancer.wait_healthy()
    assert lab.mailer(target=VIP4, sessions=20, messages=0).wait().outcomes == {"delivered": 20}


def test_packets_as_large_as_the_port_says_pass_whole(lab, config):
    network = lab.network
    for namespace, devices in ((network.wires, ("lbf", "lbb", "client0", "mta1", "mta2", "mta3", "front", "back")),
                               (network.clients[0], ("eth0",)), *((backend, ("eth0",)) for backend in network.backends)):
        for device in devices:
            ip(namespace, f"link set {device} mtu {MTU}")
    lab.start_greeters()
    lab.start_balancer(config((FRONT, FRONT.replace("twin", f"mtu = {MTU}; receive_descriptors = 2048; twin")),
                              (BACK, BACK.replace("twin", f"mtu = {MTU}; twin"))))
    assert [port(lab, name)["dataplane"]["mtu"] for name in ("front", "back")] == [MTU, MTU]
    for device in ("slf0", "slb0", "lb-front", "lb-back"):
        assert f"mtu {MTU} " in run("ip", "-n", network.balancer, "link", "show", device), device
    for target, headers in ((VIP4, 40), (VIP6, 60)):
        held = lab.mailer(target=target, sessions=1, messages=0, hold=GREETED)
        held.wait_open(1, 10)
        said = run("ss", "-Htino", "dport", "=", ":25", namespace=network.clients[0])
        sizes = [int(size) for size in re.findall(r" (?:mss|advmss):(\d+)", said)]
        assert max(sizes) >= MTU - headers - TIMESTAMPS, said
        held.go()
        assert held.wait().outcomes == {"delivered": 1}


def test_what_a_device_cannot_do_is_said_at_the_start(lab, config):
    lab.start_greeters()
    path = config((FRONT, FRONT.replace("twin", "mtu = 9000; twin")))
    with pytest.raises(Exception) as refused:
        lab.start_balancer(path)
    assert re.search(r"port front: mtu = 9000 is more than net_af_xdp can carry; allowed: up to \d+", str(refused.value)), refused.value
