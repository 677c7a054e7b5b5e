# SPDX-License-Identifier: Apache-2.0
"""The signed apt repository: what apt takes from it, and what it refuses. Packages are small ones; tests/machine installs the real
ones from there."""
import shutil
import tempfile

import pytest

from lab.repository import SUITE, Apt, Key, make_repository, small_package, source


@pytest.fixture(scope="module")
def keys():
    """Two keys, in paths that are short enough for gpg's agent."""
    directory = tempfile.mkdtemp(prefix="sluice-keys-")
    made = [Key(f"{directory}/{name}", name) for name in ("ours", "theirs")]
    yield made
    for key in made:
        key.close()
    shutil.rmtree(directory)


@pytest.fixture
def repository(keys, tmp_path):
    """One with sluice 1.0."""
    done = make_repository(tmp_path / "repository", keys[0], small_package(tmp_path, "sluice", "1.0"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "repository"


def index_files(repository):
    return sorted((repository / "dists" / SUITE / "main/binary-amd64").glob("Packages*"))


def change_a_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def require_refused(apt, reason):
    done = apt.get("update")
    assert done.returncode != 0 and reason in done.stdout + done.stderr, done.stdout + done.stderr
    assert apt.versions("sluice") == []


def test_apt_takes_what_is_signed(repository, tmp_path):
    apt = Apt(tmp_path / "apt", source(repository))
    done = apt.get("update")
    assert done.returncode == 0 and "W:" not in done.stderr, done.stderr
    assert apt.versions("sluice") == ["1.0"]
    assert apt.get("download", "sluice").returncode == 0
    assert (tmp_path / "apt/sluice_1.0_amd64.deb").read_bytes() == (tmp_path / "sluice_1.0_amd64.deb").read_bytes()
    assert "Inst sluice" in apt.get("install", "--simulate", "sluice").stdout


def test_apt_refuses_an_index_of_which_a_byte_is_changed(repository, tmp_path):
    files = index_files(repository)
    assert [path.name for path in files] == ["Packages", "Packages.gz", "Packages.xz"]
    for path in files:  # whichever apt takes
        change_a_byte(path)
    require_refused(Apt(tmp_path / "apt", source(repository)), "Hash Sum mismatch")


def test_apt_refuses_a_package_of_which_a_byte_is_changed(repository, tmp_path):
    apt = Apt(tmp_path / "apt", source(repository))
    assert apt.get("update").returncode == 0
    change_a_byte(repository / "pool/main/sluice_1.0_amd64.deb")
    done = apt.get("download", "sluice")
    assert done.returncode != 0 and "Hash Sum mismatch" in done.stderr, done.stderr


def test_apt_refuses_a_list_of_which_a_byte_is_changed(repository, tmp_path):
    path = repository / "dists" / SUITE / "InRelease"
    text = path.read_text()
    assert "Label: Sluice" in text
    path.write_text(text.replace("Label: Sluice", "Label: Sluicf"))
    require_refused(Apt(tmp_path / "apt", source(repository)), "BADSIG")


def test_apt_refuses_another_key(repository, keys, tmp_path):
    keys[1].gpg("--batch", "--yes", "--output", str(repository / "sluice-archive-keyring.gpg"), "--export", keys[1].address)
    require_refused(Apt(tmp_path / "apt", source(repository)), "NO_PUBKEY")


def test_a_suite_has_what_was_given_for_it_alone(repository, keys, tmp_path):
    """A version is tried by those who follow one suite, and passes to the other by being given again."""
    def versions(suite):
        apt = Apt(tmp_path / f"apt-{suite}-{len(list(tmp_path.iterdir()))}", source(repository, suite))
        assert apt.get("update").returncode == 0
        return apt.versions("sluice")
    trial = f"{SUITE}-testing"
    new = small_package(tmp_path, "sluice", "1.1")
    assert make_repository(repository, keys[0], new, suite=trial).stdout == f"1 packages in {repository}, suite {trial}\n"
    assert make_repository(repository, keys[0], small_package(tmp_path, "sluice-doc", "1.0")).returncode == 0
    assert (versions(SUITE), versions(trial)) == (["1.0"], ["1.1"])
    assert make_repository(repository, keys[0], new).returncode == 0
    assert (versions(SUITE), versions(trial)) == (["1.1", "1.0"], ["1.1"])


def test_versions_are_added_and_earlier_ones_stay(repository, keys, tmp_path):
    done = make_repository(repository, keys[0], small_package(tmp_path, "sluice", "1.1"), small_package(tmp_path, "sluice-doc", "1.1"))
    assert done.returncode == 0 and done.stdout == f"3 packages in {repository}, suite {SUITE}\n", done.stderr
    apt = Apt(tmp_path / "apt", source(repository))
    assert apt.get("update").returncode == 0
    assert apt.versions("sluice") == ["1.1", "1.0"] and apt.versions("sluice-doc") == ["1.1"]
    assert sorted(path.name for path in repository.iterdir()) == ["dists", "pool", "sluice-archive-keyring.gpg"]


def test_the_index_depends_on_nothing_but_packages_and_the_date(keys, tmp_path):
    packages = [small_package(tmp_path, name, "1.0") for name in ("sluice", "sluice-doc", "sluice-tools")]
    for name, order in (("first", packages), ("second", packages[::-1])):
        assert make_repository(tmp_path / name, keys[0], *order, epoch=1796000000).returncode == 0
    first, second = (tmp_path / name / "dists" / SUITE for name in ("first", "second"))
    assert (first / "Release").read_bytes() == (second / "Release").read_bytes()
    assert "Date: Mon, 30 Nov 2026 00:53:20 +0000" in (first / "Release").read_text()


def snapshot(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fault, told", [
    ("another package under a name that is out", "the repository has other bytes under that name"),
    ("no package", "is no Debian package"),
    ("no key", 'gpg has no secret key "nobody@sluice.example"'),
    ("nothing", "usage: make-repository DIRECTORY --key KEY"),
])
def test_a_fault_is_told_and_changes_nothing(repository, keys, tmp_path, fault, told):
    before = snapshot(repository)
    (tmp_path / "again").mkdir()
    good = small_package(tmp_path / "again", "sluice-doc", "1.0")
    given = {"another package under a name that is out": lambda: [good, small_package(tmp_path / "again", "sluice", "1.0", "else")],
             "no package": lambda: [good, repository / "sluice-archive-keyring.gpg"], "no key": lambda: [good], "nothing": lambda: []}[fault]()
    done = make_repository(repository, keys[0], *given, name="nobody@sluice.example" if fault == "no key" else None)
    assert done.returncode != 0 and told in done.stderr, done.stderr
    assert snapshot(repository) == before
