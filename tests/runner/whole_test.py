# SPDX-License-Identifier: Apache-2.0
"""tests/run as a whole, in a project of a few lines whose compilers, meson and ninja are scripts: each kind of test is run and
counted, and the last line is the sum."""
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Each notes that it was called; meson leaves what the real one leaves, by which tests/run counts.
TOOLS = {
    "meson": '''case "$1" in
setup) mkdir -p $2/meson-logs && touch $2/build.ninja
  echo "[{\\"directory\\": \\"$PWD/$2\\", \\"file\\": \\"../unit/one.cc\\", \\"command\\": \\"g++ -c ../unit/one.cc\\"}]" > $2/compile_commands.json ;;
test) xml=${GTEST_OUTPUT#xml:}
  echo "$3 drawn from ${SLUICE_TEST_SEED:-the same}"
  echo '<a><testcase classname="Unit" name="Works"/><testcase classname="Unit" name="Too"/></a>' > $xml/unit_test.xml
  mkdir -p $3/meson-logs
  printf '%s\\n' '{"name": "unit", "command": ["/x/unit_test"], "result": "OK", "duration": 2}' \\
    '{"name": "layering", "command": ["/x/layering.py"], "result": "OK", "duration": 1}' > $3/meson-logs/testlog.json ;;
introspect) case "$3" in
  --targets) echo "[{\\"filename\\": [\\"$PWD/build/unit_test\\"], \\"target_sources\\": [{\\"sources\\": [\\"$PWD/unit/one.cc\\"]}]}]" ;;
  --tests) echo "[{\\"name\\": \\"unit\\", \\"cmd\\": [\\"$PWD/build/unit_test\\"]}]" ;; esac ;;
esac''',
    "ninja": '''echo "made in $2 with $CXX"
echo "$2 $(nice)" >> ../made
[ "$2" != "$BROKEN" ] || exit 1
mkdir -p build-fuzz/tests/fuzz
printf '#!/bin/sh\\necho fuzzed with "$@"\\n' > build-fuzz/tests/fuzz/fuzz_worker && chmod +x build-fuzz/tests/fuzz/fuzz_worker''',
    "clang-format-19": "",
    "clang-tidy-19": 'case "$*" in *FINDING*) exit 1;; esac; ! grep -q finding "$PWD/unit/one.cc"',
}
PYTHON_TEST = "import pytest\n\ndef test_one():\n    pass\n\n@pytest.mark.quiet\ndef test_alone():\n    pass\n\n" \
              "@pytest.mark.long\ndef test_long():\n    pass\n"


