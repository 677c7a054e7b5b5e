# SPDX-License-Identifier: Apache-2.0
"""tests/run counts what the runners report, remembers only clean verdicts, and knows what a change touches."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from runner import changed, compiling, lanes, tidy, units  # noqa: E402
from runner.includes import Includes  # noqa: E402
from runner.results import Results  # noqa: E402

REPORT = """<testsuites><testsuite>
<testcase classname="Maglev" name="IsEven" status="run"/>
<testcase classname="Maglev" name="IsStable" status="run"><failure message="no"/></testcase>
<testcase classname="Maglev" name="NeedsRoot" status="run"><skipped/></testcase>
<testcase classname="Maglev" name="FilteredOut" status="notrun"/>
</testsuite></testsuites>"""


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "maglev_test.xml"
    path.write_text(REPORT)
    return path


def test_a_report_is_counted_case_by_case(report):
    results = Results()
    assert results.add_junit(report, "build: ")
    assert results.line() == "1 passed, 1 failed, 1 skipped"
    assert results.failures == ["build: Maglev.IsStable"]
    assert not results.good()


def test_a_run_in_which_nothing_passed_is_not_good():
    assert not Results().good()


@pytest.mark.parametrize("outcome, has_report, line", [
    ("OK", True, "1 passed, 1 failed, 1 skipped"),
    ("FAIL", True, "1 passed, 1 failed, 1 skipped"),  # the report names what failed
    ("OK", False, "1 passed, 0 failed"),
    ("TIMEOUT", False, "0 passed, 1 failed"),
    ("SKIP", False, "0 passed, 0 failed, 1 skipped"),
])
def test_a_program_counts_by_its_report_or_as_one(report, tmp_path, outcome, has_report, line):
    if not has_report:
        report.unlink()
    results = Results()
    units.add_meson_test(results, "build", {"name": "maglev", "command": ["/x/maglev_test"], "result": outcome}, tmp_path)
    assert results.line() == line


def test_a_program_that_dies_after_a_good_report_is_a_failure(report, tmp_path):
    report.write_text(REPORT.replace('<failure message="no"/>', ""))
    results = Results()
    units.add_meson_test(results, "build", {"name": "maglev", "command": ["/x/maglev_test"], "result": "FAIL"}, tmp_path)
    assert results.failures == ["build: maglev (FAIL)"]


def test_the_slowest_steps_come_first_and_are_ten():
    results = Results()
    for number in range(20):
        results.took(number * 10, f"step {number}")
    assert len(results.slowest()) == 10
    assert results.slowest()[0] == "   3 min 10 s  step 19"


def test_progress_of_ninja_is_read_and_the_rest_is_no_progress():
    assert compiling.parse_progress("[12/170] Compiling C++ object x.o\n") == (12, 170)
    assert compiling.parse_progress("ninja: no work to do.\n") is None


@pytest.mark.parametrize("done, total, elapsed_s, words", [
    (1, 170, 3, ""),  # too early to say
    (17, 170, 20, "about 3 minutes left"),
    (85, 170, 89, "about 1½ minutes left"),
    (85, 170, 60, "about 1 minute left"),
    (160, 170, 100, "less than a minute left"),
    (170, 170, 100, ""),
])
def test_the_time_left_is_said_when_it_can_be_judged(done, total, elapsed_s, words):
    assert compiling.left_text(done, total, elapsed_s) == words


FILES = {
    "flow/table.h": '#include <vector>\n#include "base/clock.h"\n',
    "flow/table.cc": '#include "flow/table.h"\n',
    "base/clock.h": "",
    "base/clock.cc": '#include "base/clock.h"\n',
    "tests/flow/table_test.cc": '#include "flow/table.h"\n#include "helper.h"\n',
    "tests/flow/helper.h": "",
    "tests/base/token_test.cc": "",
    "tests/apart/apart_test.cc": "",
}
PROGRAMS = [("flow", "tests/flow_test", {"tests/flow/table_test.cc"}), ("base", "tests/base_test", {"tests/base/token_test.cc"}),
            ("apart", "tests/apart_test", {"tests/apart/apart_test.cc"})]


@pytest.fixture
def includes():
    return Includes(FILES, FILES.__getitem__)


def test_the_closure_of_a_file_is_all_of_ours_that_it_includes(includes):
    assert includes.closure("tests/flow/table_test.cc") == {
        "tests/flow/table_test.cc", "flow/table.h", "base/clock.h", "tests/flow/helper.h"}


@pytest.mark.parametrize("names, tests", [
    (["base/clock.h"], ["flow", "base"]),  # by include, by room
    (["base/clock.cc"], ["flow", "base"]),  # its header's promises
    (["flow/table.cc"], ["flow"]),
    (["tests/flow/helper.h"], ["flow"]),
    (["README.md"], []),
])
def test_a_change_touches_what_includes_it_and_its_room(includes, names, tests):
    assert [test for test, _ in changed.unit_programs(names, PROGRAMS, includes)] == tests


def test_the_longest_entry_of_the_map_decides_and_a_changed_test_counts_itself():
    assert changed.end_to_end_files(["controlplane/page/page.js"]) == ["tests/e2e/page_test.py"]
    assert changed.end_to_end_files(["tests/e2e/flood_test.py", "man/x"]) == ["tests/e2e/flood_test.py"]


def test_every_end_to_end_file_of_the_map_is_there():
    for names in changed.END_TO_END.values():
        for name in names:
            assert (compiling.ROOT / "tests/e2e" / name).exists(), name


def test_precompiled_headers_are_left_out_of_what_clang_sees_and_nothing_else():
    words = ["g++", "-fpch-preprocess", "-include", "asio.h", "-include", "rte_config.h", "-O2", "x.cc"]
    assert tidy.without_precompiled(words) == ["g++", "-include", "rte_config.h", "-O2", "x.cc"]


def test_a_verdict_depends_on_all_that_is_included_and_on_the_flags(includes):
    def key(name="flow/table.cc", words=("g++", "-O2"), everywhere="checks", **changes):
        return tidy.key_of(name, list(words), includes, {**FILES, **changes}.__getitem__, everywhere)
    assert key() == key()
    assert key(**{"tests/flow/helper.h": "other"}) == key()
    assert len({key(), key(**{"base/clock.h": "other"}), key(words=("g++", "-O1")), key(everywhere="other checks"),
                key(name="flow/table.h")}) == 5


def test_a_verdict_depends_on_the_checks_of_every_module(tmp_path, monkeypatch):
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    (tmp_path / "unit").mkdir()
    keys = set()
    for place, checks in ((".clang-tidy", "some"), ("unit/.clang-tidy", "fewer"), ("unit/.clang-tidy", "none")):
        (tmp_path / place).write_text(checks)
        keys.add(tidy.environment_key())
    assert len(keys) == 3


def test_a_verdict_is_that_of_another_clone():
    assert tidy.portable([f"-DROOT={compiling.ROOT}/x"]) == ["-DROOT=ROOT/x"]


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """A function that judges two files, one of which has a finding, by a clang-tidy of our own, which says `said`; returns what came of
    it."""
    log = tmp_path / "log"
    program = tmp_path / "clang-tidy"
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\ncase "$*" in *bad.cc) echo "$said"; exit 1;; esac\n')
    program.chmod(0o755)
    (tmp_path / ".clang-tidy").write_text("checks")
    for name in ("good.cc", "bad.cc"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(tidy, "PROGRAM", str(program))
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    monkeypatch.setattr(tidy, "tracked", lambda *_: ["good.cc", "bad.cc"])
    monkeypatch.setattr(tidy, "compile_commands", lambda _: {"good.cc": ["g++"], "bad.cc": ["g++"]})
    monkeypatch.setenv("SLUICE_TIDY_CACHE", str(tmp_path / "cache"))

    def judge(threads=1, within_s=60, said="bad.cc:1:1: error: finding"):
        monkeypatch.setenv("said", said)
        results = Results()
        made = tidy.Tidy("build")
        made.start(threads)
        left = made.finish(within_s, results)
        judged = made.total - made.known if log.exists() else 0
        log.unlink(missing_ok=True)
        return results, judged, left
    return judge


def test_a_clean_file_is_judged_once_and_a_finding_every_time(judged):
    for files in (2, 1):
        results, made, left = judged()
        assert (made, left) == (files, 0)
        assert results.failures == ["clang-tidy of bad.cc"]


def test_a_finding_counts_where_it_is_and_in_the_system_it_is_nobodys(judged):
    note = "bad.cc:1:1: note: by this way\n"
    for said, failed in (("x.h:1:1: error: finding", "bad.cc, good.cc"), ("it crashed", "bad.cc, good.cc"), (note + "/usr/include/x.h:1:1: error: finding", None),
                         ("/../lib/gcc/include/c++/x.h:1:1: error: finding", None)):
        results, _, _ = judged(said=said)
        assert results.failures == ([f"clang-tidy of {failed}"] if failed else []), said


def test_a_tool_that_is_missing_is_a_finding_and_no_clean_verdict(judged, monkeypatch):
    monkeypatch.setattr(tidy, "PROGRAM", "/no/such/clang-tidy")
    monkeypatch.setattr(tidy, "environment_key", lambda: "")
    results, _, _ = judged()
    assert results.failures == ["clang-tidy of bad.cc, good.cc"]


def test_a_memory_that_cannot_be_written_changes_no_verdict(judged, tmp_path):
    (tmp_path / "cache").write_text("a file, where a directory should be")
    results, made, left = judged()
    assert (made, left) == (2, 0) and results.failures == ["clang-tidy of bad.cc"]


def test_what_time_did_not_allow_is_counted(judged):
    _, _, left = judged(threads=0, within_s=0)
    assert left == 2


def test_markers_choose_what_runs_beside_others_and_what_is_long():
    assert lanes.expression(None, True) == "(long or not long)"
    assert lanes.expression(None, False) == "not long"
    assert lanes.expression(False, False) == "not quiet and not long"
    assert lanes.expression(True, True) == "quiet and (long or not long)"
