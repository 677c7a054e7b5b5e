# SPDX-License-Identifier: Apache-2.0
"""The packages as files: what is in them, what lintian says, whether another build has the same bytes, and what they do in a
small Debian in which nothing of ours is installed yet. No systemd runs there."""
import json
import pathlib
import re
import subprocess
import tempfile

import pytest

from lab.balancer import ROOT
from lab.confined import words
from lab.repository import Key, make_repository, source
from lab.sbom import require_valid
from lab.shell import run

from . import image
from .packages import NAMES, build_packages, compile_sample

SAMPLE = 12  # objects that are compiled twice; one takes ten seconds

# A device that is a TAP.
MINIMAL = (ROOT / "config/examples/minimal.cfg").read_text().replace('"0000:3b:00.0"', '"net_tap0,iface=wire0"').replace(
    "dataplane: {", "dataplane: { hugepages = false; memory_mb = 128; idle = \"sleep\";")
START = """set -e
/usr/lib/sluice/prepare-instance sluice
install -d -m 750 -o sluice-control -g sluice /var/lib/sluice/sluice
ip link set lo up
setpriv --reuid=sluice-dataplane --regid=sluice-dataplane --clear-groups --no-new-privs --bounding-set=%(dataplane)s --inh-caps=%(dataplane)s \
  --ambient-caps=%(dataplane)s sluice-dataplane --config /etc/sluice/sluice.cfg > /tmp/dataplane.log 2>&1 &
setpriv --reuid=sluice-control --regid=sluice --init-groups --no-new-privs --bounding-set=%(control)s --inh-caps=%(control)s \
  --ambient-caps=%(control)s sluice-control --config /etc/sluice/sluice.cfg > /tmp/control.log 2>&1 &
for i in $(seq 600); do
  sluicectl --config /etc/sluice/sluice.cfg status --json > /tmp/status 2>&1 && grep -q '"connected": *true' /tmp/status && break
  sleep 0.1
done
grep -q '"connected": *true' /tmp/status || { cat /tmp/status /tmp/dataplane.log /tmp/control.log; exit 1; }
kill %%1 %%2
wait
"""


def contents(package):
    return {line.split(None, 5)[5].split(" -> ")[0].removeprefix(".") for line in run("dpkg-deb", "-c", package).splitlines()}


def test_packages_hold_what_they_are_for(built):
    sluice, tools, docs = (contents(built[name]) for name in NAMES)
    assert {"/usr/sbin/sluice-dataplane", "/usr/sbin/sluice-control", "/usr/sbin/sluicectl", "/lib/systemd/system/sluice-control@.service",
            "/lib/systemd/system/sluice-dataplane@.service", "/usr/lib/sysusers.d/sluice.conf", "/usr/lib/tmpfiles.d/sluice.conf",
            "/lib/udev/rules.d/60-sluice.rules", "/usr/share/man/man5/sluice.cfg.5.gz", "/usr/share/man/man8/sluicectl.8.gz",
            "/usr/share/bash-completion/completions/sluicectl", "/usr/share/sluice/prometheus/alerts.yml", "/etc/sluice/"} <= sluice
    assert {"/usr/sbin/sluice-blast", "/usr/sbin/sluice-perf-mail", "/usr/share/man/man8/sluice-tools.8.gz"} <= tools
    assert any(name.startswith("/usr/share/doc/sluice/docs/installing.md") for name in docs)
    assert not [name for name in sluice | tools | docs if "bench_" in name or "config-reference" in name]


def test_lintian_finds_no_error(built):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", "--no-tag-display-limit", *built.values()], text=True,
                          capture_output=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def is_installed(package):
    return subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package], text=True, capture_output=True).stdout == "installed"


def test_each_package_has_its_bill_of_materials(built, tmp_path):
    found = {}
    for name, package in built.items():
        run("dpkg-deb", "-x", package, tmp_path / name)
        text = (tmp_path / name / "usr/share/doc" / name / f"{name}.spdx.json").read_text()
        found[name] = require_valid(json.loads(text), name, run("dpkg-deb", "-f", package, "Version").strip())
        wanted = [library for library in image.dependencies(package) if library.startswith("lib")]
        # Without names that are another package's besides its own, and not installed as such.
        assert {library for library in wanted if is_installed(library)} <= set(found[name]), "what apt is told to install with it is in it"
    for library in ("librte-eal23", "libhyperscan5", "libssl3"):
        assert found["sluice"][library].version == run("dpkg-query", "-W", "-f", "${Version}", library)
    assert "librte-net-ring23" in found["sluice-tools"] and "librte-net-ring23" not in found["sluice"]


