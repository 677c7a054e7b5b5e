# SPDX-License-Identifier: Apache-2.0
"""Mail security as the balancer's probes see it: certificates of a real Postfix against TLSA records in a signed zone, and against the
MTA-STS policy of a host of its own. What does not agree is told, and takes nobody out."""
import hashlib
import json
import sys

import pytest

from lab.api import Api, require_as_described
from lab.mailer import TESTS
from lab.messages import DOMAIN
from lab.name_server import NameServer, Resolver
from lab.shell import Service, run, wait_until

NAME = f"smtp.{DOMAIN}"
TLSA = f"_25._tcp.{NAME}."
HOST = "127.0.0.2"  # of policies
POOL = 'name  = "mta";\n    check = "greeting";'


def digest_of(certificate):
    """Of the public key, as a record 3 1 1 has it."""
    public = run("openssl", "x509", "-in", certificate, "-pubkey", "-noout")
    der = run("sh", "-c", "openssl pkey -pubin -outform DER | od -An -v -tx1", stdin=public)
    return hashlib.sha256(bytes.fromhex("".join(der.split()))).hexdigest()


@pytest.fixture
def dns(lab):
    """A name server with the signed zone, and a resolver that validates it."""
    server = NameServer(lab, DOMAIN, signed=True)
    resolver = Resolver(lab, server)
    yield server, resolver
    resolver.remove()


def check(more):
    return ("checks:\n{", f'checks:\n{{\n  mail: {{ type = "starttls"; server_name = "{NAME}"; interval = 0.5; certificate_warn_days = 0; '
            f"{more} }};")


def security(lab):
    return json.loads(lab.balancer.ctl("security", "--json"))


def signatures(lab):
    return {(known["name"], known["type"]): known["state"] for known in security(lab)["signatures"]}


def pool_of(lab, port=25):
    (found,) = [pool for pool in security(lab)["pools"] if (pool["pool"], pool["port"]) == ("mta", port)]
    return found


def states(lab, what):
    """The states of all three backends on port 25, each once."""
    return {backend[what]["state"] for backend in pool_of(lab)["backends"]}


def wait_states(lab, what, wanted, timeout_s=60):
    wait_until(lambda: states(lab, what) == {wanted}, timeout_s, f"{what} is {wanted}, now {pool_of(lab)['backends']}")


def metrics(lab):
    return Api(lab.network.balancer).request("/metrics")[2]


def require_described(lab):
    api = Api(lab.network.balancer)
    require_as_described(api.get("/api/v1/security"), "/api/v1/security", api.get("/api/v1/openapi.json"))


def events(lab):
    return json.loads(lab.balancer.ctl("events", "--json"))["events"]


def all_up(lab):
    return {entry["state"] for entry in lab.balancer.status()["backends"] if entry["port"] == 25} == {"up"}


def test_certificates_are_held_against_the_records_of_a_signed_zone(lab, config, dns):
    server, resolver = dns
    lab.start_backends()
    certificate = lab.authority.directory / "mta.pem"
    server.update(f"add {TLSA} 1 TLSA 3 1 1 {digest_of(certificate)}", f"add {NAME}. 1 A 192.0.2.25", f"add {DOMAIN}. 1 MX 10 {NAME}.")
    lab.start_balancer(config((POOL, POOL.replace("greeting", "mail")), check("tlsa = true;")))
    wait_states(lab, "dane", "matches")
    assert {backend["dane"]["state"] for backend in pool_of(lab, 587)["backends"]} == {"no_records"}, "each port has its own"
    (records,) = [known for known in security(lab)["records"] if known["name"] + "." == TLSA]
    require_described(lab)
    assert records["authenticated"] and len(records["records"]) == 1 and not records["fault"], records

    # What leads to the name.
    wanted = {(NAME, "A"): "signed", (NAME, "AAAA"): "none", (DOMAIN, "MX"): "signed"}
    wait_until(lambda: signatures(lab) == wanted, 60, "the records that lead to the name, signed")
    require_described(lab)
    assert f'sluice_mail_records_signed{{name="{DOMAIN}",type="MX",state="signed"}} 1' in metrics(lab)

    # A certificate that nobody has published: told, by backend, and no more.
    lab.issue_certificate()
    for backend in lab.backends:
        backend.reload()
    wait_states(lab, "dane", "mismatch")
    assert all_up(lab), "it is reported, and takes nobody out"
    assert 'sluice_backend_dane{pool="mta",backend="mta1",port="25",check="mail",state="mismatch"} 1' in metrics(lab)
    told = [event for event in events(lab) if "DANE: mismatch" in event["text"]]
    assert {event["subject"].split(" ")[0] for event in told} == {f"mta/mta{i}:25" for i in (1, 2, 3)} and len(told) == 3, told
    said = lab.balancer.ctl("security")
    assert "mismatch" in said and "is about another certificate" in said, said
    server.update(f"add {TLSA} 1 TLSA 3 1 1 {digest_of(certificate)}")  # beside the old one, as a roll-over has it
    wait_states(lab, "dane", "matches")

    # The DNS away: what was known stays, and it is told.
    resolver.stop()
    wait_until(lambda: all(known["fault"] for known in security(lab)["records"]), 90, "nobody answers")
    assert states(lab, "dane") == {"matches"}
    assert f'sluice_tlsa_refused{{name="{TLSA[:-1]}"}} 1' in metrics(lab)
    # A resolver that does not validate says nothing that counts.
    resolver.set_validating(False)
    resolver.start()
    wait_states(lab, "dane", "not_authenticated", 90)
    wait_until(lambda: signatures(lab)[DOMAIN, "MX"] == "not_signed", 90, "the MX records are vouched for no more")
    assert f"{DOMAIN} MX: not signed" in lab.balancer.ctl("security")
    assert all_up(lab)
    resolver.stop()
    resolver.set_validating(True)
    resolver.start()
    wait_states(lab, "dane", "matches", 90)
    # Usages that say nothing to SMTP.
    server.update(f"delete {TLSA} TLSA", f"add {TLSA} 1 TLSA 1 1 1 {digest_of(certificate)}")
    wait_states(lab, "dane", "unusable")
    server.update(f"delete {TLSA} TLSA")
    wait_states(lab, "dane", "no_records")


