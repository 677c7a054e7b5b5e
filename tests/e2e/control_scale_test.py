# SPDX-License-Identifier: Apache-2.0
"""perf/control itself, at toy size: that it measures what it says, and that answers about many backends are whole."""
import json
import subprocess

import pytest

from lab.balancer import ROOT

pytestmark = [pytest.mark.timeout(240)]
MEASURED = ("/metrics", "/status", "disable", "reload")


def test_control_at_scale_is_measured(tmp_path):
    out = tmp_path / "control.json"
    done = subprocess.run([ROOT / "perf" / "control", "--services", "20", "--backends", "600", "--rounds", "1", "--json", out],
                          text=True, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(out.read_text())["milliseconds"]
    for name in MEASURED:
        assert len(figures[name]) == 1 and figures[name][0] > 0, name
        assert figures[f"{name}, CPU"][0] > 0 and figures[f"{name}, stall"][0] > 0, name
    assert figures["start"][0] > 0 and figures["reload to table"][0] > 0
