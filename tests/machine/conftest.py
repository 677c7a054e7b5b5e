# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with installed packages: the packages, a disk that they are installed on, once for all, and machines
that boot from it."""
import os
import pathlib
import shutil
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.lab import Lab  # noqa: E402
from machine import image  # noqa: E402
from machine.appliance import Appliance  # noqa: E402
from machine.packages import cache, packages  # noqa: E402


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the tests of packages make a root of their own, which needs root: run with sudo", returncode=1)


@pytest.fixture(scope="session")
def built():
    """Name -> .deb."""
    return packages()


@pytest.fixture(scope="session")
def disk(built, tmp_path_factory):
    """Paths of a disk, a kernel and its first root."""
    directory = tmp_path_factory.mktemp("disk", numbered=True)
    yield image.disk(directory, built)
    (directory / "disk").unlink(missing_ok=True)


@pytest.fixture
def root(built):
    """A directory with a small Debian in which nothing of ours is installed yet."""
    directory = cache() / "root"
    image.remove(directory)
    image.run("cp", "-a", image.base(built), directory)
    yield directory
    image.remove(directory)


@pytest.fixture
def appliance(disk, tmp_path):
    """A function that turns a machine on, whose cards and other traits it is told; what the machine left is shown beside a failure."""
    made = []
    with Lab(backends=3) as lab:
        def turn_on(cards, **machine):
            directory = lab.directory / "machine"
            directory.mkdir()
            made.append(Appliance(lab, directory, disk, cards, **machine))
            lab.start_backends()
            return made[0]
        yield turn_on
        for machine in made:
            try:
                if machine.cards and not (machine.directory / "metrics.txt").exists():  # one that never came up tells nothing
                    machine.bring_back()
            finally:
                machine.guest.stop()
                for path in machine.directory.glob("*.*"):
                    shutil.copy(path, tmp_path)
                    print(f"--- {path.name}\n{path.read_text(errors='replace')[-6000:]}")
