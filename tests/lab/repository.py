# SPDX-License-Identifier: Apache-2.0
"""A signed apt repository made by debian/make-repository with a key of the moment, and an apt that knows nothing else."""
import os
import pathlib
import shutil
import subprocess

from lab.balancer import ROOT
from lab.shell import run

SUITE = "bookworm"


class Key:
    """A key without a password, in a keyring of its own."""

    def __init__(self, directory, name):
        # Beside the socket of gpg's agent, whose path may have 107 bytes.
        self.home = pathlib.Path(directory)
        self.home.mkdir(mode=0o700)
        self.environment = {**os.environ, "GNUPGHOME": str(self.home)}
        self.address = f"{name}@sluice.example"
        self.gpg("--batch", "--passphrase", "", "--quick-generate-key", f"{name} <{self.address}>", "ed25519", "sign", "0")

    def gpg(self, *words):
        subprocess.run(["gpg", "--quiet", *words], env=self.environment, check=True, capture_output=True, timeout=120)

    def close(self):
        """Ends the agent that gpg has started."""
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=False, capture_output=True, timeout=120)
        shutil.rmtree(self.home, ignore_errors=True)


def make_repository(directory, key, *packages, name=None, epoch=None, suite=None):
    """Runs the script. Returns what it did."""
    environment = {**key.environment, **({"SOURCE_DATE_EPOCH": str(epoch)} if epoch else {})}
    return subprocess.run([ROOT / "debian/make-repository", directory, "--key", name or key.address, *(["--suite", suite] if suite else []),
                           *packages], text=True, capture_output=True,
                          timeout=300, env=environment)


def source(repository, suite=SUITE):
    """What stands in sources.list.d for it."""
    return (f"Types: deb\nURIs: file:{repository}\nSuites: {suite}\nComponents: main\n"
            f"Signed-By: {repository}/sluice-archive-keyring.gpg\n")


class Apt:
    """apt-get with directories of its own: it installs nothing, and reads nothing of this machine's."""

    def __init__(self, root, sources):
        self.root = pathlib.Path(root)
        for name in ("etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/apt.conf.d", "etc/apt/trusted.gpg.d", "var/lib/apt/lists/partial",
                     "var/lib/dpkg", "var/cache/apt/archives/partial", "var/log/apt"):
            (self.root / name).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        (self.root / "etc/apt/sources.list.d/sluice.sources").write_text(sources)
        configuration = self.root / "apt.conf"
        configuration.write_text(f'Dir "{self.root}";\nDir::State::status "{self.root}/var/lib/dpkg/status";\nAPT::Architecture "amd64";\n'
                                 'APT::Sandbox::User "root";\nAPT::Update::Error-Mode "any";\nAcquire::Languages "none";\n')
        self.environment = {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C.UTF-8"}

    def get(self, *words):
        return subprocess.run(["apt-get", "-q", *words], text=True, capture_output=True, timeout=300, cwd=self.root, env=self.environment)

    def versions(self, package):
        """Those that could be installed, the newest first."""
        lines = subprocess.run(["apt-cache", "madison", package], text=True, capture_output=True, timeout=120, env=self.environment).stdout.splitlines()
        return [line.split("|")[1].strip() for line in lines]


def small_package(directory, name, version, text="nothing"):
    """A package with one file. Returns its path."""
    tree = pathlib.Path(directory) / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <nobody@sluice.example>\n"
                                         f"Description: a package of a test\n")
    (tree / "usr/share").mkdir(parents=True)
    (tree / "usr/share" / name).write_text(text)
    out = pathlib.Path(directory) / f"{name}_{version}_amd64.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, out)
    shutil.rmtree(tree)
    return out
