# SPDX-License-Identifier: Apache-2.0
"""Who may come: sources blocked by file and by hand, for a time, and exempt; what is open stays open."""
import json
import os

from lab.network import VIP4, VIP6, client_addresses
from lab.shell import wait_until

V4, V6 = client_addresses(0)
SOURCES = 'sources: {{ block_file = "{path}"; allow = {allow}; }};\n\nchecks:'


def write(path, *prefixes):
    """Replaces the file at once, as an operator's tool does."""
    beside = path.with_suffix(".new")
    beside.write_text("# a list\n" + "".join(f"{prefix}\n" for prefix in prefixes))
    os.rename(beside, path)


def gets_in(lab, source):
    mailer = lab.mailer(target=VIP6 if ":" in source else VIP4, sources=[source], sessions=1, messages=0, timeout_s=3).wait()
    return mailer.outcomes == {"delivered": 1}


def blocked_by(lab, of):
    return json.loads(lab.balancer.ctl("blocked", of, "--json"))


def wait_for(lab, of, state):
    wait_until(lambda: blocked_by(lab, of)["state"] == state, 20, f"{of} {state}")


def test_sources_are_blocked_by_file_and_by_hand_and_open_sessions_stay(lab, config):
    path = lab.directory / "block.txt"
    write(path, f"{V4[0]}/32", f"{V6[0]}", f"{V4[1]}/32")
    lab.start_greeters()
    lab.start_balancer(config(("checks:", SOURCES.format(path=path, allow=json.dumps([V4[1]])))))
    for source, expected in ((V4[0], False), (V6[0], False), (V4[1], True), (V4[2], True), (V6[2], True)):
        assert gets_in(lab, source) == expected, source
    assert lab.balancer.require_counter_law()["drop_policy"] > 0

    held = [lab.mailer(target=vip, sources=[source], sessions=1, messages=0, hold="greeted", timeout_s=60)
            for vip, source in ((VIP4, V4[2]), (VIP6, V6[2]))]
    for mailer in held:
        mailer.wait_open(1)
    write(path, f"{V4[2]}", f"{V6[2]}/128")  # replaced: others are free again
    wait_for(lab, V4[2], "blocked")
    wait_until(lambda: not gets_in(lab, V4[2]), 20, "the new file in use")
    assert not gets_in(lab, V6[2])
    assert gets_in(lab, V4[0])

    write(path, f"{V4[0]}", "mail.example.net")
    wait_until(lambda: "block file: REFUSED" in lab.balancer.ctl("status"), 20, "the fault in the status")
    fault = lab.balancer.status()["blocked"]["file"]["fault"]
    assert fault.startswith(f'{path}:3: "mail.example.net" is no prefix'), fault
    assert gets_in(lab, V4[0]) and not gets_in(lab, V4[2]), "the last good list stays"

    lab.balancer.ctl("block", f"{V4[3]}", "--for", "1h")
    lab.balancer.ctl("block", f"{V6[3]}")
    wait_until(lambda: not gets_in(lab, V4[3]), 20, "blocked by hand")
    assert not gets_in(lab, V6[3])
    lab.balancer.control.stop()
    lab.balancer.start_control()
    assert not gets_in(lab, V4[3]) and not gets_in(lab, V6[3]) and not gets_in(lab, V4[2]), "a restart of control forgets nobody"
    (entry,) = blocked_by(lab, V4[3])["blocked"]
    assert entry["by"] == "hand" and entry["until"]
    assert "its source is blocked" in lab.balancer.ctl("explain", f"{V4[3]}:40000", "relay")

    lab.balancer.ctl("unblock", V6[3])
    lab.balancer.ctl("block", V4[3], "--for", "1s")
    wait_for(lab, V4[3], "free")
    wait_until(lambda: gets_in(lab, V4[3]), 20, "its time is up")
    assert gets_in(lab, V6[3])
    assert lab.balancer.ctl_run("unblock", V6[3]).returncode == 4

    for mailer in held:  # blocked all the while
        mailer.go()
        mailer.wait()
        assert mailer.outcomes == {"delivered": 1}, mailer.summary()
