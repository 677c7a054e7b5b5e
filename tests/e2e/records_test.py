# SPDX-License-Identifier: Apache-2.0
"""Records of sessions: where they go, who looks at them, what becomes of them when something is full or changes. That they are true is
agreement_test.py's."""
import json
import shutil
import signal
import smtplib
import socket
import ssl

from lab import greeter
from lab.api import within
from lab.hello import fingerprint, hello_of
from lab.messages import DOMAIN
from lab.network import VIP4, client_addresses
from lab.session_records import BUSY, POSTFIX, Fates, metric, read_records, records_setting, wait_recorded
from lab.shell import run, wait_until

V4, _ = client_addresses(0)
BLOCKED = V4[15]
SOURCES = ("checks:", """sources: { limits = (
    { of = "prefix"; prefix_v4 = 24; prefix_v6 = 64; connections = 1000; action = "421"; services = []; },
    { of = "address"; connections = 1; action = "421"; services = []; } ); };

checks:""")


def test_operators_see_sessions_as_they_end_and_why_they_were_cut_or_refused(lab, config):
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_backends(main_extra=POSTFIX)
    path = config(records_setting(f"file:{directory}/sessions.jsonl"))
    lab.start_balancer(path)
    wait_recorded(lab, directory, Fates(lab, [[fate, V4[0]] for fate in ("accepted", "refused", "reset")]).told())
    shown = json.loads(lab.balancer.ctl("sessions", "--json", "--limit", "2000", "--client", f"{V4[0]}", "--failed"))["sessions"]
    assert len(shown) == 2 and all(session["client"] == V4[0] and session["failed"] for session in shown)
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
    wait_until(lambda: knock(lab, BLOCKED) or refused_records(directory, BLOCKED, "blocked"), 30, "a record of the client that was blocked")
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


def test_records_say_which_limit_or_prefix_refused_a_client_and_how_it_authenticated(lab, config):
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_greeters()
    lab.start_balancer(config(records_setting(f"file:{directory}/sessions.jsonl"), SOURCES))
    lab.balancer.ctl("block", BLOCKED)
    held = lab.mailer(target=VIP4, sources=[V4[0]], sessions=1, messages=0, hold="greeted", timeout_s=90)
    held.wait_open(1)
    assert lab.mailer(target=VIP4, sources=[V4[0]], sessions=1, messages=0, timeout_s=5).wait().outcomes == {"refused": 1}
    (limited,) = wait_until(lambda: refused_records(directory, V4[0], "source_limit"), 30, "a record of who was over the limit")
    assert limited["limit"] == 2, limited
    held.go()
    held.wait()
    wait_until(lambda: knock(lab, BLOCKED) or refused_records(directory, BLOCKED, "blocked"), 30, "a record of who was blocked")
    record = refused_records(directory, BLOCKED, "blocked")[0]
    assert (record["blocked_prefix"], record["blocked_by"]) == (f"{BLOCKED}/32", "hand"), record
    shown = lab.balancer.ctl("sessions")
    assert "source_limit 2" in shown and f"blocked {BLOCKED}/32 by hand" in shown, shown

    def guess():
        with smtplib.SMTP(VIP4, 587, source_address=(V4[1], 0), timeout=30) as session:
            session.ehlo("guess")
            codes = [session.docmd("AUTH", f"PLAIN {word}")[0] for word in ("AGEAYg==", "AGEAYw==", greeter.RIGHT)]
            return session.sock.getsockname()[:2], codes
    endpoint, codes = within(lab.network.clients[0], guess)
    assert codes == [535, 535, 235]
    (record,) = wait_until(lambda: read_records(directory)[endpoint], 30, "the record")
    assert record["refused"] == {"auth": 2} and record["authenticated"] is True, record
    assert record["last_refusal"] == {"step": "auth", "code": 535, "enhanced": "5.7.8"}, record


def refused_records(directory, source, cause):
    return [record for (client, _), records in read_records(directory).items() if client == source for record in records
            if (record["end"], record["cause"], record["established"]) == ("refused", cause, False)]


def knock(lab, source):
    """Tries a connection from a client's address, and does not wait for it."""
    def connect():
        with socket.socket() as made:
            made.setblocking(False)
            made.bind((source, 0))
            made.connect_ex((VIP4, 25))
    within(lab.network.clients[0], connect)


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
