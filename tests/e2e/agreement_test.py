# SPDX-License-Identifier: Apache-2.0
"""Sessions of known fate through the balancer to real Postfix, and their records: each is held against what its client has noted, what
the client's kernel has counted, and what Postfix has logged of it. Nothing may differ that docs/sessions.md does not explain."""
import collections
import contextlib
import json
import os
import signal
import socket

import pytest

from lab.api import within
from lab.network import VIP4, client_addresses
from lab.session_records import BUSY, POSTFIX, UNWELCOME, Fates, metric, postfix_says, read_records, records_setting, wait_recorded
from lab.shell import run, wait_until

ADDRESSES = client_addresses(0)[0]
SOURCES, QUIET_SOURCES, FIRST_PORT = ADDRESSES[:10], ADDRESSES[10:13], 20_000  # apart, as one endpoint may have a session with each port
QUIET_PORT, IDLE_S = 2525, 30
CONFIG = (('{ name = "submission"; ', f'{{ name = "quiet"; vip = "{VIP4}"; port = {QUIET_PORT}; pool = "mta"; idle_timeout = {IDLE_S}; }},\n'
           '  { name = "submission"; '),
          ("dataplane:\n{", 'dataplane:\n{\n  on_idle_expiry = "reset"; timers: { force = true; };'))
# Of a fate: the furthest step, how and by whom it ended, and why; after which command Postfix lost the connection.
FATES = {"accepted": ("message", "closed", "server", None, ""), "two": ("message", "closed", "server", None, ""),
         "refused": ("message", "closed", "server", None, ""), "later": ("mail", "closed", "server", None, ""),
         "greeting": (None, "closed", "server", None, ""), "early": ("ehlo", "closed", "server", None, ""),
         "starttls": ("starttls", "closed", None, None, ""), "drop": ("ehlo", "closed", "client", None, "EHLO"),
         "reset": ("data", "reset", "client", None, "DATA"), "idle": ("ehlo", "cut", "balancer", "idle", "EHLO"),
         "vanish": ("data", "cut", "balancer", "idle", "DATA")}
QUIET = ("idle", "vanish")
ORDINARY = [fate for fate in FATES if fate not in (*QUIET, "greeting")]
FAILED = ("refused", "later", "greeting", "reset", *QUIET)
FINS_ARE_LOST = "table inet agreement {\nchain in { type filter hook input priority 0; tcp sport 25 tcp flags & fin == fin drop; }\n}\n"
# Who has vanished does not answer late segments either.
NOBODY_IS_THERE = f"table inet agreement {{\nchain out {{ type filter hook output priority 0; tcp dport {QUIET_PORT} tcp flags & rst == rst drop; }}\n}}\n"
CLOSING = 4          # segments that a side sends after the last that it means to: FINs, their ACKs, what is sent again of them
CLOSING_TLS = 64     # bytes: close_notify
LARGEST_SEGMENT = 1460


def require_end(told, record):
    furthest, end, by, cause, _ = FATES[told["fate"]]
    early = record.get("early_talker", False)
    assert not early or told["fate"] == "early"  # one that wanted to may have come after the greeting all the same
    assert record.get("furthest") == furthest
    if told["fate"] == "starttls" and record["end"] == "reset":
        # close_notify goes both ways: either may be the first to close, and what comes for a socket that is closed is answered so.
        assert told["end"] in ("closed", "reset")
        return
    assert (record["end"], record.get("cause")) == (end, cause)
    assert by in (None, record["by"])
    assert record["failed"] == (early or told["fate"] in FAILED)
    assert told["end"] == {"drop": "closed by us", "reset": "reset by us", "vanish": "vanished", "idle": "reset"}.get(told["fate"], "closed")


def require_sizes(told, record):
    """Bytes and segments are what the client's kernel has counted, but for what was sent again, what was in flight when the client
    reset, and what closing takes."""
    kernel, under_tls = told["kernel"], told["fate"] == "starttls"
    more = CLOSING_TLS if under_tls else 0
    sent = kernel["bytes_out"] - kernel["bytes_again"] if under_tls else told["sent"]
    received = kernel["bytes_in"] - 1 if under_tls else told["received"]  # with its FIN
    assert sent - kernel["unacked"] * LARGEST_SEGMENT <= record["bytes_from_client"] <= sent + kernel["bytes_again"] + more
    assert received <= record["bytes_from_backend"] <= received + record.get("sent_again_by_backend", 0) * LARGEST_SEGMENT + more
    closing = 0 if told["fate"] == "vanish" else CLOSING
    # On a machine that is busy, FINs go out again after the client has looked.
    again, again_by_backend = record.get("sent_again_by_client", 0), record.get("sent_again_by_backend", 0)
    assert kernel["segments_out"] <= record["packets_from_client"] <= kernel["segments_out"] + closing + again
    assert kernel["segments_in"] <= record["packets_from_backend"] <= kernel["segments_in"] + CLOSING + again_by_backend
    assert again <= kernel["sent_again"] + closing


