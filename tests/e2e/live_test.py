# SPDX-License-Identifier: Apache-2.0
"""What an operator changes while sessions are open: another file, backends by hand. Nobody who need not notice does."""
import json
import re
import signal
import time

import pytest

from lab.network import VIP4
from lab.shell import wait_until

OPEN = 1000


def address(index):
    return f'address = "10.0.1.{10 + index}";'


@pytest.fixture
def running(lab, config):
    """The lab with greeters, over a configuration that the test may rewrite: returns a function that does."""
    lab.start_greeters(25, 587, 465, 2525)
    path = config()
    lab.start_balancer(path)

    def rewrite(*replacements):
        text = path.read_text()
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new, 1)
        path.write_text(text)
        return path
    return rewrite


def hold_open(lab, count=OPEN):
    held = lab.mailer(target=VIP4, sessions=count, messages=0, hold="greeted", timeout_s=120, concurrency=count)
    held.wait_open(count, timeout_s=120)
    return held


def let_go(held):
    held.go()
    return held.wait()


def new_sessions(lab, count=90):
    """Backends that greeted `count` sessions opened now."""
    mailer = lab.mailer(target=VIP4, sessions=count, messages=0).wait()
    assert mailer.outcomes == {"delivered": count}, mailer.summary()
    return mailer.backends()


def events(lab):
    return [f"{event['kind']} {event['subject']}: {event['text']}"
            for event in json.loads(lab.balancer.ctl("events", "--json"))["events"]]


def test_a_reload_with_a_thousand_open_sessions_loses_none(lab, running):
    held = hold_open(lab)
    running((address(0), address(0) + " weight = 300;"),
            ('{ name = "relay"; ', '{ name = "extra"; vip = "192.0.2.25"; port = 2525; pool = "mta"; },\n  { name = "relay"; '))
    before = lab.balancer.status()["configuration"]["loaded"]
    lab.balancer.control.process.send_signal(signal.SIGHUP)
    wait_until(lambda: lab.balancer.status()["configuration"]["loaded"] != before, 10, "reloaded")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    share = new_sessions(lab, 300)
    assert share["mta1"] > 300 * 0.5, f"weight 300 of 500 gets {share}"
    lab.balancer.wait_healthy()
    extra = lab.mailer(target=VIP4, doors=[[2525, "plain"]], sessions=20, messages=0).wait()
    assert extra.outcomes == {"delivered": 20}, "the new service"
    assert let_go(held).outcomes == {"delivered": OPEN}, held.summary()


def test_a_backend_that_the_new_file_leaves_out_costs_the_sessions_that_diff_foretold(lab, running):
    running(('check = "greeting";', 'check = "greeting"; on_removal = "reset";'))
    lab.balancer.ctl("reload")
    held = hold_open(lab, 200)
    of_victim = held.backends()["mta3"]
    without = (f',\n      {{ name = "mta3"; {address(2)} }}', "")
    path = lab.directory / "next.cfg"
    path.write_text(lab.balancer.config.read_text().replace(*without, 1))
    plan = json.loads(lab.balancer.ctl("diff", str(path), "--json"))
    assert plan["flows_cut"] == of_victim, plan["cuts"]
    then = {share["backend"]: share["after"] for share in plan["shares"] if share["service"] == "relay"}
    assert then["mta/mta3:25"] == 0 and then["mta/mta1:25"] == pytest.approx(0.5, abs=0.01), then
    assert "mta/mta3" in lab.balancer.ctl("diff", str(path))
    assert "mta3" in new_sessions(lab), "a diff changes nothing"
    running(without)
    assert f"Open flows that are cut: {of_victim}" in lab.balancer.ctl("reload")
    wait_until(lambda: len(held.ended) >= of_victim, 10, "the victim's sessions told")
    assert "mta3" not in new_sessions(lab)
    let_go(held)
    assert held.outcomes == {"delivered": 200 - of_victim, "reset": of_victim}, held.summary()
    assert {event["backend"] for event in held.ended if event["outcome"] == "reset"} == {"mta3"}


