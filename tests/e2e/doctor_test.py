# SPDX-License-Identifier: Apache-2.0
"""The doctor on a machine that runs: what is provoked in its namespace, and in those of mail servers, is found, and is gone when it is
put right."""
import json

import pytest

from lab.balancer import Balancer
from lab.network import BALANCER_BACK, VIP4, VIP6, ip, sysctl
from lab.shell import wait_until


def findings(balancer, code=0, within=()):
    """{topic: (grade, found, advice)} of what the doctor says. `code`: how it ends, None if it does not matter."""
    done = balancer.ctl_run("doctor", "--json", within=within)
    assert code in (None, done.returncode), done.stdout + done.stderr
    return {entry["topic"]: (entry["grade"], entry["found"], entry["advice"]) for entry in json.loads(done.stdout)["findings"]}


def wait_found(balancer, topic, grade, text=""):
    """Waits until the doctor finds that, in whose words `text` is, and returns all that it finds then: a busy machine may lose a probe."""
    def look():
        found = findings(balancer, code=None)
        return found if topic in found and found[topic][0] == grade and text in found[topic][1] else None
    return wait_until(look, 30, f"the doctor finds {grade} {topic}")


def test_the_doctor_finds_what_is_wrong_with_the_machine(lab):
    lab.start_greeters()
    lab.start_balancer()
    namespace = lab.balancer.network.balancer
    topic = "rp_filter, port back"

    sysctl(namespace, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.slb0.rp_filter=0", "net.ipv4.conf.slf0.rp_filter=0")
    well = findings(lab.balancer)
    assert well[topic][0] == "ok"
    for name in ("VIPs", "link, port front", "link, port back", "data plane", "open files", "huge pages"):
        assert well[name][0] == "ok", (name, well)

    sysctl(namespace, "net.ipv4.conf.slb0.rp_filter=1")
    grade, found, advice = findings(lab.balancer)[topic]
    assert grade == "warn" and "strict" in found and "net.ipv4.conf.slb0.rp_filter=2" in advice
    text = lab.balancer.ctl("doctor")
    assert f"warn  {topic}: 1 (strict) on slb0" in text and "      -> sysctl net.ipv4.conf.slb0.rp_filter=2" in text
    sysctl(namespace, "net.ipv4.conf.slb0.rp_filter=2")
    assert findings(lab.balancer)[topic][0] == "ok"

    ip(namespace, "link set slf0 down")
    assert findings(lab.balancer, code=1)["link, port front"][:2] == ("fail", "slf0 is down")
    ip(namespace, "link set slf0 up")
    assert findings(lab.balancer)["link, port front"][0] == "ok"


def send(lab, **plan):
    lab.mailer(target=VIP4, doors=[[25, "plain"]], sessions=120, messages=0, **plan).wait()


def test_the_doctor_sees_answers_come_back(lab):
    lab.start_greeters()
    lab.start_balancer()
    send(lab)
    assert findings(lab.balancer)["gateways"] == ("ok", "answers of 3 mail servers' ports come back through us", "")


def test_the_doctor_sees_servers_whose_gateway_is_another(lab):
    """All is well for the checks, which the servers answer on their own network."""
    lab.network.forget_the_way_back()
    lab.start_greeters()
    lab.start_balancer()
    send(lab, timeout_s=3)
    found = findings(lab.balancer, code=1)
    for name in ("mta1", "mta2", "mta3"):
        grade, text, advice = found[f"gateway of mta/{name}"]
        assert grade == "fail" and "not one answer came back through us" in text and "ip route" in advice
    assert "gateways" not in found


ASKED = ("VIPs on links", "VIPs on mail servers")
ALL_SILENT = "nobody else answers for them on slf0, slb0"
ALL_ANSWER = "answer at 18 mail servers' ports"  # three servers, three ports, two families


def start_one_way(lab, config, forwarding):
    """A lab whose mail servers have the VIPs, as they have to with dsr and tunnels."""
    lab.network.answer_directly()
    lab.start_greeters()
    if forwarding != "dsr":
        lab.start_decapsulators()
    lab.start_balancer(config(('pool = "mta";', f'pool = "mta"; forwarding = "{forwarding}";'),
                              ('pool = "mta6";', f'pool = "mta6"; forwarding = "{forwarding}";')))


def require_well(lab):
    found = wait_found(lab.balancer, "VIPs on mail servers", "ok", ALL_ANSWER)
    assert found["VIPs on links"] == ("ok", ALL_SILENT, "")


def test_the_doctor_names_the_server_that_answers_for_a_vip(lab, config):
    start_one_way(lab, config, "dsr")
    require_well(lab)
    first, _, third = lab.network.backends

    sysctl(first, "net.ipv4.conf.all.arp_ignore=0")
    found = wait_found(lab.balancer, f"VIP {VIP4} on slb0", "fail", "answers ARP for it")
    assert "mta/mta1" in found[f"VIP {VIP4} on slb0"][1] and "arp_ignore=1" in found[f"VIP {VIP4} on slb0"][2]
    # By its link to the clients nobody knows it: the MAC address is another.
    assert wait_found(lab.balancer, f"VIP {VIP4} on slf0", "warn", "answers ARP for it, too")
    sysctl(first, "net.ipv4.conf.all.arp_ignore=1")

    ip(third, f"address add {VIP6}/128 dev eth0 nodad")
    found = wait_found(lab.balancer, f"VIP {VIP6} on slb0", "fail", "answers neighbour discovery for it")
    assert "mta6/mta3" in found[f"VIP {VIP6} on slb0"][1]
    ip(third, f"address del {VIP6}/128 dev eth0")
    require_well(lab)
    lab.balancer.require_counter_law()


def test_the_doctor_finds_the_server_that_has_no_vip(lab, config):
    """Checks find nothing wrong with it, and no client would be answered by it."""
    start_one_way(lab, config, "dsr")
    require_well(lab)
    second = lab.network.backends[1]
    topic = f"VIP {VIP4} on mta/mta2"

    ip(second, f"address del {VIP4}/32 dev lo")
    sysctl(second, "net.ipv4.ip_forward=1")  # it passes on what is not for it
    found = wait_found(lab.balancer, topic, "fail", "by dsr")
    assert "it is well at 10.0.1.11, where checks go" in found[topic][1]
    assert f"ip address add {VIP4}/32 dev mailvip" in found[topic][2]
    assert found["VIPs on mail servers"][1] == "answer at 15 mail servers' ports"
    counters = lab.balancer.require_counter_law()
    assert counters["flows_created"] == 0, "a question came round to us as a client's"
    ip(second, f"address add {VIP4}/32 dev lo")
    require_well(lab)


@pytest.mark.parametrize("forwarding", ["ipip", "gue"])
def test_the_doctor_asks_through_tunnels(lab, config, forwarding):
    start_one_way(lab, config, forwarding)
    require_well(lab)
    (far_end,) = [service for service in lab.services if service.name == "decapsulator mta1"]
    far_end.stop()
    topic = f"VIP {VIP6} on mta6/mta1"
    found = wait_found(lab.balancer, topic, "fail", f"by {forwarding}")
    assert f"a device that unpacks {forwarding}" in found[topic][2]
    lab.balancer.require_counter_law()


def test_the_doctor_says_when_it_may_not_ask(lab, config):
    start_one_way(lab, config, "dsr")
    found = findings(lab.balancer, within=("setpriv", "--bounding-set=-net_raw", "--inh-caps=-net_raw"))
    for topic in ASKED:
        grade, text, advice = found[topic]
        assert grade == "warn" and "Operation not permitted" in text and "CAP_NET_RAW" in advice


def test_the_doctor_asks_servers_without_sessions_for_their_gateway(lab):
    lab.start_greeters()
    lab.start_balancer()
    found = wait_found(lab.balancer, "gateways, asked", "ok", "answers of 6 mail servers to 192.0.2.2 and 2001:db8:25::2")
    assert "gateways" not in found, "nobody has had a session"
    # To our address on the clients' side by another way than through us.
    ip(lab.network.backends[0], "route add 192.0.2.2/32 via 10.0.1.12")
    # No way at all.
    ip(lab.network.backends[1], f"route del default via {BALANCER_BACK[1]}")
    found = wait_found(lab.balancer, "gateway of mta/mta1", "fail", "no SYN from 192.0.2.2")
    assert found["gateway of mta6/mta2"][0] == "fail"
    assert "ip route" in found["gateway of mta/mta1"][2]
    assert found["gateways, asked"][1].startswith("answers of 4 mail servers")
    lab.balancer.require_counter_law()


def test_the_doctor_sees_an_answer_that_comes_by_another_way(lab):
    """A mail server has a link of its own to the clients."""
    lab.network.answer_directly()
    lab.start_greeters()
    lab.start_balancer()
    for name in ("mta1", "mta2", "mta3"):
        found = wait_found(lab.balancer, f"gateway of mta/{name}", "fail", "it came back by slf0, not slb0")
    assert "gateways, asked" not in found


def test_the_doctor_looks_at_a_machine_on_which_nothing_runs_yet(lab):
    found = findings(Balancer(lab.network, lab.directory / "balancer"))
    for name in ("control", "link, port front", "VIPs"):
        assert found[name][0] == "warn", (name, found)
