# SPDX-License-Identifier: Apache-2.0
"""The doctor on a machine that runs: what is provoked in the balancer's namespace is found, and is gone when it is put right."""
import json

from lab.balancer import Balancer
from lab.network import VIP4, ip, sysctl


def findings(balancer, code=0):
    """{topic: (grade, found, advice)} of what the doctor says."""
    done = balancer.ctl_run("doctor", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    return {entry["topic"]: (entry["grade"], entry["found"], entry["advice"]) for entry in json.loads(done.stdout)["findings"]}


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


def test_the_doctor_looks_at_a_machine_on_which_nothing_runs_yet(lab):
    found = findings(Balancer(lab.network, lab.directory / "balancer"))
    for name in ("control", "link, port front", "VIPs"):
        assert found[name][0] == "warn", (name, found)
