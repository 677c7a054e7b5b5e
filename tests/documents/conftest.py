# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of what is installed besides the programs: one installation into a directory for all."""
import pathlib
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab.balancer import ROOT, build_directory  # noqa: E402


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The root of a `meson install --destdir`; the prefix is what the build has."""
    root = tmp_path_factory.mktemp("root")
    done = subprocess.run(["meson", "install", "-C", build_directory(), "--no-rebuild", "--destdir", root], cwd=ROOT, text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture(scope="session")
def find(installed):
    """The one installed file whose path ends so."""
    def found(suffix):
        (path,) = [path for path in installed.rglob("*") if path.is_file() and str(path).endswith(suffix)]
        return path
    return found
