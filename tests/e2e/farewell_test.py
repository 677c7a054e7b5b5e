# SPDX-License-Identifier: Apache-2.0
"""The last sessions of a drain hear 421 between two of their messages, and are not cut in one: with real mail servers as
senders, and with sessions of all kinds held at every place."""
import json
import re
import subprocess

from lab.messages import DOMAIN
from lab.network import VIP4
from lab.postfix import Postfix
from lab.shell import in_namespace, wait_until

LINE = "421 4.3.2 try again later"
# In place of what the lab's servers do with mail for its domain: sessions are kept for the next message. Who is told 421 in one of
# them takes another, and says nothing of it, but in a log of the dialogue.
SENDER = f"""
virtual_mailbox_domains =
relay_domains = {DOMAIN}
relayhost = [{VIP4}]:25
relay_destination_concurrency_limit = 12
relay_initial_destination_concurrency = 12
smtp_connection_cache_destinations = [{VIP4}]:25
smtp_connection_cache_time_limit = 60s
connection_cache_ttl_limit = 60s
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
debug_peer_list = {VIP4}
debug_peer_level = 1
"""
INJECT = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25) as session:
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        session.sendmail("sender@" + sys.argv[3], ["inbox@" + sys.argv[3]], f"Subject: {number}\\r\\n\\r\\nhello\\r\\n")
"""


def subjects(lab):
    """Of every message in the mailboxes, as often as it is there."""
    stored = [data for backend in lab.backends for data in backend.stored()]
    return sorted(int(re.search(rb"^Subject: (\d+)", data, re.MULTILINE)[1]) for data in stored)


def counters(lab):
    return lab.balancer.require_counter_law()


def test_a_sender_that_keeps_its_sessions_is_told_and_loses_and_doubles_no_mail(lab, config):
    lab.start_backends()
    lab.start_balancer(config())
    sender = Postfix("sender", lab.network.clients[0], lab.directory / "sender", *lab.issue_certificate(), main_extra=SENDER)
    sender.start()

    def inject(begin, end):
        subprocess.run(in_namespace(sender.namespace, ["/usr/bin/python3", "-c", INJECT, str(begin), str(end), DOMAIN]), check=True)
    inject(0, 150)
    wait_until(lambda: len(subjects(lab)) == 150, 60, "the first messages delivered")
    victim = max(("mta1", "mta2", "mta3"), key=lambda name: lab.balancer.backend("mta", name, 25)["figures"]["flows_now"])
    kept = lab.balancer.backend("mta", victim, 25)["figures"]["flows_now"]
    assert kept > 0, "the sender keeps sessions"
    waiting = lab.balancer.ctl_start("drain", f"mta/{victim}", "--deadline", "60s", "--wait")
    wait_until(lambda: lab.balancer.backend("mta", victim, 25)["leaving"], 10, "told from now on: it is but a minute")
    inject(150, 300)
    said, complaints = waiting.communicate(timeout=90)
    assert waiting.returncode == 0 and said.endswith("drained\n"), (said, complaints)
    wait_until(lambda: len(subjects(lab)) == 300, 60, "every message delivered")
    assert subjects(lab) == list(range(300)), "each of them once"
    assert LINE in sender.log.read_text(errors="replace"), "the sender's log tells of it"
    seen = counters(lab)
    assert seen["flows_told"] >= 1 and seen["flows_cut_down"] == 0, seen
    assert "status=bounced" not in sender.log.read_text(errors="replace")


def test_sessions_at_every_place_of_a_drain_end_in_order(lab, config):
    """Those between messages are told; those in a message come to its end; what is left of their mail goes elsewhere."""
    lab.start_backends()
    lab.start_balancer(config())
    busy = lab.mailer(target=VIP4, sessions=30, messages=60, pause_s=0.2, size=5000, attempts=5)
    halfway = lab.mailer(target=VIP4, sessions=15, messages=2, size=50_000, hold="half_sent", attempts=5, timeout_s=90)
    silent = lab.mailer(target=VIP4, sessions=15, messages=1, hold="greeted", attempts=5, timeout_s=90)
    busy.wait_open(30)
    halfway.wait_held(15)
    silent.wait_open(15)
    waiting = lab.balancer.ctl_start("drain", "mta/mta1", "--deadline", "50s", "--wait")
    of_victim = silent.backends()["mta1"]
    assert of_victim, "one of 15 is there"
    wait_until(lambda: len(silent.ended) >= of_victim, 30, "the silent ones told")
    assert {event["outcome"] for event in silent.ended} == {"closed"}, "and not reset"
    assert not halfway.ended, "nobody is told within a message"
    halfway.go()
    said, complaints = waiting.communicate(timeout=90)
    assert waiting.returncode == 0 and said.endswith("drained\n"), (said, complaints)
    assert re.search(r"\d+ flows left, \d+ told 421 between messages", said), said
    silent.go()
    for mailer in (busy, halfway, silent):
        mailer.wait()
        assert "reset" not in mailer.outcomes, mailer.summary()
        assert mailer.sums.get("given_up", 0) == 0, mailer.summary()
        assert all(event["backend"] == "mta1" for event in mailer.ended if event["outcome"] != "delivered"), mailer.summary()
    refused = [event["detail"] for mailer in (busy, halfway) for event in mailer.ended if event["outcome"] == "refused"]
    assert refused and set(refused) == {LINE}, refused
    lab.wait_delivered()
    tally = lab.tally()
    assert tally.clean and sum(tally.received.values()) == 30 * 60 + 15 * 2 + 15, tally
    seen = counters(lab)
    assert seen["flows_cut_down"] == 0 and seen["flows_told"] >= of_victim + len(refused), seen
    assert seen["refusals_acknowledged"] >= of_victim + len(refused), seen
    records = json.loads(lab.balancer.ctl("sessions", "--json", "--limit", "500"))["sessions"]
    told = [record for record in records if record["end"] == "told"]
    assert len(told) == seen["flows_told"] and {record["backend"] for record in told} == {"mta1"}, told
    assert "told" in lab.balancer.ctl("events") and lab.balancer.backend("mta", "mta1", 25)["state"] == "draining"


def test_a_drain_of_the_node_tells_all_and_tls_waits(lab, config):
    lab.start_backends()
    lab.start_balancer(config())
    plain = lab.mailer(target=VIP4, sessions=20, messages=0, hold="greeted", timeout_s=90)
    tls = lab.mailer(target=VIP4, doors=[[587, "starttls"], [465, "tls"]], sessions=6, messages=0, hold="greeted", timeout_s=90)
    plain.wait_open(20)
    tls.wait_open(6)
    done = lab.balancer.ctl_run("node", "drain", "--deadline", "20s", "--wait", timeout_s=60)
    assert done.returncode == 5 and "6 sessions open" in done.stderr, done
    assert "told 421 between messages" in done.stdout, done.stdout
    assert plain.wait().outcomes == {"closed": 20}, plain.summary()
    lab.balancer.ctl("node", "undrain")
    tls.go()
    assert tls.wait().outcomes == {"delivered": 6}, tls.summary()
    assert counters(lab)["flows_told"] == 20
