# SPDX-License-Identifier: Apache-2.0
"""perf/report at toy size: it measures each of its questions and writes a page with a picture for each; the page that is shipped is made of the
figures beside it."""
import json
import re
import subprocess
import xml.etree.ElementTree

import pytest

from lab.balancer import ROOT, build_directory

RESULTS = ROOT / "perf" / "results"
PICTURE = re.compile(r"!\[[^]]+\]\(([^)]+\.svg)\)")


@pytest.mark.quiet
@pytest.mark.skipif(not (build_directory() / "perf" / "perf_worker").exists(), reason="built without -Dperf=true")
def test_every_question_is_measured_and_has_its_picture(tmp_path):
    done = subprocess.run([ROOT / "perf" / "report", "--quick", "--no-flood", "--output", tmp_path], text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "report.json").read_text())
    for family in ("ipv4", "ipv6"):
        (run,) = found["established"][family]
        assert [row["flows"] for row in run] == [1000, 4000]
        assert all(row["worker_ns"] > row["floor_ns"] > 0 for row in run), family
        (kinds,) = found["sessions"][family]
        assert {row["kind"] for row in kinds} == {"vlan", "proxy", "syn-cookie", "fullnat", "dsr", "ipip", "gue"}
        assert all(row["ns"]["median"] > 0 and row["times"]["median"] > 0 for row in kinds), family
    assert all(runs[0]["worker_ns"] > 0 for runs in found["mixes"].values()) and len(found["mixes"]) == 5
    page = (tmp_path / "README.md").read_text()
    pictures = PICTURE.findall(page)
    assert {"stages.svg", "cost.svg", "kinds.svg"} <= set(pictures)
    for picture in pictures:
        xml.etree.ElementTree.parse(tmp_path / picture)
    assert f"{found['established']['ipv4'][0][0]['worker_ns']:,.1f}" in page


def test_the_page_is_of_the_figures_beside_it(tmp_path):
    done = subprocess.run([ROOT / "perf" / "report", "--from", RESULTS / "report.json", "--output", tmp_path], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (RESULTS / "README.md").read_text()
    assert (tmp_path / "README.md").read_text() == page
    for picture in PICTURE.findall(page):
        assert (tmp_path / picture).read_bytes() == (RESULTS / picture).read_bytes(), picture
