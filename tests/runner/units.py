# SPDX-License-Identifier: Apache-2.0
"""The builds, the unit tests in them, the fuzzer, and the format."""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import threading

from .compiling import ROOT, configure_command, environment
from .shell import call, git, tracked

# Light optimisation: it halves the time to compile, and the sanitizers see more.
SANITIZED = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1", "-Dperf=false"]
# Without precompiled headers: clang's name the folder that they were made in, and from the cache they would come to another clone.
FUZZED = ["-Dfuzz=true", "-Db_pch=false", *SANITIZED]
# What the other compiler thinks of the programs: it judges without optimising, which takes a third of the time.
OTHER_COMPILER, OTHER = "clang++-19", ["-Db_pch=false", "-Dtests=false", "-Doptimization=0"]
# What is built besides "build": directory, options, compiler, targets (none: all).
WITH_SANITIZERS = ("build-asan", SANITIZED, "g++", ())
FUZZERS = ("build-fuzz", FUZZED, OTHER_COMPILER, ("fuzzers",))
BY_OTHER_COMPILER = ("build-clang", OTHER, OTHER_COMPILER, ())
# The sanitized program that end-to-end tests run.
SANITIZED_PROGRAM = "dataplane/sluice-dataplane"
SANITIZER_ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=0",  # DPDK keeps its memory until the process ends
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}

HANGS = "5"  # Meson's limits are for programs that hang, and a machine may have something else to do


def build(directory, options, results, compiler="g++", targets=()):
    """Configures and compiles; a build that fails is a failed test."""
    configure = configure_command(directory, options)
    command = ["ninja", "-C", directory, *targets]
    done = (not configure or call(configure, **environment(compiler))) and call(command, **environment(compiler))
    if not done:
        results.add("failed", f"build of {directory}")
    return done


class BuildsAside:
    """Builds, one after the other, that take what time others leave. Say nothing: what fails is told where it is needed."""

    # In a session of its own, as the kernel may weigh sessions against each other before it looks at priorities.
    LAST = ["sh", "-c", 'echo 19 2>/dev/null > /proc/self/autogroup; exec nice -n 19 "$@"', "sh"]

    def __init__(self, builds):
        self._builds = builds
        self._lock = threading.Lock()
        self._running = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self):
        """What is made stays; the rest is left to whoever needs it."""
        with self._lock:
            self._stopped = True
            if self._running:
                self._running.terminate()
        self._thread.join()

    def _work(self):
        for directory, options, compiler, targets in self._builds:
            configure = configure_command(directory, options)
            if not ((not configure or self._run(configure, compiler)) and self._run(["ninja", "-C", directory, *targets], compiler)):
                return

    def _run(self, command, compiler):
        with self._lock:
            if self._stopped:
                return False
            self._running = subprocess.Popen([*self.LAST, *command], cwd=ROOT, env={**os.environ, **environment(compiler)},
                                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                             start_new_session=True)
        return self._running.wait() == 0


def unit_tests(directory, results, pattern=None, names=(), **changes):
    """Everything that `meson test` knows of in a build directory, or the tests named."""
    with tempfile.TemporaryDirectory() as reports:
        if pattern:
            changes["GTEST_FILTER"] = f"*{pattern}*"
        log = ROOT / directory / "meson-logs" / "testlog.json"
        log.unlink(missing_ok=True)
        call(["meson", "test", "-C", directory, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", HANGS, *names],
             GTEST_OUTPUT=f"xml:{reports}/", **changes)
        if not log.exists():
            results.add("failed", f"{directory}: meson test ran nothing")
            return
        for test in map(json.loads, log.read_text().splitlines()):
            add_meson_test(results, directory, test, pathlib.Path(reports))


def add_meson_test(results, directory, test, reports):
    """One entry of meson's log: its cases, where the program left a report, or else itself."""
    name = f"{directory}: {test['name']}"
    report = reports / f"{pathlib.Path(test['command'][0]).name}.xml"
    passed = test["result"] in ("OK", "EXPECTEDFAIL")
    has_failures = report.exists() and results.add_junit(report, f"{directory}: ")
    if test["result"] == "SKIP":
        results.add("skipped", name)
    elif not report.exists():
        results.add("passed" if passed else "failed", name)
    elif not passed and not has_failures:
        results.add("failed", f"{name} ({test['result']})")
    results.took(test.get("duration", 0), f"{name}, within its step")


FUZZED_SOURCES = ("config", "controlplane", "dataplane", "healthcheck", "tests/fuzz")


def fuzz_seed():
    """Where the fuzzer begins to look: elsewhere for every version of what it looks at, and at the same place for the same, so
    that a verdict on a version can be had again."""
    trees = git("rev-parse", *(f"HEAD:{name}" for name in FUZZED_SOURCES))
    return int.from_bytes(hashlib.sha256(" ".join(trees).encode()).digest()[:3]) + 1  # to libFuzzer, 0 is any


def fuzz(results, seconds, seed):
    """libFuzzer over every target of tests/fuzz, as many at once as there are cores, each from its corpus on. What makes one
    fail is kept in build-fuzz, and printed. Seed 0 is another at each call."""
    directory, options, compiler, targets = FUZZERS
    if not build(directory, options, results, compiler, targets):
        return
    targets = sorted(path for path in (ROOT / "build-fuzz/tests/fuzz").glob("fuzz_*") if path.is_file() and os.access(path, os.X_OK))
    if not targets:
        results.add("failed", "fuzzing: there is no target")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for target, good in zip(targets, pool.map(lambda target: fuzz_one(target, seconds, seed), targets)):
            results.add("passed" if good else "failed", f"fuzzing: {target.name.removeprefix('fuzz_')}")


def fuzz_one(target, seconds, seed):
    name = target.name.removeprefix("fuzz_")
    with tempfile.TemporaryDirectory() as finds:
        return call([target, f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=4096", "-timeout=60", "-rss_limit_mb=4096",
                     "-print_final_stats=1", "-verbosity=0", f"-artifact_prefix={ROOT}/build-fuzz/{name}-", finds,
                     ROOT / "tests/fuzz/corpus" / name], **SANITIZER_ENVIRONMENT)


def format_check(results):
    good = call(["clang-format-19", "--dry-run", "-Werror", *tracked("*.h", "*.cc")])
    results.add("passed" if good else "failed", "format of the C++ files")


def test_programs(directory):
    """The test programs of a build: meson's name of the test, the program's target for ninja, its sources."""
    def ask(what):
        return json.loads(subprocess.run(["meson", "introspect", directory, what], cwd=ROOT, text=True, capture_output=True,
                                         check=True).stdout)
    sources = {}
    for target in ask("--targets"):
        for group in target.get("target_sources", []):
            for source in group.get("sources", []):
                sources.setdefault(target["filename"][0], set()).add(str(pathlib.Path(source)))
    base = ROOT / directory
    for test in ask("--tests"):
        program = test["cmd"][0]
        if program in sources and pathlib.Path(program).is_relative_to(base):
            yield test["name"], str(pathlib.Path(program).relative_to(base)), {
                str(pathlib.Path(name).relative_to(ROOT)) for name in sources[program] if pathlib.Path(name).is_relative_to(ROOT)}