def test_a_faulty_file_changes_nothing_and_says_why(lab, running):
    before = lab.balancer.status()["configuration"]
    path = running(('pool = "mta"; check = "handshake"', 'pool = "mtaa"; check = "handshake"'), (address(1), ""))
    # The file cannot lead sluicectl to the instance now, but there is only one.
    alone = ("--socket", lab.balancer.runtime / "lab" / "control.sock")
    wanted = (r"changed\.cfg:\d+: pools\[0\]\.backends\[1\]\.address: is missing",
              r"changed\.cfg:\d+: services\[2\]\.pool: there is no pool \"mtaa\"")
    for words in (("reload",), ("diff", str(path))):
        done = lab.balancer.ctl_run(*words, instance=alone)
        assert done.returncode == 1 and "nothing has changed" in done.stderr, done
        assert all(re.search(fault, done.stderr) for fault in wanted), done.stderr
    lab.balancer.control.process.send_signal(signal.SIGHUP)

    def refusals():
        answer = json.loads(lab.balancer.ctl_run("events", "--json", instance=alone).stdout)
        return [event["text"] for event in answer["events"] if "refused, nothing has changed" in event["text"]]
    wait_until(lambda: len(refusals()) == 2, 10, "both refusals in the journal")
    assert all("(and 1 more)" in text for text in refusals())
    said = lab.balancer.control.log_path.read_text()
    assert all(re.search(fault, said) for fault in wanted), said[-2000:]
    status = json.loads(lab.balancer.ctl_run("status", "--json", instance=alone).stdout)
    assert status["configuration"]["loaded"] == before["loaded"] and "changed.cfg" in status["configuration"]["fault"]
    assert set(new_sessions(lab)) == {"mta1", "mta2", "mta3"}


def test_a_drain_with_a_thousand_open_sessions_loses_none_even_when_control_is_killed(lab, running):
    held = hold_open(lab)
    lab.balancer.ctl("drain", "mta/mta1")
    lab.balancer.kill_control()
    lab.balancer.start_control()
    wait_until(lambda: lab.balancer.backend("mta", "mta1", 25)["state"] == "draining", 10, "still draining")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    assert "mta1" not in new_sessions(lab)
    assert any("mta/mta1: draining by hand" in event for event in events(lab)), "the journal outlives control"
    waiting = lab.balancer.ctl_start("drain", "mta/mta1", "--wait")
    assert re.fullmatch(r"\d+ flows left\n", waiting.stdout.readline())
    let_go(held)
    assert held.outcomes == {"delivered": OPEN}, held.summary()
    said, complaints = waiting.communicate(timeout=120)
    assert waiting.returncode == 0 and said.endswith("drained\n"), (said, complaints)
    lab.balancer.ctl("enable", "mta/mta1")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    assert "mta1" in new_sessions(lab)
    lab.balancer.require_counter_law()


def test_no_new_session_reaches_a_backend_soon_after_its_drain_began(lab, running):
    """Within a second, says the guide; the bound leaves room for a machine that is busy."""
    stream = lab.mailer(target=VIP4, sessions=100_000, messages=0, per_second=150, timeout_s=60)
    stream.wait_open(100)
    lab.balancer.ctl("drain", "mta/mta2")
    drained_at = time.monotonic()
    stream.wait_for(lambda mailer: sum(event["time"] > drained_at + 5 for event in mailer.opened) > 100, 60, "sessions after it")
    stream.stop()
    stream.wait()
    assert set(stream.outcomes) == {"delivered"}, stream.summary()
    late = [event for event in stream.opened if event["backend"] == "mta2" and event["time"] > drained_at + 5]
    assert not late, f"{len(late)} sessions seconds after the drain"


def test_what_a_drain_has_left_at_its_deadline_is_cut_and_counted(lab, config):
    """Whatever the service says of backends that are down: a deadline is a deadline."""
    lab.start_greeters()
    lab.start_balancer(config(('port = 25;  pool = "mta";', 'port = 25;  pool = "mta"; on_backend_down = "keep";'),
                              ('check = "greeting";', 'check = "greeting"; passive: { enabled = false; };')))  # or they are told
    held = hold_open(lab, 150)
    of_victim = held.backends()["mta1"]
    began = time.monotonic()
    done = lab.balancer.ctl_run("drain", "mta/mta1", "--deadline", "4s", "--wait", timeout_s=60)
    assert done.returncode == 5, done
    assert f"{of_victim} flows cut at the deadline" in done.stderr, done.stderr
    wait_until(lambda: len(held.ended) >= of_victim, 10, "the sessions cut")
    assert all(event["time"] - began > 3.5 for event in held.ended), "none before the deadline"
    backend = lab.balancer.backend("mta", "mta1", 25)
    assert backend["state"] == "disabled" and f"{of_victim} flows cut" in backend["reason"], backend
    let_go(held)
    assert held.outcomes == {"delivered": 150 - of_victim, "reset": of_victim}, held.summary()


