# SPDX-License-Identifier: Apache-2.0
"""clang-tidy of every file that is compiled. A clean verdict is remembered by what it depends on: the file, what it includes
of ours, the flags, the checks, the packages that bring the other headers. A finding is never remembered.

The files are compiled as they stand, without the precompiled headers: so each must include what it uses.
"""
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import threading
import time

from .compiling import ROOT
from .includes import Includes
from .shell import tracked
from .tidy_batches import batches

PROGRAM = "clang-tidy-19"
FORGOTTEN_AFTER_S = 60 * 24 * 3600
# It looks at each function of each header for parameters that are costly to copy, and takes more time than all others together.
COSTLY = "performance-unnecessary-value-param"


def cache_directory():
    """Outside the clone, so that the next clone finds it, and of the user who called sudo."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(f"~{os.environ.get('SUDO_USER', '')}") + "/.cache"
    return pathlib.Path(os.environ.get("SLUICE_TIDY_CACHE", f"{base}/sluice/tidy"))


# As meson names them to the compiler: by their last part.
PRECOMPILED = {"standard.h", "asio.h", "precompiled.h"}


def without_precompiled(words):
    """The words of a compile command but those that bring a precompiled header, which clang cannot read."""
    out, rest = [], iter(words)
    for word in rest:
        if word == "-fpch-preprocess":
            continue
        if word == "-include":
            header = next(rest)
            if header not in PRECOMPILED:
                out += [word, header]
            continue
        out.append(word)
    return out


def portable(words):
    """The same for another clone: what is compiled, not where it lies."""
    return [word.replace(str(ROOT), "ROOT") for word in words]


class Verdicts:
    """The memory of clean verdicts: an empty file each."""

    def __init__(self, directory):
        self._directory = directory

    def knows(self, key):
        try:
            os.utime(self._directory / key)
            return True
        except OSError:
            return False

    def remember(self, key):
        with contextlib.suppress(OSError):  # of another user, or full: then it is judged again
            self._directory.mkdir(parents=True, exist_ok=True)
            (self._directory / key).touch()

    def forget_old(self):
        for path in self._directory.glob("*"):
            if time.time() - path.stat().st_mtime > FORGOTTEN_AFTER_S:
                with contextlib.suppress(OSError):
                    path.unlink()


def compile_commands(directory):
    """File from the root of the project: words of its compile command, its verdict's flags and all."""
    ours = set(tracked("*.cc"))
    out = {}
    for entry in json.loads((ROOT / directory / "compile_commands.json").read_text()):
        path = (ROOT / directory / entry["file"]).resolve()
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else ""
        if name in ours:
            out.setdefault(name, without_precompiled(shlex.split(entry["command"])))
    return out


def environment_key():
    """What is the same for all files: the program, the checks, the packages that bring headers."""
    version = subprocess.run([PROGRAM, "--version"], text=True, capture_output=True).stdout
    packages = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "lib*-dev", "linux-libc-dev", "nlohmann*"],
                              text=True, capture_output=True).stdout
    checks = [path.read_text() for path in [ROOT / ".clang-tidy", *sorted(ROOT.glob("*/.clang-tidy"))]]
    return "\n".join([version, packages, *checks])


def key_of(name, words, includes, read, everywhere):
    digest = hashlib.sha256()
    for part in [everywhere, *portable(words), *(f"{member}\n{read(member)}" for member in sorted(includes.closure(name)))]:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


NO_MATTER = {"-c", "-MD", "-fPIC", "-DGTEST_HAS_PTHREAD=1"}


def flags(words):
    """What of a compile command is the same for files that may be compiled as one."""
    out, rest = set(), iter(words)
    for word in rest:
        if word in ("-MQ", "-MF", "-o"):
            next(rest)
        elif not word.endswith(".cc") and not word.startswith("-I") and word not in NO_MATTER:
            out.add(word)
    return sorted(out)


def include_directories(commands):
    """All that are named in these commands, each once, in their order."""
    return list(dict.fromkeys(word for words in commands for word in words if word.startswith("-I")))


def checks_of(name):
    """The directory whose .clang-tidy holds for a file."""
    return next(str(parent) for parent in pathlib.Path(name).parents if (ROOT / parent / ".clang-tidy").exists())


def places_in(said):
    """The files of ours that have a finding; nothing if all are in headers of the system, which are not ours to mend; None if it names none."""
    places = set(re.findall(r"^(\S+?):\d+:\d+: (?:warning|error):", said, re.MULTILINE))
    return {place for place in places if not is_of_the_system(place)} if places else None


