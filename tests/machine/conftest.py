# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with installed packages: the packages, and a disk that they are installed on, once for all."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from machine import image  # noqa: E402
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
