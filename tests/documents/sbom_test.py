# SPDX-License-Identifier: Apache-2.0
"""The bill of materials that a package is built with: an SPDX 2.3 document, true of the programs, and the same every time. Those in
the packages themselves are looked at by tests/machine."""
import json
import os
import re
import subprocess
import sys

import pytest

from lab.balancer import ROOT, build_directory
from lab.sbom import require_valid

sys.path.insert(0, str(ROOT / "debian"))

from sbom import licences, parts  # noqa: E402
from sbom.document import document  # noqa: E402

EPOCH_S = 1796000000


def make(root, output, package="sluice", epoch=str(EPOCH_S)):
    return subprocess.run([ROOT / "debian/make-sbom", "--package", package, "--version", "1.2.3", "--architecture", "amd64", "--root", root,
                           "--build", build_directory(), "--output", output], text=True, capture_output=True, timeout=300,
                          env={**os.environ, "SOURCE_DATE_EPOCH": epoch})


@pytest.fixture(scope="module")
def made(installed, tmp_path_factory):
    """The text of a document of what `meson install` puts in place."""
    path = tmp_path_factory.mktemp("sbom") / "sluice.spdx.json"
    done = make(installed, path)
    assert done.returncode == 0, done.stderr
    return path.read_text()


def installed_version(package):
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], text=True, capture_output=True, check=True).stdout


def test_the_document_is_spdx_and_names_what_the_programs_are_made_of(made):
    found = require_valid(json.loads(made), "sluice", "1.2.3")
    for package, kind in (("librte-eal23", "DYNAMIC_LINK"), ("libhyperscan5", "DYNAMIC_LINK"), ("libssl3", "DYNAMIC_LINK"),
                          ("libcap2", "DEPENDS_ON"), ("libboost1.81-dev", "STATIC_LINK"), ("nlohmann-json3-dev", "STATIC_LINK"),
                          ("librte-net-tap23", "RUNTIME_DEPENDENCY_OF")):
        assert (found[package].kind, found[package].version) == (kind, installed_version(package)), package
    assert found["libssl3"].licence == "Apache-2.0" and found["librte-eal23"].licence == "BSD-3-Clause"
    # Of tests and benchmarks alone, which are built beside the programs.
    assert not {name for name in found if "gtest" in name or "benchmark" in name}


def test_every_library_that_the_loader_takes_is_in_it(made, installed):
    names = {entry["name"] for entry in json.loads(made)["packages"]}
    programs = parts.programs(installed)
    assert {path.name for path in programs} >= {"sluice-control", "sluice-dataplane", "sluicectl"}
    for program in programs:
        owner = parts.owners(parts.loaded_libraries(program).values())
        assert owner and {package.split(":")[0] for package in owner.values()} <= names


def test_the_same_build_gives_the_same_bytes(made, installed, tmp_path):
    again = make(installed, tmp_path / "again.json")
    assert again.returncode == 0 and (tmp_path / "again.json").read_text() == made
    assert json.loads(made)["creationInfo"]["created"] == "2026-11-30T00:53:20Z"
    assert str(ROOT) not in made and str(installed) not in made


@pytest.mark.parametrize("epoch", ["", "yesterday"])
def test_it_has_no_time_of_its_own(installed, tmp_path, epoch):
    done = make(installed, tmp_path / "none.json", epoch=epoch)
    assert done.returncode != 0 and "seconds since 1970" in done.stderr and not (tmp_path / "none.json").exists()


def test_a_program_that_the_build_does_not_make_is_told(tmp_path):
    (tmp_path / "root/usr/bin").mkdir(parents=True)
    (tmp_path / "root/usr/bin/strange").write_bytes(open("/bin/true", "rb").read())
    done = make(tmp_path / "root", tmp_path / "none.json")
    assert done.returncode != 0 and "/usr/bin/strange: " in done.stderr and "makes no such program" in done.stderr


def test_a_package_without_programs_has_a_document_too(tmp_path):
    text = document("sluice-doc", "1.2.3~rc1", "all", parts.parts_of(tmp_path, tmp_path, ROOT / "debian/control", "sluice-doc"), EPOCH_S)
    assert list(require_valid(json.loads(text), "sluice-doc", "1.2.3~rc1")) == []
    assert "pkg:deb/sluice/sluice-doc@1.2.3~rc1?arch=all" in text


@pytest.mark.parametrize("said, licence", [
    ("Expat", "MIT"), ("LGPL-2.1 or BSD-2-Clause", "LGPL-2.1-only OR BSD-2-Clause"), ("GPL-2.0 OR BSD-2-Clause", "GPL-2.0-only OR BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"), ("Expat with embedded exception", "NOASSERTION"), ("or", "NOASSERTION"), ("Expat or", "NOASSERTION"),
    ("Expat Expat Expat", "NOASSERTION"), ("Expat or Zlib and Expat", "NOASSERTION"), ("", "NOASSERTION")])
def test_licences_are_told_in_spdx_words_or_not_at_all(said, licence):
    assert licences.expression(said) == licence


def test_licences_are_read_from_debians_files(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new/copyright").write_text("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
                                            "Files: debian/*\nLicense: GPL-2+\n\nFiles: *\nCopyright: many\nLicense: Expat\n words\n")
    (tmp_path / "old").mkdir()
    (tmp_path / "old/copyright").write_text("This package was put together by hand.\nLicense: Expat\n")
    assert licences.of_package("new:amd64", tmp_path) == ("MIT", "Expat")
    assert licences.of_package("old", tmp_path) == licences.of_package("none", tmp_path) == ("NOASSERTION", "")


def test_every_word_for_a_licence_is_one_of_spdx():
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", licence) for licence in licences.WORDS.values())