def capability_list(unit):
    lines = (ROOT / "config/systemd" / f"{unit}@.service").read_text().splitlines()
    held = words({"AmbientCapabilities": [line.split("=", 1)[1] for line in lines if line.startswith("AmbientCapabilities=")]}, "AmbientCapabilities")
    return ",".join(["-all", *(f"+{name}" for name in sorted(held))])


def start(root):
    """Both processes come up as their users, with the capabilities of their units, and end again."""
    script = START % {"dataplane": capability_list("sluice-dataplane"), "control": capability_list("sluice-control")}
    image.inside(root, "bash", "-c", script)


def status_of(root, package):
    return image.inside(root, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}", package, check=False).stdout.strip()


@pytest.mark.timeout(1800)
def test_install_start_upgrade_remove_purge(built, root):
    image.install(root, built, NAMES)
    assert all(status_of(root, name) == "ii" for name in NAMES)
    image.inside(root, "getent", "passwd", "sluice-control", "sluice-dataplane")
    assert image.inside(root, "stat", "-c", "%U:%a", "/etc/sluice").stdout.strip() == "root:755"
    (root / "etc/sluice/sluice.cfg").write_text(MINIMAL)
    start(root)

    # Over itself, as an upgrade: what the operator wrote and what control remembers stays.
    (root / "var/lib/sluice/sluice/kept").touch()
    image.install(root, built, NAMES)
    assert (root / "etc/sluice/sluice.cfg").read_text() == MINIMAL and (root / "var/lib/sluice/sluice/kept").exists()
    start(root)

    image.inside(root, "dpkg", "-r", *NAMES)
    assert not (root / "usr/sbin/sluice-control").exists() and (root / "var/lib/sluice/sluice/kept").exists()
    image.inside(root, "dpkg", "-P", *NAMES)
    assert not (root / "var/lib/sluice").exists()
    assert (root / "etc/sluice/sluice.cfg").exists(), "the operator's"
    left = {str(path.relative_to(root)) for path in root.rglob("*sluice*")} - {"etc/sluice", "etc/sluice/sluice.cfg"}
    assert not {name for name in left if not re.match(r"(tmp|var/(log|cache|lib/(dpkg|systemd)))/", name)}, left


@pytest.mark.timeout(1800)
def test_apt_installs_from_a_signed_repository(built, root, tmp_path):
    place = pathlib.Path(tempfile.mkdtemp(prefix="sluice-key-"))
    key = Key(place / "key", "packages")
    try:
        done = make_repository(root / "srv/sluice", key, *built.values())
        assert done.returncode == 0, done.stderr
    finally:
        key.close()
        place.rmdir()
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    (root / "etc/apt/sources.list.d/sluice.sources").write_text(source(pathlib.Path("/srv/sluice")))
    image.inside(root, "apt-get", "-q", "update")
    image.inside(root, "apt-get", "-q", "-y", "install", *NAMES)
    assert all(status_of(root, name) == "ii" for name in NAMES)


def differences(first, second, directory):
    """What is not the same in two packages: files, or the lists of them, by name. For who has to mend it."""
    trees = []
    for name, package in (("first", first), ("second", second)):
        run("dpkg-deb", "-R", package, directory / name)
        trees.append({str(path.relative_to(directory / name)): path for path in (directory / name).rglob("*") if path.is_file() and not path.is_symlink()})
    files = [name for name in sorted(trees[0].keys() | trees[1].keys())
             if name not in trees[0] or name not in trees[1] or trees[0][name].read_bytes() != trees[1][name].read_bytes()]
    return files or sorted(set(run("dpkg-deb", "-c", first).splitlines()) ^ set(run("dpkg-deb", "-c", second).splitlines()))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_another_build_elsewhere_has_the_same_bytes(built, tmp_path):
    again = build_packages(tmp_path / "elsewhere/and/deeper", tmp_path / "log", elsewhere=True)
    assert {name: differences(built[name], again[name], tmp_path / name) for name in NAMES
            if built[name].read_bytes() != again[name].read_bytes()} == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_compiler_says_the_same_again_elsewhere(tmp_path):
    """What the cache once took may be of anywhere: so would be a difference that it hides from the test above."""
    here = compile_sample(tmp_path / "here", SAMPLE, cached=True)
    elsewhere = compile_sample(tmp_path / "elsewhere/and/deeper", SAMPLE, cached=False)
    assert len(here) >= SAMPLE and here.keys() == elsewhere.keys()
    assert [name for name in here if here[name] != elsewhere[name]] == []
