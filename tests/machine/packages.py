# SPDX-License-Identifier: Apache-2.0
"""The project's Debian packages, built from a copy of its files, as dpkg-buildpackage does."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from lab.balancer import ROOT
from runner.compiling import environment
from runner.shell import tracked

NAMES = ["sluice", "sluice-tools", "sluice-doc"]
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


def build_packages(directory, log):
    """Builds all packages in `directory`/sluice. Returns their paths: name -> .deb. Raises if dpkg-buildpackage does."""
    tree = directory / "sluice"
    copy_sources(tree)
    with open(log, "wb") as out:
        subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b", f"-j{os.cpu_count()}"], cwd=tree, env=environment(), stdout=out,
                       stderr=subprocess.STDOUT, check=True, timeout=3600)
    return found(directory)


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
