# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard and the alert rules as files: what they say can be parsed, and every alert is tested. That they name
metrics which exist is tests/controlplane/metrics/metrics_test.cc's."""
import itertools
import json
import pathlib
import re
import socket
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.shell import wait_until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "config" / "prometheus"
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "sluice.json").read_text())
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RANGES = {"__rate_interval": "5m", "__range": "1h", "__interval": "15s"}  # variables that stand for a duration


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def promtool_check(path):
    done = subprocess.run(["promtool", "check", "rules", path], text=True, capture_output=True, timeout=60)
    return done.returncode == 0, done.stdout + done.stderr


def without_variables(expression):
    return re.sub(r"\$(\w+)", lambda match: RANGES.get(match[1], ".*"), expression)


def test_every_expression_of_the_dashboard_parses(tmp_path):
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert len(expressions) > 50
    rules = [{"record": f"test:expression{i}", "expr": without_variables(text)} for i, text in enumerate(expressions)]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))  # JSON is YAML
    good, said = promtool_check(path)
    assert good, said
    rules[0]["expr"] += " +"  # the check does check
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert not promtool_check(path)[0]


def test_panels_have_titles_places_and_the_chosen_data_source():
    known = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | set(RANGES)
    places = set()
    for panel in panels():
        assert panel["title"] and panel["datasource"]["uid"] == "${datasource}", panel["id"]
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & places, f"{panel['title']} lies on another"
        places |= cells
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= known, panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_recorded_series_that_are_used_are_recorded():
    recorded = set(re.findall(r"record: (\S+)", (RULES / "recording.yml").read_text()))
    used = set()
    for path in (RULES / "alerts.yml", RULES / "recording.yml", ROOT / "config" / "grafana" / "sluice.json"):
        used |= set(re.findall(r"\bsluice:\w+:\w+", path.read_text()))
    assert used and used <= recorded, used - recorded


@pytest.mark.parametrize("name", ["recording.yml", "alerts.yml"])
def test_rules_are_valid(name):
    good, said = promtool_check(RULES / name)
    assert good, said


