# SPDX-License-Identifier: Apache-2.0
"""The project's Debian packages, built from a copy of its files, as dpkg-buildpackage does."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from lab.balancer import ROOT
from runner.compiling import PROGRAMS, environment
from runner.shell import tracked

NAMES = ["sluice", "sluice-tools", "sluice-doc"]
# Of somebody else. Home and language are ours: the compiler cache is in the one, and has the other in its keys.
ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_TIME": "de_DE.UTF-8", "USER": "nobody", "LOGNAME": "nobody"}
LONG_AGO_S = 1_000_000_000  # before any of our changelogs
# What cannot change a package. Whoever changes these does not wait for another build.
WITHOUT = ("tests/", ".ci/", "demo")


def cache():
    """Where packages, roots and kernels are kept between runs."""
    directory = pathlib.Path(os.environ.get("SLUICE_MACHINE_CACHE", ROOT / "build" / "machine"))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def sources():
    return [name for name in tracked() if not name.startswith(WITHOUT)]


def digest(names):
    out = hashlib.sha256()
    for name in sorted(names):
        out.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    return out.hexdigest()[:16]


def copy_sources(directory):
    """A tree of the project's files alone, tests included, as a clone has."""
    for name in tracked():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def build_packages(directory, log, elsewhere=False):
    """Builds all packages in `directory`/sluice. Returns their paths: name -> .deb. Raises if dpkg-buildpackage does. `elsewhere`:
    as somebody else does, whose clock, language, files' times and rights of new files are others."""
    tree = directory / "sluice"
    copy_sources(tree)
    changes = ELSEWHERE if elsewhere else {}
    if elsewhere:
        for path in tree.rglob("*"):
            os.utime(path, (LONG_AGO_S, LONG_AGO_S), follow_symlinks=False)
    with open(log, "wb") as out:
        subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b", f"-j{os.cpu_count()}"], cwd=tree, env={**environment(), **changes},
                       stdout=out, stderr=subprocess.STDOUT, check=True, timeout=3600, umask=0o077 if elsewhere else 0o022)
    return found(directory)


def compile_sample(directory, count, cached):
    """Compiles about `count` of the objects of the three programs, as they are in the packages, in a tree at `directory`. Without the
    cache the compiler does it itself. Returns {name: what is in it, but for what only debuggers read}."""
    copy_sources(directory)
    settings = {**environment(), **({} if cached else {"CCACHE_DISABLE": "1", **ELSEWHERE})}
    build = directory / "obj"

    def say(*argv):
        return subprocess.run(argv, cwd=directory, env=settings, text=True, capture_output=True, check=True, timeout=3600).stdout
    say("meson", "setup", build, "-Dtests=false", "-Dperf=false")
    objects = sorted(name for name in say("ninja", "-C", build, "-t", "inputs", *PROGRAMS).splitlines() if name.endswith(".o"))
    sample = objects[::max(1, len(objects) // count)]
    say("ninja", "-C", build, f"-j{os.cpu_count()}", *sample)
    out = {}
    for name in sample:
        say("objcopy", "--strip-debug", build / name)
        out[name] = (build / name).read_bytes()
    return out


def found(directory):
    return {path.name.split("_")[0]: path for path in sorted(directory.glob("*.deb"))}


def packages():
    """The packages of the tree as it is, from an earlier run if nothing has changed since."""
    place = cache() / f"packages-{digest(sources())}"
    if set(found(place)) != set(NAMES):
        for old in cache().glob("packages-*"):
            shutil.rmtree(old)
        place.mkdir()
        try:
            build_packages(place, place / "build.log")
        except subprocess.SubprocessError as error:
            print((place / "build.log").read_text(errors="replace")[-5000:], file=sys.stderr)
            raise RuntimeError(f"{error}; see {place / 'build.log'}") from error
        shutil.rmtree(place / "sluice")
    return found(place)
