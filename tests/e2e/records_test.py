# SPDX-License-Identifier: Apache-2.0
"""A record of each session, held against what the clients saw and what Postfix wrote of it, session by session."""
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import pytest

from lab.api import Api, within
from lab.hello import fingerprint, hello_of
from lab.mailer import TESTS
from lab.messages import DOMAIN
from lab.network import VIP4, VIP6, backend_addresses, client_addresses
from lab.shell import Service, Timeout, in_namespace, run, wait_until

V4, _ = client_addresses(0)
UNWELCOME, BUSY, BLOCKED = V4[13], V4[14], V4[15]
ORDINARY = ("accepted", "two", "refused", "later", "drop", "reset", "starttls", "early")
POSTFIX = f"""
smtpd_client_port_logging = yes
smtpd_delay_reject = no
smtpd_client_restrictions = check_client_access inline:{{ {{ {UNWELCOME} = 554 5.7.1 go away }}, {{ {BUSY} = 421 4.3.2 too busy }} }}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ nobody@{DOMAIN} = 550 5.1.1 no such user }}, {{ later@{DOMAIN} = 450 4.2.0 later }} }}
"""
CLOSING = 4  # segments that a side sends after the last that it means to: FINs, their ACKs, what is sent again of them
DISCONNECT = re.compile(r"disconnect from unknown\[([0-9.]+)\]:(\d+) (.*)")


class Fates:
    """A client with a plan of fates, started in its namespace."""

    def __init__(self, lab, sessions, concurrency=60):
        plan = {"target": VIP4, "port": 25, "sessions": sessions, "concurrency": concurrency, "ca_file": str(lab.authority.certificate)}
        self.count = len(sessions)
        self.process = subprocess.Popen(in_namespace(lab.network.clients[0], [sys.executable, "-m", "lab.fates"]), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})
        self.process.stdin.write(json.dumps(plan) + "\n")
        self.process.stdin.flush()

    def held(self, count):
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def told(self):
        """What became of each session, as the client saw it."""
        out = [json.loads(line) for line in self.process.stdout]
        assert self.process.wait() == 0 and len(out) == self.count
        return out


def records_setting(path, more=""):
    return ("checks:", f'records: {{ to = "{path}"; {more} }};\n\nchecks:')


def read_records(directory, name="sessions.jsonl"):
    """All of them, by the client's endpoint."""
    out = collections.defaultdict(list)
    for path in pathlib.Path(directory).glob(f"{name}*"):
        for line in path.read_text().splitlines():
            record = json.loads(line)
            out[record["client"], record["client_port"]].append(record)
    return out


