# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard and the alert rules as files: what they say can be parsed, and every alert is tested. That they name
metrics which exist is tests/controlplane/metrics/metrics_test.cc's."""
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "config" / "prometheus"
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "sluice.json").read_text())
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


@pytest.mark.parametrize("alert", re.findall(r"alert: (\S+)", (RULES / "alerts.yml").read_text()))
def test_every_alert_is_tested_to_fire_and_to_be_silent(alert):
    tests = "\n".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("*_test.yml"))
    cases = re.findall(rf"alertname: {alert}\b(.*?)(?=alertname:|promql_expr_test|- name:|\Z)", tests, re.DOTALL)
    fires = [case for case in cases if "exp_labels" in case]
    silent = [case for case in cases if "exp_alerts: []" in case]
    assert fires, f"nothing shows that {alert} fires"
    # A case that fires for some series and lists all that fire is also silent about the others it was given.
    assert silent or alert.startswith(("SluiceCertificate", "SluiceSoftBounces")), f"nothing shows that {alert} is ever silent"