def test_weights_pools_and_clear_by_hand(lab, running):
    lab.balancer.ctl("weight", "mta/mta1", "0")
    lab.balancer.ctl("disable", "mta/mta2:25")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    assert set(new_sessions(lab)) == {"mta3"}
    lab.balancer.ctl("reload")
    assert set(new_sessions(lab)) == {"mta3"}, "changes by hand outlive a reload"
    entries = {entry["backend"]: entry for entry in lab.balancer.status()["by_hand"]}
    assert entries["mta/mta1"]["weight"] == 0 and entries["mta/mta2:25"]["admin"] == "disabled"
    lab.balancer.ctl("pool", "mta", "drain")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    refused = lab.mailer(target=VIP4, sessions=5, messages=0, timeout_s=5).wait()
    assert "delivered" not in refused.outcomes, "the whole pool drains"
    lab.balancer.ctl("clear", "--all")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    assert set(new_sessions(lab)) == {"mta1", "mta2", "mta3"}
    assert lab.balancer.status()["by_hand"] == []


@pytest.mark.parametrize("words, code", [
    (("drain", "mta9"), 4), (("drain", "mta1"), 4), (("drain", "mta/mta1:26"), 4), (("drain", "mta/mta1", "--deadline", "soon"), 2),
    (("weight", "mta/mta1", "-1"), 2), (("weight", "mta/mta1", "99999999999999999999"), 2), (("weight", "mta/mta1"), 2),
    (("pool", "mta", "explode"), 2), (("pool", "nowhere", "drain"), 4), (("clear",), 2), (("warmup", "mta/mta1"), 4),
    (("warmup", "mta/mta1", "pause"), 1), (("explain", "192.0.2.7", "relay"), 1), (("explain", "192.0.2.7:1", "nothing"), 4),
    (("diff", "/nowhere.cfg"), 1), (("drain", "x" * 5000), 4)])
def test_bad_words_are_refused_with_a_reason(shared_lab, words, code):
    done = shared_lab.balancer.ctl_run(*words)
    assert done.returncode == code, done
    assert done.stderr.strip() and "json" not in done.stderr.lower(), done.stderr


@pytest.fixture(scope="module")
def shared_lab():
    from lab.lab import Lab
    with Lab() as made:
        made.start_greeters()
        made.start_balancer()
        yield made


def test_explain_foretells_where_connections_go(shared_lab):
    mailer = shared_lab.mailer(target=VIP4, sessions=30, messages=0).wait()
    for event in mailer.opened:
        client = "{}:{}".format(*event["local"])
        answer = json.loads(shared_lab.balancer.ctl("explain", client, "relay", "--json"))
        assert answer["backend"] == f"mta/{event['backend']}:25", (client, answer)
    text = shared_lab.balancer.ctl("explain", client, "relay")
    assert "rule: hash of the client's address and port" in text and "its entries are others" in text, text


def test_explain_knows_the_flow_that_is_open(shared_lab):
    if "flows" not in shared_lab.balancer.ctl("--help"):
        pytest.skip("this build does not list flows")
    held = hold_open(shared_lab, 6)
    shared_lab.balancer.ctl("drain", "mta/mta1")
    try:
        for event in held.opened:
            client = "{}:{}".format(*event["local"])
            answer = json.loads(shared_lab.balancer.ctl("explain", client, "relay", "--json"))
            assert answer["live_flow"]["backend"] == f"mta/{event['backend']}", answer["live_flow"]
            assert answer["backend"] != "mta/mta1:25", "a new one would go elsewhere"
        assert "it stays there" in shared_lab.balancer.ctl("explain", client, "relay")
    finally:
        shared_lab.balancer.ctl("enable", "mta/mta1")
    let_go(held)
    assert held.outcomes == {"delivered": 6}, held.summary()


def test_a_warm_up_is_previewed_paused_and_rolled_back(lab, config):
    lab.start_greeters()
    start = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 9 * 86400))
    plan = f'warm_up: {{ start = "{start}"; days = 20; from = 0.1; }};'
    lab.start_balancer(config((address(0), f"{address(0)} {plan}")))
    shown = json.loads(lab.balancer.ctl("warmup", "mta/mta1", "--json"))
    assert shown["today"] == 10 and shown["factor"] == pytest.approx(0.1 + 0.9 * 9 / 20), shown
    assert len(shown["days"]) == 21 and shown["days"][20]["share"] == pytest.approx(1 / 3), shown["days"][20]
    assert "day 10 of 20" in lab.balancer.ctl("warmup", "mta/mta1")
    assert "paused by hand on day 10 of 20" in lab.balancer.ctl("warmup", "mta/mta1", "pause")
    assert "paused by hand on day 7 of 20" in lab.balancer.ctl("warmup", "mta/mta1", "rollback", "--days", "3")
    assert "day 7 of 20" in lab.balancer.ctl("warmup", "mta/mta1", "resume")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")
    factor = 0.1 + 0.9 * 6 / 20
    share = new_sessions(lab, 1500)["mta1"] / 1500
    assert share == pytest.approx(factor / (2 + factor), abs=0.04)