def metric(lab, name):
    """The sum of a metric's samples."""
    _, _, text = Api(lab.network.balancer).request("/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def wait_recorded(lab, directory, told, timeout_s=60):
    """Waits until there is a record of each session, and returns all of them. What is missing after that is told."""
    def missing():
        records = read_records(directory)
        return [session for session in told if (session["client"], session["port"]) not in records]
    with contextlib.suppress(Timeout):
        wait_until(lambda: not missing(), timeout_s, "records of all sessions", interval_s=0.5)
    assert not missing(), (missing(), lab.balancer.ctl("flows", "--json"), {
        name: count for name, count in lab.balancer.counters().items() if "record" in name or "not_believed" in name})
    return read_records(directory)


def postfix_says(lab):
    """(client address, port) -> what the last line of a session says: {"rcpt": "1/2", "quit": "1", ...}"""
    out = {}
    for backend in lab.backends:
        for address, port, words in DISCONNECT.findall(backend.log.read_text()):
            out[address, int(port)] = dict(word.split("=") for word in words.split())
    return out


def numbers(word):
    """(accepted, all) of "1/2" or "2"."""
    good, _, total = word.partition("/")
    return int(good), int(total or good)


def require_segments(told, record, context):
    """That packets are those that the client's kernel counted before it closed, and the few that closing takes."""
    if told["segments"] is None or told["fate"] == "reset":
        return
    sent, received, again = told["segments"]
    assert 0 <= record["packets_from_client"] - sent <= CLOSING, context
    assert 0 <= record["packets_from_backend"] - received <= CLOSING, context
    assert record.get("sent_again_by_client", 0) <= again + CLOSING, context


def require_agreement(told, record, logged):
    """That a record says what the client saw and what Postfix wrote."""
    fate = told["fate"]
    context = json.dumps([told, record, logged])
    assert record["established"] and record["service"] == "relay" and record["vip"] == VIP4, context
    assert record["greeting"] == told["greeting"], context
    if "backend" in told:
        assert record["backend"] == told["backend"], context
    early = record.get("early_talker", False)
    assert not early or fate == "early", context  # one that wanted to may have come after the greeting all the same
    if fate != "starttls" or record["end"] != "reset":  # see below
        assert record["failed"] == (early or fate not in ("accepted", "two", "drop", "starttls", "early")), context
    if fate == "reset":
        assert (record["end"], record["by"]) == ("reset", "client"), context
    elif fate == "starttls":  # close_notify goes both ways: either may be the first to close, and what is late is answered with an RST
        assert record["end"] in ("closed", "reset"), context
    else:
        assert record["end"] == "closed", context
        assert record["by"] == ("client" if fate == "drop" else "server"), context
    if fate != "reset":  # what is in flight then the client does not count; elsewhere, what is sent again counts again
        assert record["bytes_from_client"] >= told["sent"] and record["bytes_from_backend"] >= told["received"], context
    require_segments(told, record, context)
    assert (record.get("sni"), record.get("ja4")) == (told.get("sni"), told.get("ja4")), context
    assert record.get("tls_offered") == ("1.3" if fate == "starttls" else None), context
    messages = 0 if fate == "starttls" else told["accepted"]
    assert record["messages"] == {"accepted": messages, "temporary": 0, "permanent": 0}, context
    assert record.get("refused", {}).get("rcpt", 0) == told["refused"], context
    last = {"refused": {"step": "rcpt", "code": 550, "enhanced": "5.1.1"}, "later": {"step": "data", "code": 554, "enhanced": "5.5.1"}}
    if fate in last:
        assert record["last_refusal"] == last[fate], context
    assert record["starttls"]["asked"] == (fate == "starttls"), context
    assert record.get("tls") == ("established" if fate == "starttls" else None), context
    assert record["quit"] == (told["quit"] and fate != "greeting"), context  # after a refusal nothing is followed
    if fate != "greeting":
        assert record["starttls"]["offered"], context
    if logged is None:
        return
    if fate == "starttls":
        return
    assert ("quit" in logged) == told["quit"], context
    assert numbers(logged.get("rcpt", "0"))[1] - numbers(logged.get("rcpt", "0"))[0] == record.get("refused", {}).get("rcpt", 0), context
    if fate != "reset":
        assert numbers(logged.get("data", "0"))[0] == record["messages"]["accepted"], context


def run_and_compare(lab, directory, count, concurrency=60):
    plan = [[ORDINARY[i % len(ORDINARY)], V4[i % 13]] for i in range(count)]
    plan += [["greeting", source] for source in (UNWELCOME, BUSY) for _ in range(max(5, count // 100))]
    fates = Fates(lab, plan, concurrency)
    # Files are moved away meanwhile, as logrotate does it.
    for turn in range(3):
        wait_until(lambda t=turn: metric(lab, "sluice_session_records_written_total") >= count * (t + 1) // 5, 600, "some records written")
        os.rename(directory / "sessions.jsonl", directory / f"sessions.jsonl.moved-{turn}")
        lab.balancer.control.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: (directory / "sessions.jsonl").exists() or metric(lab, "sluice_session_records_written_total") >= fates.count,
                   60, "a new file, or nothing more to write")
    told = fates.told()
    records, logged = wait_recorded(lab, directory, told), postfix_says(lab)
    assert metric(lab, "sluice_session_records_lost_total") == 0
    assert metric(lab, "sluice_worker_session_records_lost_total") == 0
    sessions = collections.defaultdict(list)  # a client's port may come again
    for session in told:
        sessions[session["client"], session["port"]].append(session)
    for key, of_client in sessions.items():
        found = sorted(records[key], key=lambda record: record["time"])
        assert len(found) == len(of_client), (of_client, found)
        for session, record in zip(of_client, found):
            require_agreement(session, record, logged.get(key) if len(found) == 1 else None)
    assert sum(map(len, records.values())) == len(told), "records of sessions that nobody had"
    counted = sum(session.get("segments") is not None for session in told)
    assert counted > len(told) // 2, f"of {len(told)} sessions the kernel has counted the segments of {counted}"
    plain = [(session, records[key][0]) for key, [session, *more] in sessions.items() if not more and session["fate"] not in ("reset", "starttls")]
    exact = [record for session, record in plain
             if (record["bytes_from_client"], record["bytes_from_backend"]) == (session["sent"], session["received"])]
    assert len(exact) > len(plain) / 2, "most sessions have no segment that is sent again"
    counts = collections.Counter(session["fate"] for session in told)
    assert len(counts) == len(ORDINARY) + 1
    return records


def test_records_say_what_clients_saw_and_what_postfix_wrote(lab, config):
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_backends(main_extra=POSTFIX)
    path = config(records_setting(f"file:{directory}/sessions.jsonl"))
    lab.start_balancer(path)
    run_and_compare(lab, directory, 240)

    # The operator's own look at them.
    shown = json.loads(lab.balancer.ctl("sessions", "--json", "--limit", "2000", "--client", f"{V4[0]}", "--failed"))["sessions"]
    assert shown and all(session["client"] == V4[0] and session["failed"] for session in shown)
    assert "rcpt 550 5.1.1" in lab.balancer.ctl("sessions")
    follower = lab.balancer.ctl_start("sessions", "--follow", "--client", BUSY)

    # Sessions of a server that leaves the file, and is to lose them; and of a client that may not come.
    held = Fates(lab, [["hold", V4[1]]] * 12)
    on = {entry["held"]: entry["backend"] for entry in held.held(12)}
    cut = {port for port, backend in on.items() if backend == "mta3"}
    assert cut and len(cut) < 12
    text = path.read_text().replace('    check = "greeting";\n    backends =\n    (\n      { name = "mta1"; address = "10.0.1.10"; }',
                                    '    check = "greeting"; on_removal = "reset";\n    backends =\n    (\n      { name = "mta1"; address = "10.0.1.10"; }')
    path.write_text(text.replace(',\n      { name = "mta3"; address = "10.0.1.12"; }', ""))
    lab.balancer.ctl("reload")
    lab.balancer.ctl("block", BLOCKED)
    wait_until(lambda: knock(lab, BLOCKED) or refused_records(directory, BLOCKED), 30, "a record of the client that was blocked")
    wait_until(lambda: all(read_records(directory)[V4[1], port] for port in cut), 30, "records of what was cut")
    for port in cut:
        record = read_records(directory)[V4[1], port][-1]
        assert (record["end"], record["by"], record["cause"], record["backend"]) == ("cut", "balancer", "removed", "mta3"), record
    held.process.kill()
    Fates(lab, [["greeting", BUSY]]).told()
    line = follower.stdout.readline()
    assert f"{BUSY}:" in line and "FAILED" in line, line
    follower.terminate()
    follower.wait()


def test_records_say_how_clients_begin_tls(lab, config):
    """At once on 465; a hello in one segment, and one that takes two."""
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_backends()
    lab.start_balancer(config(records_setting(f"file:{directory}/sessions.jsonl")))
    name = f"smtp.{DOMAIN}"
    plain, long, old = (ssl.create_default_context(cafile=str(lab.authority.certificate)) for _ in range(3))
    long.set_alpn_protocols([f"{i:0>100}" for i in range(20)])
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert len(hello_of(long, name)) > 1460

    def talk(context):
        with socket.create_connection((VIP4, 465), timeout=60) as raw:
            endpoint = raw.getsockname()
            with context.wrap_socket(raw, server_hostname=name) as tls:
                assert tls.recv(1000).startswith(b"220")
                tls.sendall(b"QUIT\r\n")
                assert tls.recv(1000).startswith(b"221")
        return endpoint
    for context, offered in ((plain, "1.3"), (long, "1.3"), (old, "1.2")):
        endpoint = within(lab.network.clients[0], lambda of=context: talk(of))
        (record,) = wait_until(lambda of=endpoint: read_records(directory)[of], 60, "the record")
        assert (record["sni"], record["tls_offered"], record["tls"]) == (name, offered, "established"), record
        assert record["ja4"] == fingerprint(hello_of(context, name)), record
    assert metric(lab, 'sluice_tls_hellos_total{result="read"}') == 3
    assert metric(lab, "sluice_worker_tls_hellos_lost_total") == 0
    shown = lab.balancer.ctl("sessions", "--verbose")
    assert name in shown and fingerprint(hello_of(plain, name)) in shown, shown


def refused_records(directory, source):
    return [record for (client, _), records in read_records(directory).items() if client == source for record in records
            if (record["end"], record["cause"], record["established"]) == ("refused", "blocked", False)]


def knock(lab, source):
    """Tries a connection from a client's address, and does not wait for it."""
    def connect():
        with socket.socket() as made:
            made.setblocking(False)
            made.bind((source, 0))
            made.connect_ex((VIP4, 25))
    within(lab.network.clients[0], connect)


@pytest.mark.long
def test_records_of_twenty_thousand_sessions_agree_with_clients_and_postfix(lab, config):
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_backends(main_extra=POSTFIX)
    lab.start_balancer(config(records_setting(f"file:{directory}/sessions.jsonl")))
    run_and_compare(lab, directory, 20_000, concurrency=200)


def test_a_full_disk_costs_records_and_nothing_else(lab, config):
    directory = lab.directory / "full"
    directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=256k", "records", str(directory))
    try:
        lab.start_greeters()
        lab.start_balancer(config(records_setting(f"file:{directory}/sessions.jsonl")))
        mailer = lab.mailer(target=VIP4, sessions=1500, concurrency=50, messages=0, details=False).wait()
        assert mailer.sums["end:delivered"] == 1500, mailer.sums
        wait_until(lambda: metric(lab, "sluice_session_records_written_total") + metric(lab, "sluice_session_records_lost_total") >= 1500,
                   30, "all records written or lost")
        lost = metric(lab, "sluice_session_records_lost_total")
        assert 0 < lost < 1500
        assert metric(lab, "sluice_session_records_failing") == 1
        assert "records of sessions are lost" in lab.balancer.ctl("events") and "No space left" in lab.balancer.ctl("events")
        assert sum(map(len, read_records(directory).values())) == 1500 - lost, "a line is torn"
        (directory / "sessions.jsonl").unlink()
        lab.balancer.control.process.send_signal(signal.SIGUSR1)
        lab.mailer(target=VIP4, sessions=5, messages=0).wait()
        wait_until(lambda: "written again" in lab.balancer.ctl("events"), 30, "that records are written again")
        assert sum(map(len, read_records(directory).values())) == 5
        assert metric(lab, "sluice_session_records_failing") == 0
    finally:
        lab.close()
        run("umount", "-l", str(directory))
        shutil.rmtree(lab.directory)


def test_a_reload_moves_records_to_a_socket_and_samples_them(lab, config):
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_greeters()
    path = config(records_setting(f"file:{directory}/sessions.jsonl"))
    lab.start_balancer(path)
    lab.mailer(target=VIP4, sessions=3, messages=0).wait()
    wait_until(lambda: sum(map(len, read_records(directory).values())) == 3, 30, "three records in the file")
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    reader.bind(str(directory / "socket"))
    reader.settimeout(30)
    path.write_text(path.read_text().replace(f"file:{directory}/sessions.jsonl", f"unix-datagram:{directory}/socket"))
    assert "records" in lab.balancer.ctl("diff", str(path))
    lab.balancer.ctl("reload")
    lab.mailer(target=VIP4, sessions=1, messages=0).wait()
    assert json.loads(reader.recv(65536))["greeting"] == 220
    path.write_text(path.read_text().replace("records: {", "records: { share = 0.0;"))
    lab.balancer.ctl("reload")
    lab.mailer(target=VIP4, sessions=20, messages=0).wait()
    wait_until(lambda: metric(lab, "sluice_session_records_sampled_out_total") == 20, 30, "ordinary sessions left out")
    path.write_text(path.read_text().replace("unix-datagram:", "datagram:"))
    refused = lab.balancer.ctl_run("reload")
    assert refused.returncode != 0 and "records.to" in refused.stdout + refused.stderr


def test_a_collector_of_flows_is_told_of_each_session_by_ipfix(lab, config):
    """nfcapd, as Debian has it, takes them for what they are: who, where to, to which server, how much."""
    flows = lab.directory / "flows"
    flows.mkdir()
    lab.start_greeters()
    namespace = lab.network.balancer
    collector = Service("nfcapd", ["nfcapd", "-4", "-b", "127.0.0.1", "-p", "4739", "-w", flows, "-t", "3600"],
                        lab.directory / "nfcapd.log", namespace)
    lab.services.append(collector)
    wait_until(lambda: ":4739 " in run("ss", "-Hlun", namespace=namespace), 15, "nfcapd listens")
    lab.start_balancer(config(records_setting("ipfix:127.0.0.1:4739")))
    mailers = [lab.mailer(target=vip, sessions=30, messages=0).wait() for vip in (VIP4, VIP6)]
    wait_until(lambda: metric(lab, "sluice_session_records_written_total") == 60, 30, "records are sent")
    assert metric(lab, 'sluice_session_records_lost_total{why="output"}') == 0
    collector.stop(signal.SIGTERM)  # writes what it has
    names = {address: f"mta{index + 1}" for index in range(3) for address in backend_addresses(index)}
    (written,) = [path for path in flows.iterdir() if path.name.startswith("nfcapd.2")]
    told = {}
    for flow in json.loads(run("nfdump", "-r", written, "-o", "json")):
        family = "4" if "src4_addr" in flow else "6"
        assert (flow["proto"], flow["dst_port"]) == (6, 25) and flow[f"dst{family}_addr"] in (VIP4, VIP6), flow
        # Of IPv6 servers nfdump 1.7 takes no note.
        told[flow[f"src{family}_addr"], flow["src_port"]] = names[flow["dst4_xlt_ip"]] if family == "4" else None
    assert told == {tuple(event["local"][:2]): event["backend"] if "." in event["local"][0] else None
                    for mailer in mailers for event in mailer.opened}