def test_the_example_configuration_is_valid():
    done = subprocess.run(["promtool", "check", "config", RULES / "prometheus.yml"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory):
    """A real one with the example configuration, which calls nobody: a function from alerts to those that it would tell of."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        ["prometheus-alertmanager", f"--config.file={RULES}/alertmanager.yml", f"--storage.path={tmp_path_factory.mktemp('alertmanager')}",
         f"--web.listen-address={address}", "--cluster.listen-address="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(path, body=None):
        request = urllib.request.Request(f"http://{address}{path}", json.dumps(body).encode() if body else None,
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def ready():
        try:
            return ask("/-/ready")
        except OSError:
            return None

    def told(*alerts):
        instance = f"lb{next(numbers)}"  # of no other question
        ask("/api/v2/alerts", [{"labels": {"alertname": name, "instance": instance, **labels}} for name, labels in alerts])
        query = urllib.parse.quote(f'instance="{instance}"')

        def processed():
            known = json.loads(ask(f"/api/v2/alerts?filter={query}"))
            states = {each["labels"]["alertname"]: each["status"]["state"] for each in known}
            return len(states) == len(alerts) and "unprocessed" not in states.values() and states
        states = wait_until(processed, 20, "Alertmanager knows what becomes of them")
        return {name for name, state in states.items() if state == "active"}
    numbers = itertools.count()
    wait_until(ready, 20, "Alertmanager answers")
    yield told
    process.terminate()
    process.wait(20)


POOL = {"pool": "mta", "port": "25"}


@pytest.mark.parametrize("alerts, told", [
    ([("SluiceNotScraped", {}), ("SluiceBackendDown", POOL), ("SluiceFlowTableFills", {})], {"SluiceNotScraped"}),
    ([("SluicePortLinkDown", {}), ("SluicePoolPanic", POOL), ("SluiceRecordsStop", {})], {"SluicePortLinkDown", "SluiceRecordsStop"}),
    ([("SluicePoolPanic", POOL), ("SluiceBackendDown", POOL)], {"SluicePoolPanic"}),
    ([("SluicePoolPanic", POOL), ("SluiceBackendDown", {"pool": "other", "port": "25"})], {"SluicePoolPanic", "SluiceBackendDown"}),
    ([("SluiceServiceOut", {"service": "relay"}), ("SluiceHandshakesFailFast", {"service": "relay"})], {"SluiceServiceOut"}),
    ([("SluiceServiceOut", {"service": "relay"}), ("SluiceHandshakesFail", {"service": "submission"})],
     {"SluiceServiceOut", "SluiceHandshakesFail"}),
    ([("SluiceVipNowhere", {"vip": "192.0.2.25"}), ("SluiceVipWithdrawn", {"vip": "192.0.2.25"})], {"SluiceVipNowhere"}),
    ([("SluiceVipNowhere", {"vip": "192.0.2.25"}), ("SluiceVipWithdrawn", {"vip": "192.0.2.26"})], {"SluiceVipNowhere", "SluiceVipWithdrawn"}),
    ([("SluiceControlDisconnected", {}), ("SluiceChangesNotApplied", {})], {"SluiceControlDisconnected"}),
])
def test_one_cause_calls_once(alertmanager, alerts, told):
    assert alertmanager(*alerts) == told


def test_alertmanager_names_alerts_that_there_are():
    known = re.findall(r"alert: (\S+)", (RULES / "alerts.yml").read_text())
    named = {name for name in re.findall(r"Sluice\w+", (RULES / "alertmanager.yml").read_text())}
    assert all(any(each.startswith(name) for each in known) for name in named), named


@pytest.mark.parametrize("alert", re.findall(r"alert: (\S+)", (RULES / "alerts.yml").read_text()))
def test_every_alert_is_tested_to_fire_and_to_be_silent(alert):
    tests = "\n".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("*_test.yml"))
    cases = re.findall(rf"alertname: {alert}\b(.*?)(?=alertname:|promql_expr_test|- name:|\Z)", tests, re.DOTALL)
    fires = [case for case in cases if "exp_labels" in case]
    silent = [case for case in cases if "exp_alerts: []" in case]
    assert fires, f"nothing shows that {alert} fires"
    # A case that fires for some series and lists all that fire is also silent about the others it was given.
    assert silent or alert.startswith(("SluiceCertificate", "SluiceSoftBounces")), f"nothing shows that {alert} is ever silent"


def later(alert):
    """An alert's text, with a wait that is longer by a quarter, or by a minute."""
    wait = re.search(r"^( +)for: (\d+)([smhd])$", alert, re.MULTILINE)
    if not wait:
        return re.sub(r"^( +)(?=labels: )", r"\1for: 1m\n\1", alert, count=1, flags=re.MULTILINE)
    seconds = int(wait[2]) * SECONDS[wait[3]]
    return alert[:wait.start()] + f"{wait[1]}for: {seconds + max(60, seconds // 4)}s" + alert[wait.end():]


def test_every_alert_is_tested_to_fire_in_time(tmp_path):
    """If it waited longer, its test would fail."""
    head, *alerts = re.split(r"(?=^ +- alert: )", (RULES / "alerts.yml").read_text(), flags=re.MULTILINE)
    (tmp_path / "alerts.yml").write_text(head + "".join(map(later, alerts)))
    (tmp_path / "recording.yml").write_text((RULES / "recording.yml").read_text())
    said = ""
    for path in pathlib.Path(__file__).parent.glob("*_test.yml"):
        (tmp_path / path.name).write_text(path.read_text().replace("../../config/prometheus/", ""))
        said += subprocess.run(["promtool", "test", "rules", path.name], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=600).stdout
    failed = set(re.findall(r"alertname: (\w+)", said))
    late = [alert for alert in re.findall(r"alert: (\S+)", (RULES / "alerts.yml").read_text()) if alert not in failed]
    assert not late, f"the tests of these look too late: {late}\n{said}"