def change_main(postfix, old, new):
    path = postfix.config / "main.cf"
    text = path.read_text()
    assert str(old) in text, f"main.cf no longer holds {old}"
    path.write_text(text.replace(str(old), str(new)))
    postfix.reload()


class Policy:
    """The policy of the lab's domain, and the host that has it."""

    def __init__(self, lab, server):
        self.server = server
        self.file = lab.directory / "mta-sts.txt"
        self.number = 0
        certificate, key = lab.authority.issue("policy", [f"mta-sts.{DOMAIN}"])
        server.update(f"add mta-sts.{DOMAIN}. 1 A {HOST}")
        service = Service("policy host", [sys.executable, "-m", "lab.policy_host", HOST, certificate, key, self.file],
                          lab.directory / "policy-host.log", lab.network.balancer,
                          {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"})
        lab.services.append(service)

    def publish(self, *mx, mode="enforce"):
        self.number += 1
        self.file.write_text(f"version: STSv1\nmode: {mode}\n" + "".join(f"mx: {name}\n" for name in mx) + "max_age: 86400\n")
        self.server.update(f"delete _mta-sts.{DOMAIN}. TXT", f'add _mta-sts.{DOMAIN}. 1 TXT "v=STSv1; id={self.number};"')


def test_backends_are_held_against_the_policy_of_their_domain(lab, config, dns):
    server, _ = dns
    lab.start_backends()
    policy = Policy(lab, server)
    policy.publish(f"*.{DOMAIN}")
    path = config((POOL, POOL.replace("greeting", "mail")), check(f'mta_sts = true; ca_file = "{lab.authority.certificate}";'))
    lab.start_balancer(path)
    wait_states(lab, "mta_sts", "agrees")
    require_described(lab)
    (known,) = security(lab)["policies"]
    assert (known["mode"], known["mx"], known["id"], known["fault"]) == ("enforce", [f"*.{DOMAIN}"], "1", ""), known
    assert f'sluice_mta_sts_policy_info{{domain="{DOMAIN}",mode="enforce"}} 1' in metrics(lab)

    policy.publish(f"mx.{DOMAIN}", mode="testing")
    wait_states(lab, "mta_sts", "disagrees")
    assert f"the policy does not name {NAME}, but mx.{DOMAIN}" in lab.balancer.ctl("security")
    assert all_up(lab)
    policy.publish(NAME)
    wait_states(lab, "mta_sts", "agrees")
    policy.file.write_text("<html>no policy</html>")
    server.update(f"delete _mta-sts.{DOMAIN}. TXT", f'add _mta-sts.{DOMAIN}. 1 TXT "v=STSv1; id=broken;"')
    wait_until(lambda: "is no" in security(lab)["policies"][0]["fault"], 60, "the policy is refused")
    assert states(lab, "mta_sts") == {"agrees"} and security(lab)["policies"][0]["id"] == "3", "the last good one stays"

    # One of three shows a certificate that has expired; then one offers no STARTTLS.
    expired, _ = lab.authority.issue("expired", [NAME], days=-1)
    change_main(lab.backends[0], lab.authority.directory / "mta", expired.with_suffix(""))
    wait_until(lambda: [backend["mta_sts"]["state"] for backend in pool_of(lab)["backends"]] == ["disagrees", "agrees", "agrees"], 60,
               "one has expired")
    change_main(lab.backends[2], "smtpd_tls_security_level = may", "smtpd_tls_security_level = none")
    wait_until(lambda: pool_of(lab)["starttls_fault"] == "STARTTLS is offered by mta1, mta2 and not by mta3", 60, "they differ")
    assert 'sluice_backend_starttls{pool="mta",backend="mta3",port="25",check="mail",state="missing"} 1' in metrics(lab)
