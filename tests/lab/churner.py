# SPDX-License-Identifier: Apache-2.0
"""Mail servers that join and leave at a rate, by the code of sluice-register itself, while others write into etcd as well. Run where etcd
can be reached; takes a Plan as JSON in its first argument, and tells of each change as a line of JSON: name, joins, time.

A process for each of them would measure how fast Python starts."""
import dataclasses
import itertools
import json
import sys
import threading
import time

from .etcd import PREFIX, register_module

LOAD_BYTES = 1000


@dataclasses.dataclass
class Plan:
    endpoints: list
    files: dict       # ca_file, cert_file, key_file
    pool: str
    members: dict     # name -> address of those that come and go; at first they are away
    changes: int      # joins and leaves, in all
    per_minute: float
    load_per_second: float = 0  # writes of others, some below our prefix


def write_others(register, plan):
    etcd = register.Etcd(plan.endpoints, plan.files)
    begun_s = time.monotonic()
    for number in itertools.count():
        time.sleep(max(begun_s + number / plan.load_per_second - time.monotonic(), 0))
        place = f"{PREFIX}/others" if number % 2 else "/others"
        etcd.ask("/v3/kv/put", {"key": register.base64_of(f"{place}/{number % 50}"), "value": register.base64_of("x" * LOAD_BYTES)})


def churn(register, plan):
    """They take turns; whoever is away joins, whoever is there leaves. In the end all are there, and stay for as long as this runs."""
    etcd = register.Etcd(plan.endpoints, plan.files)
    present = {}

    def registration(name, address):
        return register.Registration(etcd, f"{PREFIX}/backends/{plan.pool}/{name}", {"name": name, "address": address})

    begun_s = time.monotonic()
    names, due_s = list(plan.members), begun_s
    for number in range(plan.changes):
        time.sleep(max(due_s - time.monotonic(), 0))
        due_s = time.monotonic() + 60 / plan.per_minute  # nothing is made up for: each stays, or is away, for as long as it should
        name = names[number % len(names)]
        joins = name not in present
        if joins:
            present[name] = registration(name, plan.members[name])
            present[name].keep()
        else:
            present.pop(name).leave()
        print(json.dumps({"name": name, "joins": joins, "time": time.monotonic() - begun_s}), flush=True)
    for name in names:
        if name not in present:
            present[name] = registration(name, plan.members[name])
    while True:
        for each in present.values():
            each.keep()
        time.sleep(register.KEEP_S)


def main():
    plan = Plan(**json.loads(sys.argv[1]))
    register = register_module()
    if plan.load_per_second:
        threading.Thread(target=write_others, args=(register, plan), daemon=True).start()
    churn(register, plan)


if __name__ == "__main__":
    main()
