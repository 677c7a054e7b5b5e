# SPDX-License-Identifier: Apache-2.0
"""What programs are made of, asked of the programs and of their build: shared libraries that they name, those that come with
them, and headers that were compiled in; and which of Debian's packages these are of."""
import dataclasses
import json
import os
import pathlib
import re
import subprocess

from . import licences

ELF = b"\x7fELF"
FIELDS = ["binary:Package", "Version", "Architecture", "source:Package", "source:Version"]
MOST_PATHS = 500  # in one question to dpkg-query


@dataclasses.dataclass(frozen=True, order=True)
class Component:
    """A Debian package as it is installed where the programs are built."""
    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    licence: str  # an SPDX expression, or NOASSERTION
    licence_words: str  # Debian's


def say(*argv, check=True):
    """What a program prints, in no language but its own."""
    done = subprocess.run([str(word) for word in argv], text=True, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if check and done.returncode != 0:
        raise RuntimeError(f"{argv[0]}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def programs(root):
    """ELF files below a directory, in order; links are passed over."""
    out = []
    for path in sorted(pathlib.Path(root).rglob("*")):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb") as file:
                if file.read(len(ELF)) == ELF:
                    out.append(path)
    return out


def named_libraries(program):
    """Names of the libraries that the linker wrote into a program: "libhs.so.5"."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", say("readelf", "-dW", program)))


def loaded_libraries(program):
    """Name -> path of every library that the loader takes for a program. Raises for one that is not there."""
    out = {}
    for line in say("ldd", program).splitlines():
        if "not found" in line:
            raise RuntimeError(f"{program}: {line.strip()}")
        found = re.match(r"\s*(?:(\S+) => )?(/\S+) \(0x", line)
        if found:
            out[found[1] or found[2].rsplit("/", 1)[1]] = found[2]
    return out


def build_target(build, installed):
    """The name that ninja has for what is installed as `installed` ("/usr/sbin/sluicectl")."""
    root = pathlib.Path(build).resolve()
    for made, place in json.loads(say("meson", "introspect", "--installed", root)).items():
        if place == installed and pathlib.Path(made).is_relative_to(root):
            return str(pathlib.Path(made).relative_to(root))
    raise RuntimeError(f"{installed}: {build} makes no such program")


def system_headers(build, target):
    """Headers outside of the project that were read for anything that `target` is made of."""
    wanted = set(say("ninja", "-C", build, "-t", "inputs", target).splitlines())
    out, counts = set(), False
    for line in say("ninja", "-C", build, "-t", "deps").splitlines():
        if line and not line[0].isspace():
            counts = line.split(": #deps")[0] in wanted
        elif counts and line.strip().startswith("/usr/include/"):
            out.add(line.strip())
    return out


def owners(paths):
    """Path -> package. A file that belongs to no package is left out."""
    asked = {}
    for path in paths:
        real = os.path.realpath(path)
        # dpkg has the names of before the merge of / and /usr for some.
        for name in (path, real, real.removeprefix("/usr")):
            asked.setdefault(name, path)
    out, names = {}, sorted(asked)
    for first in range(0, len(names), MOST_PATHS):
        for line in say("dpkg-query", "-S", *names[first:first + MOST_PATHS], check=False).splitlines():
            package, found = line.split(": ", 1)
            if found in asked and not package.startswith("diversion by"):
                out[asked[found]] = package.split(",")[0]
    return out


def describe(packages):
    """The installed packages of these names, in order."""
    if not packages:
        return []
    out = []
    for line in say("dpkg-query", "-W", "-f", "\t".join(f"${{{field}}}" for field in FIELDS) + "\n", *sorted(packages)).splitlines():
        name, version, architecture, source, source_version = line.split("\t")
        name = name.split(":")[0]
        out.append(Component(name, version, architecture, source, source_version, *licences.of_package(name)))
    return sorted(set(out))


@dataclasses.dataclass
class Parts:
    """Of all programs in a package."""
    linked: list  # named by a program
    loaded: list  # come with those
    compiled: list  # headers alone: of no source that a library above is of
    drivers: list  # DPDK takes them when it starts


def drivers_of(control, package):
    """Packages that `package` depends on by name because DPDK loads what is in them, from debian/control."""
    for paragraph in pathlib.Path(control).read_text().split("\n\n"):
        if re.search(rf"^Package: {re.escape(package)}$", paragraph, re.M):
            depends = re.search(r"^Depends:((?:\n?[ \t].*)+)", paragraph, re.M)
            return set(re.findall(r"\b(librte-[a-z0-9-]+)", depends[1])) if depends else set()
    raise RuntimeError(f"{control}: no package {package}")


def parts_of(root, build, control, package):
    """Looks at every program below `root`, where they lie as they will be installed."""
    named, loaded, headers = set(), {}, set()
    for program in programs(root):
        named |= named_libraries(program)
        loaded |= loaded_libraries(program)
        headers |= system_headers(build, build_target(build, f"/{program.relative_to(root)}"))
    owner = owners(loaded.values())
    strange = sorted(path for path in loaded.values() if path not in owner)
    if strange:
        raise RuntimeError(f"of no package: {', '.join(strange)}")
    linked = describe({owner[path] for name, path in loaded.items() if name in named})
    others = [component for component in describe(set(owner.values())) if component not in linked]
    drivers = [component for component in describe(drivers_of(control, package)) if component not in linked + others]
    sources = {component.source for component in linked + others + drivers}
    compiled = [component for component in describe(set(owners(headers).values())) if component.source not in sources]
    return Parts(linked, others, compiled, drivers)
