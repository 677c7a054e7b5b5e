# SPDX-License-Identifier: Apache-2.0
"""/metrics as Prometheus sees it: a real one scrapes the lab, with the rules and the dashboard that Sluice ships."""
import json
import re

import pytest

from lab.network import VIP4
from lab.prometheus import ROOT, Prometheus, fetch, lint, samples
from lab.shell import wait_until

BOUND_S = 8.192  # of the indicator in config/prometheus/recording.yml
# Of 50 connections: how some of them are met. The rest is greeted at once.
MOODS = {"7": "421 4.3.2 too busy", "19": "close", "31": "554 5.7.1 no", "43": "late"}


@pytest.fixture
def prometheus(lab):
    started = []

    def start():
        started.append(Prometheus(lab.network.balancer, lab.directory / "prometheus"))
        return started[0]
    yield start
    for one in started:
        one.stop()


def test_the_page_passes_promtool_and_agrees_with_the_status(lab):
    lab.start_greeters()
    lab.start_balancer()
    lab.mailer(target=VIP4, sessions=40, messages=0).wait()
    wait_until(lambda: lab.balancer.flows() == 0, 10, "flows closed")
    text = fetch(lab.network.balancer, "/metrics")
    assert lint(text) == ""
    page, status = samples(text), lab.balancer.status()
    assert page["sluice_dataplane_connected"] == 1
    assert page['sluice_service_flows_established_total{service="relay",port="25"}'] == 40
    assert page['sluice_service_greetings_total{service="relay",port="25",code="2xx"}'] == 40
    assert page['sluice_service_greeting_seconds_count{service="relay",port="25"}'] == 40
    assert page['sluice_service_session_seconds_count{service="relay",port="25"}'] == 40
    for backend in status["backends"]:
        labels = f'{{pool="{backend["pool"]}",backend="{backend["name"]}",port="{backend["port"]}"'
        assert page[f'sluice_backend_state{labels},state="up"}}'] == 1
        assert page[f"sluice_backend_effective_weight{labels}}}"] == backend["weight"]["effective"]
        assert page[f"sluice_backend_flows_established_total{labels}}}"] == backend["figures"]["flows_established"]
        for factor in backend["weight"]["factors"]:
            assert page[f'sluice_backend_weight_factor_ratio{labels},factor="{factor["name"]}"}}'] == factor["value"]
    lab.stop_greeter(0)
    lab.balancer.wait_state("mta", "mta1", 25, up=False)
    page = samples(fetch(lab.network.balancer, "/metrics"))
    assert page['sluice_backend_state{pool="mta",backend="mta1",port="25",state="down"}'] == 1
    assert page['sluice_backend_check_result{pool="mta",backend="mta1",port="25",result="dead"}'] == 1
    assert page['sluice_pool_usable_backends{pool="mta",port="25",check="greeting"}'] == 2


def test_the_indicator_agrees_with_what_clients_met(lab, prometheus):
    """Some connections get a 4xx, a 5xx, no greeting, or a late one; the client's own count is the truth."""
    lab.start_greeters(GREETER_MOODS=json.dumps(MOODS))
    lab.start_balancer()
    watcher = prometheus()
    watcher.wait('sluice_service_flows_established_total{service="relay"}', lambda value: value == 0)
    mailer = lab.mailer(target=VIP4, sessions=3000, per_second=150, messages=0, timeout_s=30).wait()
    outcomes = mailer.outcomes
    assert outcomes["refused"] > 50 and outcomes["closed"] + outcomes["reset"] > 20 and "unreachable" not in outcomes, outcomes
    good = sum(event["waited_s"] <= BOUND_S for event in mailer.opened)
    late = len(mailer.opened) - good
    assert late > 20, "nobody was kept waiting"
    truth = 1 - good / len(mailer.ended)
    watcher.wait('sum(sluice_service_greetings_total{service="relay"})', lambda value: value == len(mailer.ended))
    watcher.wait('sluice_service_flows_established_total{service="relay"}', lambda value: value == len(mailer.ended))
    # The rate takes in what was scraped last only when the rule is next evaluated: wait until it holds still.
    indicator = wait_until(lambda: settled(watcher, 'sluice:handshake_errors:ratio_rate5m{service="relay"}'), 30, "indicator")
    # Who waited for about as long as the bound is on either side of it: the two look from different places.
    unsure = sum(abs(event["waited_s"] - BOUND_S) < 0.1 for event in mailer.opened) / len(mailer.ended)
    assert unsure < 0.02 and abs(indicator - truth) < 0.001 + unsure, f"indicator {indicator:.5f}, clients {truth:.5f} ({outcomes}, {late} late)"
    print(f"errors: indicator {indicator:.5f}, clients {truth:.5f}, of {len(mailer.ended)}")


def settled(watcher, expression):
    """The value if the last evaluations agree on it."""
    spread = watcher.value(f"max_over_time({expression}[4s]) - min_over_time({expression}[4s])")
    return watcher.value(expression) if spread is not None and spread < 1e-5 else None


def test_rules_and_dashboard_work_on_real_series(lab, prometheus):
    lab.start_greeters()
    lab.start_balancer()
    watcher = prometheus()
    watcher.wait('sluice_service_flows_established_total{service="relay"}', lambda value: value == 0)
    lab.mailer(target=VIP4, sessions=100, messages=0).wait()
    watcher.wait('sluice:handshake_errors:ratio_rate5m{service="relay"}', lambda value: value == 0)
    groups = watcher.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 30 and all(rule["health"] in ("ok", "unknown") for rule in rules), rules
    firing = [rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] != "inactive"]
    assert firing == [], "nothing is wrong in this lab"
    dashboard = json.loads((ROOT / "config" / "grafana" / "sluice.json").read_text())
    empty = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "1m")
            found = watcher.query(re.sub(r"\$\w+", ".*", expression))
            assert found is not None, f"{panel['title']}: {expression}"
            if not found and not re.search(r" [<>] ", expression):
                empty.append(panel["title"])
    assert set(empty) <= {"Days until certificates end", "Good handshakes", "Handshake errors by window",
                          "Temporary refusals for each connection", "DANE, backends by state", "MTA-STS, backends by state",
                          "STARTTLS, backends by state"}, empty

    lab.balancer.dataplane.stop()
    watcher.wait("sluice_dataplane_connected", lambda value: value == 0)
    watcher.wait('ALERTS{alertname="SluiceControlDisconnected",alertstate="firing"}', timeout_s=60)
    assert watcher.query("sluice_worker_received_total") == [], "figures of a data plane that is gone"
