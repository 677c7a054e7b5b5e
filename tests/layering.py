#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the direction of dependency (DESIGN.md section 9) from the #include lines themselves.

A program's main.cc wires things together and may include any module; nothing else may reach against
the direction. Exit code 1 and one line per fault, or 0.
"""
import pathlib
import re
import sys

ALLOWED = {
    "config": {"config/"},
    "dataplane": {"dataplane/"},
    "healthcheck": {"healthcheck/", "config/"},
    "controlplane": {"controlplane/", "healthcheck/", "config/", "dataplane/contract/"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def faults(root: pathlib.Path):
    for module, allowed in ALLOWED.items():
        for path in sorted((root / module).rglob("*")):
            if path.suffix not in {".cc", ".h"} or path.name == "main.cc":
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if match and not any(match[1].startswith(prefix) for prefix in allowed):
                    yield f"{path.relative_to(root)}:{number}: {module}/ may not include {match[1]}"


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    found = list(faults(root))
    if not any((root / "dataplane").rglob("*.h")):
        found.append(f"{root}: no headers found, nothing was checked")
    print("\n".join(found) or "layering: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