@pytest.fixture
def project(tmp_path):
    """A project in git with one C++ file and one test of each kind, and a function that runs its tests/run."""
    root, tools = tmp_path / "project", tmp_path / "tools"
    for folder in ("unit", ".ci", "tests/e2e", "tests/lab", "tests/prometheus", "tests/documents", "tests/machine", "tests/fuzz/corpus"):
        (root / folder).mkdir(parents=True)
    shutil.copytree(ROOT / "tests/runner", root / "tests/runner", ignore=shutil.ignore_patterns("*_test.py", "__pycache__"))
    for name in ("tests/run", "tests/pytest.ini"):
        shutil.copy(ROOT / name, root / name)
    for name in ("e2e/one", "lab/two", "prometheus/three", "documents/four", "machine/five"):
        (root / f"tests/{name}_test.py").write_text(PYTHON_TEST)
    (root / "unit/one.cc").write_text("int one();\n")
    (root / ".clang-tidy").write_text("Checks: '*'\n")
    (root / ".gitignore").write_text("build*\n")
    tools.mkdir()
    for path, text in [(root / ".ci/install-packages", ""), *((tools / name, text) for name, text in TOOLS.items())]:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "one"], ["commit", "-q", "--allow-empty", "-m", "two"]):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@lab.test", *words], cwd=root, check=True)

    def run(*options):
        done = subprocess.run([root / "tests/run", *options], text=True, capture_output=True, timeout=120, env={
            **os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SLUICE_TIDY_CACHE": str(tmp_path / "cache")})
        return done.returncode, done.stdout + done.stderr
    run.root = root
    return run


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="end-to-end tests need root")


@needs_root
@pytest.mark.parametrize("options, line", [
    ([], "17 passed, 0 failed"),  # twice 3 units, fuzzing, format, clang-tidy, 3 x 2 Python cases and 2 end to end; ...
    (["--long"], "24 passed, 0 failed"),  # ... a long one of each, and the machine's three
])
def test_a_run_counts_every_kind(project, options, line):
    code, said = project(*options)
    assert said.splitlines()[-1] == line, said
    assert code == 0 and "where the time went:" in said


@needs_root
def test_a_fuzzer_begins_at_the_same_place_for_the_same_version(project):
    def seed(*options):
        return re.search(r"fuzzed with .*-seed=(\d+)", project(*options)[1])[1]

    def commit(folder):
        (project.root / folder).mkdir(exist_ok=True)
        (project.root / folder / "x.cc").write_text(folder)
        for words in (["add", "."], ["commit", "-qm", folder]):
            subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@lab.test", *words], cwd=project.root, check=True)

    for folder in ("config", "controlplane", "dataplane", "healthcheck"):
        commit(folder)
    first = seed("--unit")
    assert first != "0"
    commit("docs")
    assert seed("--unit") == first
    commit("tests/fuzz")
    assert seed("--unit") != first
    assert seed("--unit", "--long") == "0"


@needs_root
@pytest.mark.parametrize(("options", "seed"), [((), "the same"), (("--long",), "any")])
def test_tests_that_draw_begin_at_the_same_place_but_for_the_long_run(project, options, seed):
    said = project("--unit", *options)[1]
    assert f"build drawn from {seed}\n" in said and f"build-asan drawn from {seed}\n" in said, said


@needs_root
@pytest.mark.parametrize("options, made", [((), 0), (("--clang",), 1), (("--long",), 1)])
def test_the_other_compiler_makes_the_programs_where_it_is_asked_to(project, options, made):
    said = project("--unit", *options)[1]
    assert len(re.findall(r"made in build-clang with (?:ccache )?clang\+\+-19\n", said)) == made, said


@needs_root
def test_the_other_builds_are_made_beside_labs_in_the_time_that_these_leave(project):
    (project.root / "tests/e2e/one_test.py").write_text(
        "import pathlib, time\n\ndef test_lab():\n    until = time.time() + 60\n"
        "    while 'build-clang' not in pathlib.Path('../made').read_text() and time.time() < until:\n        time.sleep(0.05)\n")
    project("--clang")
    made = (project.root.parent / "made").read_text().splitlines()
    beside = ["build 0", "build-asan 0", "build-asan 19", "build-fuzz 19", "build-clang 19"]
    assert made == [*beside, "build-asan 0", "build-fuzz 0", "build-clang 0"]


@needs_root
def test_what_is_not_made_beside_labs_is_made_after_them(project):
    with (project.root.parent / "tools/ninja").open("a") as ninja:
        ninja.write('[ "$(nice)" = 0 ] || exec sleep 60\n')
    begun = time.monotonic()
    code, said = project()
    assert code == 0 and "made in build-asan" in said and "fuzzed with" in said, said
    assert time.monotonic() - begun < 45


@needs_root
def test_what_the_other_compiler_refuses_is_counted(project, monkeypatch):
    monkeypatch.setenv("BROKEN", "build-clang")
    code, said = project("--unit", "--clang")
    assert code == 1 and "FAILED build of build-clang\n" in said, said


@needs_root
def test_the_machine_can_be_run_alone(project):
    code, said = project("--machine")
    assert code == 0 and said.splitlines()[-1] == "2 passed, 0 failed", said


@needs_root
def test_what_fails_is_named_and_counted_and_no_other_step_is_left_out(project):
    (project.root / "unit/one.cc").write_text("finding\n")
    (project.root / "tests/e2e/one_test.py").write_text("def test_one():\n    assert False\n")
    code, said = project()
    assert code == 1
    assert "FAILED clang-tidy of unit/one.cc" in said and "FAILED e2e.one_test.test_one" in said, said
    assert said.splitlines()[-1].endswith(" passed, 2 failed"), said


@needs_root
def test_a_run_beyond_its_limit_has_failed(project):
    code, said = project("--e2e", "--since", "1", "--limit", "60")
    assert code == 1 and said.splitlines()[-1] == "2 passed, 1 failed", said
    assert "FAILED the run took longer than 60 minutes" in said


@needs_root
def test_what_does_not_fit_into_the_limit_is_left_out_and_named(project):
    long_ago = time.time() - 75 * 60
    code, said = project("--unit", "--clang", "--since", str(long_ago), "--limit", "90")
    assert code == 0 and said.splitlines()[-1].endswith(" passed, 0 failed, 1 skipped"), said
    assert "fuzzing: SKIPPED, as of the run's 90 minutes 15 are left" in said or "minutes 14 are left" in said, said
    assert "made in build-clang" in said and "fuzzed with" not in said, said
    code, said = project("--unit", "--clang", "--since", str(long_ago - 10 * 60), "--limit", "90")
    assert code == 0 and said.splitlines()[-1].endswith(" passed, 0 failed, 2 skipped"), said


def test_only_what_is_touched_is_run(project):
    (project.root / "unit/one.cc").write_text("int two();\n")
    code, said = project("--changed", "HEAD")
    # The format, clang-tidy of the file, its program's three, documents.
    assert code == 0 and said.splitlines()[-1] == "7 passed, 0 failed", said