def require_dialogue(told, record):
    under_tls = told["fate"] == "starttls"
    assert record["established"] and record["vip"] == VIP4
    assert record["service"] == ("quiet" if told["fate"] in QUIET else "relay")
    assert record["greeting"] == told["greeting"]
    if "backend" in told:
        assert record["backend"] == told["backend"]
    assert record["messages"] == {"accepted": 0 if under_tls else told["accepted"], "temporary": 0, "permanent": 0}
    assert record.get("refused", {}) == collections.Counter(step for step, _, _ in told["refusals"])
    if told["refusals"]:
        assert tuple(record["last_refusal"].values()) == tuple(told["refusals"][-1])
    assert (record.get("sni"), record.get("ja4")) == (told.get("sni"), told.get("ja4"))
    assert record.get("tls_offered") == ("1.3" if under_tls else None)
    assert record["starttls"] == {"offered": told["fate"] != "greeting", "asked": under_tls, "refused": False}
    assert record.get("tls") == ("established" if under_tls else None)
    assert record["quit"] == (told["quit"] and told["fate"] != "greeting")  # after a refusal nothing is followed


def require_log(told, record, logged):
    under_tls = told["fate"] == "starttls"
    assert logged.lost_after == FATES[told["fate"]][-1]
    assert ("quit" in logged.said) == (told["quit"] or under_tls)
    assert ("starttls" in logged.said) == record["starttls"]["asked"]
    assert logged.count("data")[0] == (told["accepted"] if under_tls else record["messages"]["accepted"])
    accepted, recipients = logged.count("rcpt")
    assert recipients - accepted == record.get("refused", {}).get("rcpt", 0)
    of_rcpt = [(code, enhanced) for command, code, enhanced in logged.rejected if command == "RCPT"]
    assert of_rcpt == [(code, enhanced) for step, code, enhanced in told["refusals"] if step == "rcpt"]
    of_connect = [code for command, code, _ in logged.rejected if command == "CONNECT"]
    assert of_connect == ([record["greeting"]] if record["greeting"] >= 400 else [])


def differences(told, record, logged):
    """What does not agree, as text; "" if all does."""
    try:
        require_end(told, record)
        require_dialogue(told, record)
        if told["kernel"] is not None:
            require_sizes(told, record)
        require_log(told, record, logged)
    except AssertionError as error:
        return json.dumps([str(error), told, record, vars(logged)])
    return ""


def in_order(entries, key):
    out = collections.defaultdict(list)
    for entry in entries:
        out[key(entry)].append(entry)
    return out


def require_agreement(lab, directory, told):
    """Session by session, by backend and the client's endpoint; where a client has used a port again, in their order."""
    records = [record for some in wait_recorded(lab, directory, told).values() for record in some]
    assert metric(lab, "sluice_session_records_lost_total") == 0
    assert metric(lab, "sluice_worker_session_records_lost_total") == 0
    assert len(records) == len(told), "records of sessions that nobody had, or too few"
    records.sort(key=lambda record: record["time"])
    of_endpoint = in_order(records, lambda record: (record["client"], record["client_port"]))
    logged = postfix_says(lab)
    wrong = []
    for session in told:  # in the order in which they ended
        record = of_endpoint[session["client"], session["port"]].pop(0)
        key = record["backend"], session["client"], session["port"]
        if not logged[key]:  # its last line may be under way
            wait_until(lambda: logged.update(postfix_says(lab)) or logged[key], 60, f"Postfix has logged {key}: {session}, {record}")
        wrong.append(differences(session, record, logged[key].pop(0)))
    wrong = [text for text in wrong if text]
    assert not wrong, f"{len(wrong)} of {len(told)} records differ, first {wrong[:5]}"
    return records


def start(lab, config):
    directory = lab.directory / "records"
    directory.mkdir()
    lab.start_backends(main_extra=POSTFIX, master_extra=f"{QUIET_PORT} inet n - n - 1000 smtpd")
    lab.start_balancer(config(records_setting(f"file:{directory}/sessions.jsonl"), *CONFIG))
    return directory


