# SPDX-License-Identifier: Apache-2.0
"""Blast against Sluice, two processes on two wires: every dialogue comes through, also beside a SYN flood."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "perf"))

from lib.blast_lab import BlastLab  # noqa: E402
from lab.balancer import build_directory  # noqa: E402

SMALL = ("--clients", 5000, "--sessions-max", 2000, "--memory", 256, "--wait", 30)

pytestmark = [pytest.mark.quiet,
              pytest.mark.skipif(not (build_directory() / "perf" / "blast").exists(), reason="built without -Dperf=true")]


@pytest.mark.parametrize("wire, vip", [("memif", "192.0.2.25"), ("memif", "2001:db8:25::25"), ("af_xdp", "192.0.2.25")])
def test_sessions_come_through_with_right_checksums(wire, vip):
    with BlastLab(wire) as lab:
        lab.start(idle="pause", flows=16384, memory_mb=256)
        code, figures, said = lab.blast("--rate", 100, "--duration", 2, "--verify", "--body-bytes", 4000, "--vip", vip, *SMALL)
        assert code == 0, said
        trial = figures["trials"][-1]
        assert trial["segments"]["wrong_checksum"] == 0, said
        assert trial["sessions"]["completed"] == trial["sessions"]["started"] >= 150, said


def test_a_flood_ends_no_session_and_stops_no_new_one():
    with BlastLab("memif") as lab:
        balancer = lab.start(idle="pause", flows=16384, memory_mb=256)
        code, figures, said = lab.blast("--mode", "syn-flood", "--flood-rate", 20_000, "--rate", 50, "--duration", 3, "--held", 200, *SMALL)
        assert code == 0, said
        trial = figures["trials"][-1]
        assert trial["flood_syns"] > 10_000, said
        assert trial["sessions"]["completed"] == trial["sessions"]["started"], said
        assert figures["held"] == {"wanted": 200, "opened": 200, "completed": 200}, said
        counters = balancer.status()["counters"]
        assert counters["syn_cookies_sent"] > 10_000, "the flood did not even take a quarter of the places for handshakes"
