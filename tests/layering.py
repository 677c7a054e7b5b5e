#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the direction of dependency (docs/development.md) from the #include lines themselves.

Two rules, both as data below: which modules a module may include, and, within a module, which rooms a room may: those
before it, and those that are everybody's. A program's main.cc wires things together and may include any room of its
module and configuration. Exit code 1 and one line per fault, or 0.
"""
import pathlib
import re
import sys

MODULES = {
    "config": {"config/"},
    "dataplane": {"dataplane/"},
    "healthcheck": {"healthcheck/", "config/"},
    "controlplane": {"controlplane/", "healthcheck/", "config/", "dataplane/contract/"},
}
# From left to right.
ROOMS = {
    "dataplane": ["contract", "base", "packet", "flow", "smtp", "peers", "worker", "device", "process"],
    "controlplane": ["base", "tables", "kernel", "weights", "model", "changes", "fleet", "discovery", "security", "announce", "channel", "figures", "inspect", "records", "http", "api",
                     "metrics", "page", "process"],
    "config": ["file", "schema"],
}
# Apart from the rest of its module: a client of what the others serve.
APART = {"controlplane/ctl/": {"controlplane/ctl/", "controlplane/base/", "config/"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def room_of(name):
    """("dataplane", 3) of "dataplane/flow/flow_table.h"; None for what lies in no room."""
    module, _, rest = name.partition("/")
    room = rest.partition("/")[0]
    return (module, ROOMS[module].index(room)) if room in ROOMS.get(module, ()) else None


def fault_of(name, included):
    """Why the file `name` may not include `included`, or None."""
    module = name.partition("/")[0]
    is_main = name.endswith("/main.cc")
    for place, allowed in APART.items():
        if name.startswith(place) and not included.startswith(tuple(allowed)):
            return f"{place} may not include {included}"
        if included.startswith(place) and not name.startswith(place):
            return f"what lies in {place} is for nobody else: {included}"
    if not included.startswith(tuple(MODULES[module])) and not (is_main and included.startswith("config/")):
        return f"{module}/ may not include {included}"
    here, there = room_of(name), room_of(included)
    if here and there and here[0] == there[0] and there[1] > here[1]:
        return f"room {ROOMS[module][here[1]]} may not include {included}"
    return None


def homeless(root):
    """Files of a module with rooms that lie in none."""
    for module in ("dataplane", "controlplane"):
        for path in sorted((root / module).glob("*")):
            if path.suffix in {".cc", ".h"}:
                yield f"{path.relative_to(root)}: lies in no room"
            elif path.is_dir() and path.name not in ROOMS[module] and f"{module}/{path.name}/" not in APART:
                yield f"{path.relative_to(root)}: is no room that tests/layering.py knows"


def faults(root):
    for module in MODULES:
        for path in sorted((root / module).rglob("*")):
            if path.suffix not in {".cc", ".h"}:
                continue
            name = str(path.relative_to(root))
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                why = match and fault_of(name, match[1])
                if why:
                    yield f"{name}:{number}: {why}"


def self_test():
    """The rule itself, on made-up includes: a check that cannot fail would be none."""
    assert fault_of("dataplane/packet/packet.h", "dataplane/flow/flow_table.h")
    assert fault_of("dataplane/flow/flow_table.h", "dataplane/packet/packet.h") is None
    assert fault_of("dataplane/flow/flow_table.h", "config/model.h")
    assert fault_of("dataplane/process/main.cc", "config/load.h") is None
    assert fault_of("controlplane/model/model.h", "dataplane/contract/flow.h") is None
    assert fault_of("controlplane/model/model.h", "dataplane/flow/flow_table.h")
    assert fault_of("controlplane/ctl/client.cc", "controlplane/model/model.h")
    assert fault_of("controlplane/api/api.cc", "controlplane/page/page.h")


def main():
    self_test()
    root = pathlib.Path(sys.argv[1])
    found = [*homeless(root), *faults(root)]
    if not any((root / "dataplane").rglob("*.h")):
        found.append(f"{root}: no headers found, nothing was checked")
    print("\n".join(found) or "layering: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
