# SPDX-License-Identifier: Apache-2.0
"""Looking at live traffic: sluicectl flows, trace and capture, with real sessions running."""
import json
import os
import signal
import stat
import subprocess

import pytest

from lab.network import VIP4, VIP6
from lab.shell import CommandError, in_namespace, run, wait_until

CLIENTS = "192.0.2.96/27"  # of the lab, IPv4


def start_ctl(lab, *args):
    """sluicectl as a process of its own."""
    command = in_namespace(lab.network.balancer, [lab.balancer.program("sluicectl"), "--config", lab.balancer.config, *args])
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **lab.balancer.env})


def flows(lab, *args):
    return json.loads(lab.balancer.ctl("flows", "--json", *args))


def start_tapping(lab, *args):
    """Starts a trace or capture, and returns it when the workers have its tap."""
    applied = lab.balancer.counters()["commands_applied"]
    process = start_ctl(lab, *args)
    wait_until(lambda: process.poll() is not None or lab.balancer.counters()["commands_applied"] > applied, 20,
               "tap on the worker")
    return process


def finish(process, interrupt=True):
    """Ends it as Ctrl-C would, and returns what it said."""
    if interrupt:
        process.send_signal(signal.SIGINT)
    out, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    return out


def test_flows_lists_live_sessions_with_what_is_known_of_them(lab):
    lab.start_backends()
    lab.start_balancer()
    mailer = lab.mailer(target=VIP4, doors=[[25, "plain"], [587, "starttls"]], sessions=40, hold="greeted")
    mailer.wait_open(40)
    answer = flows(lab)
    held = [flow for flow in answer["flows"] if flow["state"] == "established"]
    assert len(held) == 40, answer
    by_client = {(flow["client"], flow["client_port"]): flow for flow in held}
    for session in mailer.opened:
        flow = by_client[tuple(session["local"])]
        assert flow["backend"] == f"mta/{session['backend']}"
        assert flow["service"] == {25: "relay", 587: "submission"}[session["port"]]
        assert flow["smtp_phase"] == {25: "commands", 587: "tls_established"}[session["port"]]
        assert flow["bytes_from_backend"] > flow["bytes_from_client"] > 0
        assert 0 <= flow["idle_ms"] <= flow["age_ms"] < 120_000
    ages = [flow["age_ms"] for flow in answer["flows"]]
    assert ages == sorted(ages, reverse=True)

    client, port = mailer.opened[0]["local"]
    assert [flow["client_port"] for flow in flows(lab, "--client", f"{client}:{port}")["flows"]] == [port]
    assert flows(lab, "--client", "203.0.113.0/24")["matched"] == 0
    assert flows(lab, "--service", "relay")["states"]["established"] == 20
    shares = [flows(lab, "--backend", name)["states"].get("established", 0) for name in ("mta/mta1", "mta/mta2", "mta/mta3")]
    assert sum(shares) == 40 and all(shares)
    three = flows(lab, "--oldest", "3")
    assert len(three["flows"]) == 3 and three["matched"] >= 40
    text = lab.balancer.ctl("flows", "--oldest", "3")
    assert "CLIENT" in text and "relay" in text and "the 3 oldest are shown" in text
    mailer.go()
    mailer.wait()
    assert mailer.outcomes == {"delivered": 40}
    lab.balancer.require_counter_law()


def test_what_cannot_be_looked_at_is_refused_with_what_is_allowed(lab, tmp_path):
    lab.start_greeters()
    lab.start_balancer()
    file = str(tmp_path / "x.pcapng")
    for args, wanted in [
            (["flows", "--client", "nobody"], "192.0.2.0/24"),
            (["flows", "--backend", "mta9"], 'there is no backend "mta9"'),
            (["flows", "--backend", "mta1"], "say POOL/NAME"),
            (["flows", "--service", "fax"], 'there is no service "fax"'),
            (["flows", "--oldest", "99999999999999999999"], "from 1 to 10000"),
            (["trace", "nobody"], "192.0.2.0/24"),
            (["trace", "192.0.2.0/33"], "192.0.2.0/24"),
            (["trace", VIP4, "--seconds", "1000000"], "at most 3600"),
            (["trace", VIP4, "--backend", "mta9"], "mta9"),
            (["capture", "colour=blue", file], "client=..."),
            (["capture", "backend=mta9", file], "mta9"),
            (["capture", VIP4, file, "--bytes", "99999999999"], "1073741824"),
            (["capture", VIP4, "/nonexistent/x.pcapng"], "No such file"),
    ]:
        with pytest.raises(CommandError) as error:
            lab.balancer.ctl(*args)
        assert wanted in str(error.value), (args, str(error.value))
    assert not os.path.exists(file), "a file was left where nothing was captured"
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(CommandError, match="File exists"):
        lab.balancer.ctl("capture", VIP4, str(tmp_path / "mine"))
    assert (tmp_path / "mine").read_text() == "mine"


