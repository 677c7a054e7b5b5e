# SPDX-License-Identifier: Apache-2.0
"""Sources that give offence: who guesses passwords is blocked, who speaks before the greeting is told 421, and both are let in again."""
import json

from lab import early_talker
from lab.network import VIP4, client_addresses
from lab.shell import run, wait_until

SOURCES = """sources: {
  early_talkers = { remember = 20; then = "421"; };
  auth_failures = { per_minute = 6; block_for = 20; services = ["submission"]; };
};
"""
GUESS = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), source_address=(sys.argv[3], 0), timeout=10) as session:
    session.ehlo("guess")
    print([session.docmd("AUTH", "PLAIN AGEAYg==")[0] for _ in range(int(sys.argv[4]))])
"""
GUESS_UNDER_TLS = """
import smtplib, ssl, sys
with smtplib.SMTP(sys.argv[1], 587, source_address=(sys.argv[2], 0), timeout=30) as session:
    session.starttls(context=ssl._create_unverified_context())
    session.ehlo("guess")
    print(session.docmd("AUTH", "PLAIN AGEAYg==")[0])
"""
GREETING = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3, source_address=(sys.argv[3], 0)) as session:
        print(session.recv(3).decode() or "closed")
except TimeoutError:
    print("silence")
"""


def python(lab, script, *arguments):
    return run("/usr/bin/python3", "-c", script, *map(str, arguments), namespace=lab.network.clients[0]).strip()


def blocked(lab):
    return {entry["prefix"]: entry["by"] for entry in json.loads(lab.balancer.ctl("blocked", "--json"))["blocked"]}


def test_who_gives_offence_is_kept_out_for_a_time(lab, config):
    lab.start_backends()
    path = config()
    path.write_text(path.read_text() + SOURCES)
    lab.start_balancer(path)
    guesser, talker, honest = client_addresses(0)[0][:3]
    held = lab.mailer(target=VIP4, sessions=5, messages=1, hold="greeted", timeout_s=60)
    held.wait_open(5)

    assert python(lab, GUESS, VIP4, 25, honest, 9).count("50") == 9, "refused, but at a service that is not looked at"
    for _ in range(2):
        python(lab, GUESS, VIP4, 587, guesser, 4)
    wait_until(lambda: blocked(lab).get(f"{guesser}/32") == "auth_failures", 10, "the guesser blocked")
    assert f"{honest}/32" not in blocked(lab)
    wait_until(lambda: python(lab, GREETING, VIP4, 587, guesser) == "silence", 20, "its connections dropped")
    assert python(lab, GREETING, VIP4, 587, honest) == "220"
    assert "guesses passwords: 8 AUTH commands refused within a minute" in lab.balancer.ctl("events")

    run(*early_talker.command(VIP4, talker), namespace=lab.network.clients[0])
    wait_until(lambda: blocked(lab).get(f"{talker}/32") == "early_talker", 10, "the early talker remembered")
    wait_until(lambda: python(lab, GREETING, VIP4, 25, talker) == "421", 20, "it is told 421")
    explained = lab.balancer.ctl("explain", f"{talker}:40000", "relay")
    assert "for early_talker" in explained, explained

    lab.balancer.ctl("unblock", f"{guesser}/32")
    wait_until(lambda: python(lab, GREETING, VIP4, 587, guesser) == "220", 10, "forgiven")
    wait_until(lambda: python(lab, GREETING, VIP4, 25, talker) == "220", 40, "its time is up")
    held.go()
    held.wait()
    assert held.outcomes == {"delivered": 5}, held.summary()
    assert lab.balancer.require_counter_law()["drop_policy"] > 0


def test_they_are_kept_out_over_a_restart_of_control(lab, config):
    lab.start_backends()
    path = config()
    path.write_text(path.read_text() + SOURCES.replace("block_for = 20", "block_for = 900"))
    lab.start_balancer(path)
    guesser = client_addresses(0)[0][0]
    for _ in range(2):
        python(lab, GUESS, VIP4, 587, guesser, 4)
    wait_until(lambda: blocked(lab).get(f"{guesser}/32") == "auth_failures", 30, "the guesser blocked")
    wait_until(lambda: python(lab, GREETING, VIP4, 587, guesser) == "silence", 30, "its connections dropped")
    lab.balancer.kill_control()
    lab.balancer.start_control()
    assert blocked(lab).get(f"{guesser}/32") == "auth_failures"
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 30, "in use")
    assert python(lab, GREETING, VIP4, 587, guesser) == "silence"
    lab.balancer.ctl("unblock", f"{guesser}/32")
    wait_until(lambda: python(lab, GREETING, VIP4, 587, guesser) == "220", 30, "forgiven")


def test_who_guesses_under_tls_is_known_by_many_short_sessions(lab, config):
    lab.start_backends()
    path = config()
    path.write_text(path.read_text() + SOURCES.replace("per_minute = 6;", "per_minute = 6; short_tls_sessions = 1;").replace("20;", "900;"))
    lab.start_balancer(path)
    guesser, honest = client_addresses(0)[0][:2]
    mail = lab.mailer(target=VIP4, doors=[[587, "starttls"]], sources=[honest], sessions=12, messages=1, timeout_s=60)
    mail.wait()
    assert mail.outcomes == {"delivered": 12}, mail.summary()
    for _ in range(7):  # one more than are allowed: the next might find it blocked
        assert python(lab, GUESS_UNDER_TLS, VIP4, guesser).startswith("5")
    wait_until(lambda: blocked(lab).get(f"{guesser}/32") == "auth_failures", 30, "the guesser blocked")
    assert f"{honest}/32" not in blocked(lab), "who brings mail under TLS guesses nothing"
    assert "short sessions under TLS" in lab.balancer.ctl("events")
    wait_until(lambda: python(lab, GREETING, VIP4, 587, guesser) == "silence", 30, "its connections dropped")
