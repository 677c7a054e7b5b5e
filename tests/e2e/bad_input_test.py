# SPDX-License-Identifier: Apache-2.0
"""Garbage on the wire, from both sides, into a data plane built with AddressSanitizer and UBSan, beside real mail."""
import random
import sys

from lab.balancer import ROOT
from lab.mailer import TESTS
from lab.network import BALANCER_BACK, BALANCER_FRONT, VIP4, VIP6, backend_addresses
from lab.shell import Service, in_namespace, run, tail

FRAMES = 30_000


def mac_of(namespace, device):
    return run("cat", f"/sys/class/net/{device}/address", namespace=namespace).strip()


def throw_garbage(lab, namespace, device, mac, seed, addresses):
    command = [sys.executable, "-m", "lab.garbage", device, mac, FRAMES, seed, *addresses]
    return Service(f"garbage from {device}", command, lab.directory / f"garbage-{seed}.log", namespace,
                   {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})


def test_garbage_is_counted_and_never_crashes_a_worker(lab):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    lab.start_backends()
    lab.start_balancer(dataplane_build=ROOT / "build-asan")
    before = lab.balancer.counters()
    mail = lab.mailer(target=VIP4, sessions=300, messages=2, per_second=40)
    front, back = (mac_of(lab.network.balancer, device) for device in ("lb-front", "lb-back"))
    throwers = [
        throw_garbage(lab, lab.network.clients[0], "eth0", front, seed, [VIP4, VIP6, *BALANCER_FRONT, "192.0.2.77"]),
        throw_garbage(lab, lab.network.backends[0], "eth0", back, seed + 1,
                      [*BALANCER_BACK, *backend_addresses(0), "192.0.2.100", "2001:db8:25::100"]),
    ]
    for thrower in throwers:
        thrower.process.wait(120)
        assert thrower.process.returncode == 0, tail(thrower.log_path)
    mail.wait()
    assert mail.outcomes == {"delivered": 300}, mail.summary()
    after = lab.balancer.require_counter_law()
    sent = sum(int(tail(thrower.log_path)) for thrower in throwers)
    assert sent > FRAMES
    assert after["received"] - before["received"] > sent * 0.9, "most frames never reached the balancer"
    for drop in ("drop_truncated", "drop_malformed"):
        assert after[drop] - before[drop] > sent / 100, f"{drop} did not count"
    lab.balancer.require_running()
    log = (lab.balancer.directory / "sluice-dataplane.log").read_text(errors="replace")
    assert "AddressSanitizer" not in log and "runtime error" not in log, tail(lab.balancer.directory / "sluice-dataplane.log", 60)
    again = lab.mailer(target=VIP6, sessions=20).wait()
    assert again.outcomes == {"delivered": 20}, again.summary()


def test_the_data_plane_under_test_is_really_sanitized():
    program = ROOT / "build-asan" / "dataplane" / "sluice-dataplane"
    assert "libasan" in run(*in_namespace(None, ["ldd", program]))
