# SPDX-License-Identifier: Apache-2.0
"""perf/compare at toy size: every contender carries the sessions, and the report says what the figures say."""
import json
import subprocess
import xml.etree.ElementTree

import pytest

from lab.balancer import ROOT, build_directory

pytestmark = [pytest.mark.quiet,
              pytest.mark.skipif(not (build_directory() / "perf" / "perf_mail").exists(), reason="built without -Dperf=true")]

CONTENDERS = ["none", "nftables", "haproxy", "nginx", "sluice"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    output = tmp_path_factory.mktemp("compare")
    done = subprocess.run([ROOT / "perf" / "compare", "--quick", "--output", output], text=True, capture_output=True, timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    return output, json.loads((output / "compare.json").read_text())


def test_every_contender_carries_sessions_in_every_phase(report):
    _, found = report
    assert [*found["contenders"], *found["absent"]] and set(found["absent"]) <= {"nftables DNAT"}, found["absent"]
    assert [name for name in CONTENDERS if name in found["contenders"]] == list(found["contenders"])
    for name in found["contenders"]:
        turn = found["rounds"][0][name]
        for phase in ("full", "paced", "bulk"):
            assert turn[phase]["completed"] > 0 and turn[phase]["failed"] == 0, (name, phase, turn[phase])
            assert turn[phase]["message_bytes"] >= turn[phase]["completed"] * 2000
        assert 0 < turn["paced"]["session_us"]["p50"] <= turn["paced"]["session_us"]["p99"]


def test_cpu_is_counted_for_every_contender_but_the_kernel(report):
    _, found = report
    for name, turn in found["rounds"][0].items():
        cpu = turn["full"]["cpu"]
        assert cpu["lab_s"] >= cpu["endpoints_s"] > 0, (name, cpu)
        assert (cpu["own_s"] is None) == (name in ("none", "nftables"))
        assert cpu["own_s"] is None or cpu["own_s"] > 0
    sluice = found["rounds"][0]["sluice"]["full"]["cpu"]
    assert 0 < sluice["own_without_device_s"] < sluice["own_s"]


def test_idle_sessions_are_all_held_and_cost_memory_where_they_lie(report):
    _, found = report
    for name, steps in found["idle"].items():
        assert [step["sessions"] for step in steps] == [0, 100, 300], name
    flows = [step["flows"] for step in found["idle"]["sluice"]]
    assert flows[1] >= 100 and flows[2] >= 300  # probes come on top
    assert all(64 < step["per_session_bytes"] <= 128 for step in found["idle"]["sluice"])
    first, *_, last = found["idle"]["haproxy"]
    assert last["process_kb"] > first["process_kb"]


def test_the_report_holds_machine_versions_spread_and_plots(report):
    output, found = report
    text = (output / "compare.md").read_text()
    assert found["machine"] in text and "What was wanted" in text
    for each in found["contenders"].values():
        assert each["version"] and f"{each['title']} {each['version']}" in text
    plots = sorted(output.glob("*.svg"))
    assert len(plots) == 6
    for path in plots:
        assert path.name in text
        root = xml.etree.ElementTree.parse(path).getroot()
        labels = {node.text for node in root.iter("{http://www.w3.org/2000/svg}text")}
        assert found["contenders"]["sluice"]["title"] in labels


def test_compare_refuses_a_contender_it_does_not_know():
    done = subprocess.run([ROOT / "perf" / "compare", "--only", "katran"], text=True, capture_output=True, timeout=120)
    assert done.returncode == 2 and "haproxy" in done.stderr
