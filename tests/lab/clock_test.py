# SPDX-License-Identifier: Apache-2.0
"""A program's own wall clock goes where a test sets it, and leaves the monotonic one alone."""
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.clock import Clock  # noqa: E402

DAY_S = 86400
ROOM_S = 600  # for a machine that is busy


def seen(env, words=("date", "+%s")):
    return float(subprocess.run(words, env={**os.environ, **env}, text=True, capture_output=True, check=True).stdout)


def test_the_wall_clock_is_set_forward_and_back(tmp_path):
    clock = Clock(tmp_path)
    for shift_s in (0, DAY_S, -DAY_S, 0):
        clock.set(shift_s)
        assert abs(seen(clock.env) - time.time() - shift_s) < ROOM_S


def test_the_monotonic_clock_stays(tmp_path):
    clock = Clock(tmp_path)
    clock.set(DAY_S)
    assert abs(seen(clock.env, (sys.executable, "-c", "import time; print(time.monotonic())")) - time.monotonic()) < ROOM_S


def test_one_command_sees_an_earlier_time(tmp_path):
    clock = Clock(tmp_path)
    clock.set(3 * DAY_S)
    assert abs(seen({}, (*clock.before(DAY_S), "date", "+%s")) - time.time() + DAY_S) < ROOM_S