def by_packet(records):
    packets = {}
    for record in records:
        packets.setdefault((record["worker"], record["packet"]), []).append(record)
    return list(packets.values())


def test_trace_tells_a_sessions_way_through_the_stages_and_nothing_of_its_content(lab):
    lab.start_backends()
    lab.start_balancer()
    tracer = start_tapping(lab, "trace", CLIENTS, "--json", "--seconds", "60")
    mailer = lab.mailer(target=VIP4, sessions=1).wait()
    assert mailer.outcomes == {"delivered": 1}
    client = mailer.opened[0]["local"]
    assert client[0].startswith("192.0.2."), client
    out = finish(tracer)
    packets = by_packet(json.loads(line) for line in out.splitlines())
    first = {record["stage"]: record for record in packets[0]}
    assert first["received"]["flags"] == "SYN" and first["received"]["port"] == "front"
    assert first["received"]["source"] == f"{client[0]}:{client[1]}" and first["received"]["destination"] == f"{VIP4}:25"
    assert first["placed"]["backend"] == f"mta/{mailer.opened[0]['backend']}" and first["placed"]["service"] == "relay"
    assert "table" in first["placed"]["rule"]
    assert first["sent"]["port"] == "back" and first["sent"]["destination"].startswith("10.0.1.")
    assert [record["counter"] for record in packets[0] if record["stage"] == "counted"] == ["flows_created"]
    ways = {record["port"] for packet in packets for record in packet if record["stage"] == "received"}
    assert ways == {"front", "back"}, "both directions"
    assert any(record.get("smtp_phase") == "message" for packet in packets for record in packet)
    assert "MAIL FROM" not in out and "lab.test" not in out
    lab.balancer.require_counter_law()


def test_trace_shows_pings_punted_and_connections_refused_as_text(lab):
    lab.start_greeters()
    lab.start_balancer()
    tracer = start_tapping(lab, "trace", CLIENTS, "--packets", "2", "--seconds", "60")
    run("ping", "-c", "2", "-W", "2", VIP4, namespace=lab.network.clients[0])
    out = finish(tracer, interrupt=False)
    assert "punted" in out and "packets given to the kernel twin" in out
    assert "2 packets" in out and "as many packets as asked for" in out, out


def test_two_traces_at_once_and_one_whose_owner_dies(lab):
    lab.start_greeters()
    lab.start_balancer()
    first = start_tapping(lab, "trace", CLIENTS, "--json", "--seconds", "60")
    second = start_tapping(lab, "trace", CLIENTS, "--json", "--seconds", "60")
    doomed = start_tapping(lab, "trace", "2001:db8::/32", "--json", "--seconds", "3000")
    applied = lab.balancer.counters()["commands_applied"]
    doomed.kill()
    doomed.communicate()
    lab.mailer(target=VIP4, sessions=3, messages=0).wait()
    wait_until(lambda: lab.balancer.counters()["commands_applied"] > applied, 20,
               "the tap of the trace that nobody asks after is dropped")
    said = []
    for tracer in (first, second):
        said.append([line for line in finish(tracer).splitlines() if '"flags":"SYN"' in line])
    assert said[0] == said[1] and len(said[0]) == 2 * 3, said  # each SYN as received and as sent


def test_trace_ends_when_control_dies_and_mail_goes_on(lab):
    lab.start_greeters()
    lab.start_balancer()
    tracer = start_tapping(lab, "trace", CLIENTS, "--seconds", "600")
    lab.balancer.kill_control()
    _, complaints = tracer.communicate(timeout=120)
    assert tracer.returncode == 3 and "control" in complaints
    assert lab.mailer(target=VIP4, sessions=10, messages=0).wait().outcomes == {"delivered": 10}
    lab.balancer.start_control()
    lab.balancer.wait_healthy()
    lab.balancer.require_counter_law()


def tshark(file, *args):
    return run("tshark", "-r", file, *args).splitlines()


