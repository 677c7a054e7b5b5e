# SPDX-License-Identifier: Apache-2.0
"""The order of a run. Compiling and judging (clang-tidy) go beside what waits; what measures goes alone."""
import math
import os
import time

from .changed import document_tests, end_to_end_files, unit_programs
from .compiling import PROGRAMS, ROOT
from .includes import Includes
from .lanes import Pytest
from .shell import call, changed_since, git, tracked
from .tidy import Tidy
from .units import (BY_OTHER_COMPILER, FUZZERS, SANITIZED_PROGRAM, SANITIZER_ENVIRONMENT, WITH_SANITIZERS, BuildsAside, build,
                    format_check, fuzz, fuzz_seed, test_programs, unit_tests)

FUZZ_S, LONG_FUZZ_S = 30, 300
# What these may take where nothing of them is in the compiler cache.
FUZZING_MIN, OTHER_COMPILER_MIN = 18, 10
ENDING_MIN = 3  # for files that are being judged when that time is over
PYTHON_FOLDERS = ["tests/lab", "tests/runner", "tests/prometheus"]


def packages(results, peers):
    with results.step("packages"):
        return call([ROOT / ".ci" / "install-packages", *(["--peers"] if peers else [])])


def end_to_end_beside_builds(chosen, results, pytest):
    """Labs wait for most of their time, in which the other builds are made."""
    directory, options, compiler, _ = WITH_SANITIZERS
    with results.step("build of the sanitized program that end-to-end tests run"):
        build(directory, options, results, compiler, [SANITIZED_PROGRAM])
    builds = BuildsAside([WITH_SANITIZERS, FUZZERS, *([BY_OTHER_COMPILER] if chosen.clang or chosen.long else [])])
    try:
        end_to_end_in_lanes(results, pytest, tracked("tests/e2e/*_test.py"))
    finally:
        builds.stop()


def end_to_end_in_lanes(results, pytest, files):
    with results.step("end-to-end tests in network namespaces, side by side"):
        pytest.side_by_side(files)


def end_to_end_alone(results, pytest, tidy, files):
    """What measures, or must have the machine for itself for another reason."""
    with results.step("end-to-end tests that need the machine for themselves"):
        if tidy:
            tidy.hush(True)
        pytest.run(files, quiet=True)
        if tidy:
            tidy.hush(False)


def machine(pytest, results):
    """The packages, and what they are on the cards of an emulated machine."""
    with results.step("packages, and an emulated machine with cards"):
        pytest.run(["tests/machine"])


def everything(chosen, results):
    """tests/run without --changed: all kinds, or those chosen by --unit, --e2e or --machine."""
    if chosen.machine:
        return machine(Pytest(results, chosen.k, chosen.long), results)
    unit, e2e = not chosen.e2e, not chosen.unit
    pytest = Pytest(results, chosen.k, chosen.long)
    with results.step("build"):
        built = build("build", [], results)
    tidy = None
    if unit and built and not chosen.k:
        last = changed_since("HEAD~1")
        tidy = Tidy("build", first=last, only=last if chosen.tidy_changed else None, whole=chosen.long or chosen.tidy_changed)
        tidy.start(1)
    if unit and e2e and built:
        end_to_end_beside_builds(chosen, results, pytest)
    if unit:
        unit_steps(chosen, results, built)
        with results.step("format"):
            format_check(results)
    if e2e and built:
        files = tracked("tests/e2e/*_test.py")
        if not unit:
            end_to_end_in_lanes(results, pytest, files)
        end_to_end_alone(results, pytest, tidy, files)
    if chosen.long and unit and e2e and built:
        machine(pytest, results)
    if unit:
        with results.step("tests of the lab's and the runner's own code; of rules, dashboard, documents and installation"):
            pytest.run([*PYTHON_FOLDERS, *(["tests/documents"] if built else [])])
        fuzz_and_other_compiler(chosen, results)
    if tidy:
        finish_tidy(tidy, results, None if chosen.long else 60 * max(0, min(chosen.tidy, minutes_left(chosen) - ENDING_MIN)))


