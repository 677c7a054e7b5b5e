# SPDX-License-Identifier: Apache-2.0
"""sluicectl import haproxy: what it prints carries mail."""
import re
import subprocess

from lab.balancer import EXAMPLE, programs
from lab.network import VIP4

HAPROXY = f"""
defaults
    mode tcp
    timeout client 1m
    timeout server 1m
listen relay
    bind {VIP4}:25
    balance leastconn
    option smtpchk EHLO lb.lab.test
    server mta1 10.0.1.10:25 check inter 1s weight 20
    server mta2 10.0.1.11:25 check inter 1s weight 10
listen submission
    bind {VIP4}:587
    tcp-request inspect-delay 5s
    server mta3 10.0.1.12:25 check inter 1s
"""


def convert(path):
    return subprocess.run([programs()["sluicectl"], "import", "haproxy", path], text=True, capture_output=True, timeout=120)


def test_a_converted_file_carries_mail_and_says_what_was_wrong(lab):
    (lab.directory / "haproxy.cfg").write_text(HAPROXY)
    done = convert(lab.directory / "haproxy.cfg")
    assert done.returncode == 0, done.stderr
    for line, word in ((4, "RFC 5321"), (14, "inspect-delay"), (15, "only connects"), (15, "587 was sent to port 25")):
        assert re.search(rf"haproxy\.cfg:{line}: warning: .*{word}", done.stdout), done.stdout
    # What an operator fills in: the devices.
    devices = re.search(r"dataplane:\n\{.*?\n\};\n", EXAMPLE.read_text(), re.DOTALL)[0]
    text = re.sub(r"dataplane:\n\{.*?\n\};\n", lambda _: devices, done.stdout, count=1, flags=re.DOTALL)
    (lab.directory / "sluice.cfg").write_text(text.replace('instance = "sluice";', 'instance = "imported";'))
    lab.start_greeters()
    balancer = lab.start_balancer(lab.directory / "sluice.cfg")
    mailer = lab.mailer(target=VIP4, doors=[[25, "plain"], [587, "plain"]], sessions=60, messages=0).wait()
    assert mailer.outcomes == {"delivered": 60}, mailer.summary()
    assert set(mailer.backends()) == {"mta1", "mta2", "mta3"} and mailer.backends()["mta3"] == 30
    assert {service["scheduler"] for service in balancer.status()["services"]} == {"least_conn", "wrr"}


def test_files_that_are_none_are_refused(tmp_path):
    for content in (b"", b"\0\xff" * 1000, b"listen x\n" * 10000, b'frontend "\n', b"global\n" + b"x" * (17 << 20)):
        (tmp_path / "haproxy.cfg").write_bytes(content)
        done = convert(tmp_path / "haproxy.cfg")
        assert done.returncode in (1, 2) and not done.stdout and "sluicectl: " in done.stderr, done
        assert "terminate" not in done.stderr
    assert convert(tmp_path / "absent.cfg").returncode == 2
    assert convert(tmp_path).returncode == 2