def capture_a_session(lab, file, *args, target=VIP4, filter=CLIENTS):
    """Captures one whole session; returns the mailer, and what sluicectl said."""
    capturer = start_tapping(lab, "capture", filter, file, "--json", "--seconds", "60", *args)
    mailer = lab.mailer(target=target, sessions=1).wait()
    assert mailer.outcomes == {"delivered": 1}
    return mailer, json.loads(finish(capturer))


@pytest.mark.parametrize("target, filter", [(VIP4, CLIENTS), (VIP4, "service=relay"), (VIP6, "service=relay6")])
def test_capture_holds_a_whole_session_on_both_sides(lab, tmp_path, target, filter):
    lab.start_backends()
    lab.start_balancer()
    file = str(tmp_path / "session.pcapng")
    mailer, said = capture_a_session(lab, file, "--snaplen", "65535", target=target, filter=filter)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert said["lost"] == 0 and said["skipped"] == 0
    assert os.path.getsize(file) >= said["written_bytes"]
    names = set(tshark(file, "-T", "fields", "-e", "frame.interface_name"))
    assert len(names) == 2 and all(names), names
    client, port = mailer.opened[0]["local"]
    ip = "ipv6" if ":" in target else "ip"
    for side in (f"{ip}.addr == {target}", f"not {ip}.addr == {target}"):
        own = f"tcp.port == {port} and {side}"
        commands = tshark(file, "-Y", f"smtp.req and {own}", "-T", "fields", "-e", "smtp.req.command")
        assert commands[:4] == ["EHLO", "MAIL", "RCPT", "DATA"] and commands[-1] == "QUIT", (side, commands)
        codes = tshark(file, "-Y", f"smtp.response and {own}", "-T", "fields", "-e", "smtp.response.code")
        assert codes[0] == "220" and codes[-1] == "221" and "354" in codes, (side, codes)
        assert len(tshark(file, "-Y", f"tcp.flags.fin == 1 and {own}")) >= 2
    directions = set(tshark(file, "-T", "fields", "-e", "frame.packet_flags_direction"))
    assert len(directions) == 2, directions
    assert not list(lab.balancer.runtime.rglob("*.pcapng")), "the data plane's own file is gone"
    lab.balancer.require_counter_law()


def test_capture_without_snaplen_stores_no_content(lab, tmp_path):
    lab.start_backends()
    lab.start_balancer()
    file = str(tmp_path / "headers.pcapng")
    for _ in range(30):  # sessions go where they will
        mailer, _ = capture_a_session(lab, file, filter=f"backend=mta/mta1,client={CLIENTS}")
        if mailer.opened[0]["backend"] == "mta1":
            break
        assert not tshark(file, "-Y", "tcp.len > 0"), "another backend's"
        os.unlink(file)
    content = pathlib_bytes(file)
    assert b"EHLO" not in content and b"MAIL FROM" not in content and b"220 " not in content
    lengths = [int(n) for n in tshark(file, "-Y", "tcp", "-T", "fields", "-e", "tcp.len")]
    assert sum(lengths) > 4000, "lengths are those of the packets as they were"


def pathlib_bytes(file):
    with open(file, "rb") as opened:
        return opened.read()


def test_capture_is_bounded_and_one_at_a_time(lab, tmp_path):
    lab.start_backends()
    lab.start_balancer()
    small = start_tapping(lab, "capture", "service=relay", str(tmp_path / "small.pcapng"), "--bytes", "20000", "--snaplen",
                      "65535", "--seconds", "60")
    with pytest.raises(CommandError, match="one at a time"):
        lab.balancer.ctl("capture", VIP4, str(tmp_path / "other.pcapng"))
    mailer = lab.mailer(target=VIP4, sessions=20, messages=2, size=20_000).wait()
    out = finish(small, interrupt=False)
    assert "as many bytes as asked for" in out, out
    assert 10_000 < os.path.getsize(tmp_path / "small.pcapng") < 21_000
    assert tshark(str(tmp_path / "small.pcapng"))
    assert mailer.outcomes == {"delivered": 20}, "captured or not, mail goes its way"
    # Killed, it leaves nothing running and nothing lying about.
    doomed = start_ctl(lab, "capture", "service=relay", str(tmp_path / "doomed.pcapng"), "--seconds", "3000")
    wait_until(lambda: list(lab.balancer.runtime.rglob("*.pcapng")), 10, "the data plane's file")
    doomed.kill()
    doomed.communicate()
    wait_until(lambda: not list(lab.balancer.runtime.rglob("*.pcapng")), 20, "the data plane's file is gone")
    lab.balancer.require_counter_law()