def unit_steps(chosen, results, built):
    with results.step("build with AddressSanitizer and UBSan"):
        sanitized = build(*WITH_SANITIZERS[:2], results)
    # As with the fuzzers: a verdict on a version can be had again, and the long run begins elsewhere every time.
    drawn = {"SLUICE_TEST_SEED": "any", "SLUICE_GUESSES": "10000000"} if chosen.long else {}
    if built:
        with results.step("unit tests"):
            unit_tests("build", results, chosen.k, **drawn)
    if sanitized:
        with results.step("unit tests under AddressSanitizer and UBSan"):
            unit_tests("build-asan", results, chosen.k, **drawn, **SANITIZER_ENVIRONMENT)


def minutes_left(chosen):
    return chosen.limit - (time.time() - chosen.begun_s) / 60 if chosen.limit else math.inf


def has_time(chosen, results, what, minutes):
    """Whether a limit of the run leaves so many minutes; if not, what is left out is named, and counted as skipped."""
    left = minutes_left(chosen)
    if left < minutes:
        print(f"\n{what}: SKIPPED, as of the run's {chosen.limit:.0f} minutes {max(left, 0):.0f} are left, and it may take {minutes}", flush=True)
        results.add("skipped", what)
    return left >= minutes


def fuzz_and_other_compiler(chosen, results):
    """Last, as a run whose cache is cold may have to do without."""
    seconds = LONG_FUZZ_S if chosen.long else FUZZ_S
    if has_time(chosen, results, "fuzzing", FUZZING_MIN):
        with results.step(f"fuzzing, {seconds} s each"):
            fuzz(results, seconds, 0 if chosen.long else fuzz_seed())
    what = "build of the programs with clang"
    if (chosen.clang or chosen.long) and has_time(chosen, results, what, OTHER_COMPILER_MIN):
        with results.step(what):
            build(*BY_OTHER_COMPILER[:2], results, BY_OTHER_COMPILER[2])


def finish_tidy(tidy, results, within_s):
    with results.step("clang-tidy, what is left of it"):
        tidy.start((os.cpu_count() or 1) - 1)
        left = tidy.finish(within_s, results)
    if left and within_s is None:
        results.add("failed", f"clang-tidy: {left} files not judged")


def touched_only(chosen, results):
    """tests/run --changed: the ordinary build alone, for what differs from a revision."""
    changed = changed_since(chosen.changed)
    print(f"\n{len(changed)} files differ from {chosen.changed}", flush=True)
    with results.step("format"):
        format_check(results)
    with results.step("build of what is touched"):
        # Configures, and makes the three programs, which the end-to-end tests need.
        if not build("build", [], results, targets=PROGRAMS):
            return
        files = tracked("*.h", "*.cc")
        includes = Includes(files, lambda name: (ROOT / name).read_text(errors="replace"))
        programs = list(unit_programs(changed, test_programs("build"), includes))
        if programs and not build("build", [], results, targets=sorted({program for _, program in programs})):
            return
    tidy = Tidy("build", only=[name for name in changed if name.endswith(".cc")])
    tidy.start(1)
    if programs:
        with results.step(f"{len(programs)} unit tests"):
            unit_tests("build", results, chosen.k, names=[test for test, _ in programs])
    pytest = Pytest(results, chosen.k)
    folders = [folder for folder in PYTHON_FOLDERS if any(name.startswith(folder) for name in changed)]
    if folders + document_tests(changed):
        with results.step("tests of documents and of Python code"):
            pytest.run(folders + document_tests(changed))
    files = [name for name in end_to_end_files(changed) if (ROOT / name).exists()]
    if files and os.geteuid() == 0:
        end_to_end_in_lanes(results, pytest, files)
        end_to_end_alone(results, pytest, tidy, files)
    elif files:
        print(f"not run, as network namespaces need root: {' '.join(files)}", flush=True)
    finish_tidy(tidy, results, chosen.tidy * 60)


def main_revision():
    """Where this branch left main; in main itself, the last commit."""
    base = git("merge-base", "HEAD", "main") or git("merge-base", "HEAD", "origin/main")
    return base[0] if base and base != git("rev-parse", "HEAD") else "HEAD~1"
