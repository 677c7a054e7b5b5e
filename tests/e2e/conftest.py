# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: a lab for each test, and the logs of the balancer beside a failure."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab import registered  # noqa: E402
from lab.balancer import EXAMPLE  # noqa: E402
from lab.etcd import Etcd  # noqa: E402
from lab.fleet import Fleet  # noqa: E402
from lab.lab import Lab  # noqa: E402
from lab.shell import tail  # noqa: E402


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("end-to-end tests make network namespaces, which needs root: run with sudo", returncode=1)


@pytest.fixture
def lab():
    with Lab() as made:
        yield made


@pytest.fixture
def config(lab):
    """A function that writes a copy of the lab's configuration with some text replaced, and returns its path."""
    def changed(*replacements):
        text = EXAMPLE.read_text()
        for old, new in replacements:
            assert old in text, f"{EXAMPLE.name} no longer holds {old!r}"
            text = text.replace(old, new)
        path = lab.directory / "changed.cfg"
        path.write_text(text)
        return path
    return changed


@pytest.fixture
def fleet(lab, request):
    """Nodes behind a router, not started; by the marks `moving` and `three`."""
    marked = request.node.get_closest_marker
    made = Fleet(lab, moving=bool(marked("moving")), count=3 if marked("three") else 2)
    made.build()
    yield made
    made.stop()


@pytest.fixture
def etcd(lab):
    return Etcd(lab)


@pytest.fixture
def start_registered(lab, config, etcd):
    """A function that starts the lab with a pool mta whose members are told by etcd alone; `files`: others than those that are
    right."""
    def start(**files):
        lab.start_backends()
        lab.start_balancer(config(*registered.settings(etcd, **files)), healthy=False)
    return start


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    item.failed = getattr(item, "failed", False) or report.failed
    arguments = getattr(item, "funcargs", {})
    lab = arguments.get("lab") or getattr(arguments.get("world"), "lab", None)
    if report.failed and lab and lab.balancer:
        for path in sorted(lab.balancer.directory.glob("*.log")):
            report.sections.append((path.name, tail(path, 40)))