def run_and_compare(lab, directory, count, concurrency):
    run("nft", "-f", "-", namespace=lab.network.clients[0], stdin=NOBODY_IS_THERE)
    # Each from a port of its own: who has vanished may not come again before its former session is over.
    quiet = [[QUIET[i % 2], QUIET_SOURCES[i % 3], FIRST_PORT + i // 3] for i in range(2 * (count // 20))]
    plan = [[ORDINARY[i % len(ORDINARY)], SOURCES[i % len(SOURCES)]] for i in range(count - len(quiet) - 2 * (count // 20))]
    plan += [["greeting", source] for source in (UNWELCOME, BUSY) for _ in range(count // 20)]
    clients = [Fates(lab, plan, concurrency), Fates(lab, quiet, concurrency, QUIET_PORT)]
    # Files are moved away meanwhile, as logrotate does it.
    for turn in range(3):
        wait_until(lambda t=turn: metric(lab, "sluice_session_records_written_total") >= count * (t + 1) // 5, 900, "some records written")
        os.rename(directory / "sessions.jsonl", directory / f"sessions.jsonl.moved-{turn}")
        lab.balancer.control.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: (directory / "sessions.jsonl").exists() or metric(lab, "sluice_session_records_written_total") >= count,
                   60, "a new file, or nothing more to write")
    told = [session for client in clients for session in client.told()]
    assert len(told) == count and {session["fate"] for session in told} == set(FATES)
    records = require_agreement(lab, directory, told)
    # Else nothing is proved of what is counted, nor of early talkers.
    assert sum(session["kernel"] is not None for session in told) > count / 2
    assert sum("sent_again_by_client" not in record and "sent_again_by_backend" not in record for record in records) > count / 2
    assert any(record.get("early_talker") for record in records)


def test_records_of_sessions_of_every_fate_agree_with_clients_and_postfix(lab, config):
    run_and_compare(lab, start(lab, config), 300, concurrency=60)


@pytest.mark.long
def test_records_of_twenty_thousand_sessions_agree_with_clients_and_postfix(lab, config):
    run_and_compare(lab, start(lab, config), 20_000, concurrency=200)


def test_records_of_sessions_whose_server_dies_agree_with_clients(lab, config):
    """One loses its cable, and its sessions are cut; the others are killed, and their kernels end the sessions."""
    directory = start(lab, config)
    held = Fates(lab, [["hold", source] for source in SOURCES for _ in range(6)], concurrency=100)
    on = {(entry["client"], entry["held"]): entry["backend"] for entry in held.held(held.count)}
    assert set(on.values()) == {"mta1", "mta2", "mta3"}
    cut = [key for key, backend in on.items() if backend == "mta3"]
    lab.network.set_backend_link(2, up=False)
    wait_until(lambda: lab.balancer.flows() <= held.count - len(cut), 120, "sessions of the server without a cable are cut")
    for index in range(2):
        lab.backends[index].kill()
    told = held.told()
    records = wait_recorded(lab, directory, told)
    logged = postfix_says(lab)
    for session in told:
        (record,) = records[session["client"], session["port"]]
        backend = on[session["client"], session["port"]]
        context = json.dumps([session, record])
        assert record["backend"] == session["backend"] == backend, context
        assert (record["greeting"], record["furthest"], record["quit"]) == (220, "ehlo", False), context
        assert (record["bytes_from_client"], record["bytes_from_backend"]) == (session["sent"], session["received"]), context
        if backend == "mta3":
            assert (record["end"], record["by"], record["cause"], session["end"]) == ("cut", "balancer", "backend_down", "reset"), context
        else:
            assert (record["end"], record["by"], session["end"]) == ("closed", "server", "closed"), context
        assert not logged.get((backend, session["client"], session["port"])), "who is killed writes nothing"


def test_a_session_is_over_when_data_that_crossed_its_servers_fin_was_answered_with_a_reset(lab, config):
    """As with close_notify both ways. The reset has the number of the FIN; both ends are gone then, and say nothing more."""
    directory = start(lab, config)
    client = lab.network.clients[0]
    run("nft", "-f", "-", namespace=client, stdin=FINS_ARE_LOST)

    def talk():
        with socket.create_connection((VIP4, 25), timeout=120) as made:
            words = made.makefile("rw", newline="\r\n")
            assert words.readline().startswith("220")
            for said, reply in (("QUIT", "221"), ("NOOP", "")):
                words.write(f"{said}\r\n")
                words.flush()
                with contextlib.suppress(ConnectionResetError):
                    assert words.readline().startswith(reply)
                if said == "QUIT":
                    wait_until(lambda: lab.balancer.status()["counters"]["flows_closing_now"] == 1, 60, "the server's FIN has come by")
            return made.getsockname()
    endpoint = within(client, talk)
    (record,) = wait_until(lambda: read_records(directory)[endpoint], 60, "the record")
    assert (record["end"], record["by"], record["quit"], record["failed"]) == ("reset", "server", True, False), record
    assert lab.balancer.counters()["segments_not_believed"] == 0