def is_of_the_system(place):
    """A path as clang-tidy names it: from the tree's root, or from a build in it, or whole."""
    return place.startswith("/") and not pathlib.Path(os.path.normpath(place)).is_relative_to(ROOT)


class Tidy:
    """Judges in a thread of its own, at the lowest priority, beside other steps. `first` are judged first. `whole`: by the costly
    check too."""

    def __init__(self, directory, first=(), only=None, whole=True):
        self._commands = compile_commands(directory)
        wanted = set(self._commands) if only is None else set(self._commands) & set(only)
        files = tracked("*.h", "*.cc")
        texts = {}

        def read(name):
            if name not in texts:
                texts[name] = (ROOT / name).read_text(errors="replace")
            return texts[name]
        includes, everywhere = Includes(files, read), environment_key()
        self._verdicts = Verdicts(cache_directory())
        self._verdicts.forget_old()
        keys = {name: key_of(name, self._commands[name], includes, read, everywhere) for name in wanted}
        # Who is clean by all checks is so without one of them.
        self._options = [] if whole else [f"--checks=-{COSTLY}"]
        self._keys = {name: ([key] if whole else []) + [key + "-quick"] for name, key in keys.items()}
        todo = sorted((name for name in wanted if not self._verdicts.knows(self._keys[name][0])),
                      key=lambda name: (name not in first, name))
        self.known = len(wanted) - len(todo)
        self.total = len(wanted)
        self._read = read
        self._todo = batches(todo, read, lambda name: (name in first, checks_of(name), *flags(self._commands[name])))
        self._build = ROOT / directory
        self.faulty = []
        self._judged = 0
        self._stop = threading.Event()
        self._quiet = threading.Event()
        self._lock = threading.Lock()
        self._threads = []
        self._files = tempfile.TemporaryDirectory()
        self._written = itertools.count()

    def start(self, threads):
        """More of them, from now on."""
        for _ in range(threads):
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def hush(self, quiet):
        """While quiet no file is begun: something is measured."""
        (self._quiet.set if quiet else self._quiet.clear)()

    def finish(self, within_s, results):
        """Waits for what is left, at most so long; None: however long. Adds the outcome. Returns how many were not judged."""
        deadline = None if within_s is None else time.monotonic() + within_s
        for thread in self._threads:
            thread.join(None if deadline is None else max(deadline - time.monotonic(), 0))
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._files.cleanup()
        left = self.total - self.known - self._judged
        print(f"clang-tidy: {self.total - left} of {self.total} files judged, {self.known} of them known to be clean"
              + (f"; NOT judged for want of time: {left} (all: tests/run --long)" if left else ""), flush=True)
        if self.faulty or self.total:
            results.add("failed" if self.faulty else "passed", f"clang-tidy of {', '.join(sorted(self.faulty))}")
        else:
            results.add("skipped", "clang-tidy: no file to judge")
        return left

    def _next(self):
        with self._lock:
            return self._todo.pop(0) if self._todo else None

    def _work(self):
        while not self._stop.is_set():
            while self._quiet.is_set() and not self._stop.wait(0.2):
                pass
            batch = None if self._stop.is_set() else self._next()
            if batch is None:
                return
            self._judge(batch)

    def _judge(self, batch):
        directory = pathlib.Path(self._files.name) / str(next(self._written))
        words = self._commands[batch.names[0]]
        words = words + [more for more in include_directories(self._commands[name] for name in batch.names) if more not in words]
        options = batch.write(ROOT, directory, self._build, words)
        done = subprocess.run(["nice", "-n", "19", PROGRAM, "--quiet", *self._options, *options], cwd=ROOT, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        said = batch.named(done.stdout or done.stderr)
        if done.returncode != 0 and "clang-diagnostic-error" in said and len(batch.names) > 1:
            with self._lock:  # they do not go together
                self._todo[:0] = batch.halves(self._read)
            return
        places = places_in(said) if done.returncode != 0 else set()
        if places is None or any(place.endswith(".h") for place in places):
            found = set(batch.names)  # what a header has, all have that include it
        else:
            found = set(batch.names) & places
        with self._lock:
            self._judged += len(batch.names)
            self.faulty += found
            if found:
                print(said, flush=True)
        for name in set(batch.names) - found:
            for key in self._keys[name]:
                self._verdicts.remember(key)
