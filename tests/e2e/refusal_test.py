# SPDX-License-Identifier: Apache-2.0
"""A word instead of a slap: while no backend can take them, real mail servers as senders are told 421, keep their mail and
deliver it later."""
import json
import subprocess

import pytest

from lab.messages import DOMAIN
from lab.network import VIP4, VIP6
from lab.peers import Exim, OpenSmtpd
from lab.postfix import Postfix
from lab.shell import in_namespace, wait_until

# In place of what the lab's servers do with mail for its domain.
POSTFIX_SENDER = f"""
virtual_mailbox_domains =
relay_domains = {DOMAIN}
relayhost = [{VIP4}]:25
relay_destination_concurrency_failed_cohort_limit = 0
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
"""
INJECT = """
import smtplib, sys
for number in range(int(sys.argv[1])):
    with smtplib.SMTP("127.0.0.1", 25) as session:
        session.sendmail("sender@" + sys.argv[2], ["inbox@" + sys.argv[2]], f"Subject: {number}\\r\\n\\r\\nhello\\r\\n")
"""
MESSAGES = 5


def postfix(lab, certificate, key):
    return Postfix("sender", lab.network.clients[0], lab.directory / "sender", certificate, key, main_extra=POSTFIX_SENDER)


def exim(lab, certificate, key):
    return Exim("sender", lab.network.clients[0], lab.directory / "sender", certificate, key, ports=(25,), smart_host=VIP4)


def opensmtpd(lab, certificate, key):
    return OpenSmtpd("sender", lab.network.clients[0], lab.directory / "sender", smart_host=VIP4)


def said(sender):
    """All that a sender has logged."""
    return "".join(path.read_text(errors="replace") for path in (sender.log, *sender.root.glob("logs/*")))


def take_out(lab):
    lab.balancer.ctl("pool", "mta", "drain")
    lab.balancer.ctl("pool", "mta6", "drain")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "in use")


@pytest.mark.parametrize("make", [postfix, pytest.param(exim, marks=pytest.mark.long),
                                  pytest.param(opensmtpd, marks=pytest.mark.long)])
def test_a_sender_that_is_told_421_keeps_its_mail_and_delivers_later(lab, config, make):
    lab.start_backends()
    lab.start_balancer(config(('port = 25;  pool = "mta";', 'port = 25;  pool = "mta"; text_421 = "4.3.2 the lab is closed";')))
    take_out(lab)
    sender = make(lab, *lab.issue_certificate())
    sender.start()
    subprocess.run(in_namespace(sender.namespace, ["/usr/bin/python3", "-c", INJECT, str(MESSAGES), DOMAIN]), check=True)
    wait_until(lambda: "421 4.3.2 the lab is closed" in said(sender), 60, "the sender's log to tell of the 421")
    counters = wait_until(lambda: (c := lab.balancer.require_counter_law())["refusals_acknowledged"] > 0 and c, 60, "a 421 taken")
    assert counters["refusals_sent"] <= counters["syn_acks_sent"], counters
    assert counters["flows_created"] == 0 and counters["resets_to_client"] == 0, counters
    assert sum(backend.count() for backend in lab.backends) == 0

    lab.balancer.ctl("clear", "--all")
    wait_until(lambda: sum(backend.count() for backend in lab.backends) == MESSAGES, 120, "every message delivered")
    assert all(word not in said(sender) for word in ("bounced", "status=expired", "Completed: failed")), said(sender)
    lab.balancer.require_counter_law()
    lab.balancer.require_running()


def test_each_door_is_answered_as_it_speaks(lab, config):
    """421 where the server speaks first, in both families; RST where TLS comes first; as the file says elsewhere."""
    lab.start_greeters()
    lab.start_balancer(config(('port = 587; pool = "mta"; }', 'port = 587; pool = "mta"; on_no_backend = "reset"; }')))
    held = lab.mailer(target=VIP4, sessions=5, messages=0, hold="greeted", timeout_s=60)
    held.wait_open(5)
    take_out(lab)
    for target, port, security, outcome in ((VIP4, 25, "plain", "refused"), (VIP6, 25, "plain", "refused"),
                                            (VIP4, 587, "plain", "unreachable"), (VIP6, 587, "plain", "refused"),
                                            (VIP4, 465, "tls", "unreachable")):
        mailer = lab.mailer(target=target, doors=[[port, security]], sessions=10, messages=0, timeout_s=20).wait()
        assert mailer.outcomes == {outcome: 10}, (target, port, mailer.summary())
    explained = json.loads(lab.balancer.ctl("explain", "192.0.2.100:40000", "relay", "--json"))
    assert 'the client is told "421 4.3.2 try again later"' in json.dumps(explained["notes"]).replace("\\", ""), explained
    counters = lab.balancer.require_counter_law()
    assert counters["syn_acks_sent"] >= 30 and counters["refusals_acknowledged"] == 30, counters
    assert counters["drop_no_backend"] >= 20 and counters["flows_created"] == 5, counters
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 5}, held.summary()
