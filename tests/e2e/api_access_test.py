# SPDX-License-Identifier: Apache-2.0
"""Who may use the API: a token to read and one to change, TLS with certificates of clients, a group, and who did what on record."""
import grp
import http.client
import json
import os
import shutil
import socket
import ssl
import stat

import pytest

from lab.api import Api, within
from lab.certificates import Authority
from lab.network import BALANCER_FRONT
from lab.shell import CommandError, run

CHANGING, READING = "changing-token-of-the-lab", "reading-token-of-the-lab"
DRAIN = json.dumps({"action": "drain", "backend": "mta/mta1"})
ELSEWHERE = (BALANCER_FRONT[0], 9125)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def settings(**values):
    return ('instance = "lab";', 'instance = "lab";\ncontrol: { http = "0.0.0.0:9125"; '
            + "".join(f"{name} = {value}; " for name, value in values.items()) + "};")


@pytest.fixture
def tokens(lab):
    out = {}
    for name, token in (("token_file", CHANGING), ("read_token_file", READING)):
        path = lab.directory / name
        path.write_text(token + "\n")
        path.chmod(0o600)
        out[name] = f'"{path}"'
    return out


def events(lab):
    return [f"{event['subject']}: {event['text']}" for event in json.loads(lab.balancer.ctl("events", "--json"))["events"]
            if event["kind"] == "api"]


def test_one_token_reads_and_another_changes_and_who_did_is_on_record(lab, config, tokens):
    lab.start_greeters()
    lab.start_balancer(config(settings(**tokens, api_group='"daemon"')))
    elsewhere = Api(lab.network.clients[0], ELSEWHERE)
    assert elsewhere.request("/api/v1/status")[0] == 401
    for token in (READING, CHANGING):
        assert elsewhere.request("/api/v1/status", **bearer(token))[0] == 200
    assert elsewhere.request("/api/v1/by-hand", "POST", DRAIN, **bearer(READING))[0] == 403
    assert elsewhere.request("/api/v1/by-hand", "POST", DRAIN, **bearer(CHANGING))[0] == 200
    for _ in range(20):
        assert elsewhere.request("/api/v1/status", **bearer("a-token-that-nobody-knows"))[0] == 401
    lab.balancer.ctl("enable", "mta/mta1")
    told = events(lab)
    client = next(line for line in told if "POST /api/v1/by-hand: 200" in line and "uid" not in line).split(":")[0]
    assert client.startswith("192.0.2."), told
    assert f"{client}: presents a token that is not accepted" in told
    assert len([line for line in told if "token" in line]) == 1, "strangers may not fill the journal"
    assert any(line.startswith("root (uid 0): POST /api/v1/by-hand") for line in told), told

    api = lab.balancer.runtime / "lab" / "control.sock"
    assert api.stat().st_gid == grp.getgrnam("daemon").gr_gid and stat.S_IMODE(api.stat().st_mode) == 0o660
    os.chmod(api.parent, 0o755)
    done = run("setpriv", "--reuid=65534", "--regid=daemon", "--clear-groups", "curl", "-s", "--unix-socket", api, "http://x/api/v1/status")
    assert json.loads(done)["services"]
    with pytest.raises(CommandError):  # of another group
        run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-s", "--unix-socket", api, "http://x/healthz")


def test_tls_shows_a_certificate_and_wants_one(lab, config, tokens):
    authority, foreign = Authority(lab.directory / "ca"), Authority(lab.directory / "foreign")
    files = {name: lab.directory / f"api.{name}" for name in ("pem", "key")}

    def use(name):
        for source, path in zip(authority.issue(name, [name, BALANCER_FRONT[0]]), files.values()):
            shutil.copy(source, path)
            path.chmod(0o600)
    use("first.example")
    lab.start_greeters()
    lab.start_balancer(config(settings(
        **tokens, tls=f'{{ cert_file = "{files["pem"]}"; key_file = "{files["key"]}"; client_ca_file = "{authority.certificate}"; }}')))

    def client(certificate=None):
        context = ssl.create_default_context(cafile=authority.certificate)
        if certificate:
            context.load_cert_chain(*certificate)
        return Api(lab.network.clients[0], ELSEWHERE, context)
    ops = client(authority.issue("ops", ["ops.example"]))
    assert ops.request("/api/v1/status")[0] == 200
    assert ops.request("/api/v1/by-hand", "POST", DRAIN)[0] == 403, "a certificate alone changes nothing"
    assert ops.request("/api/v1/by-hand", "POST", DRAIN, **bearer(CHANGING))[0] == 200
    assert any("(CN=ops.example): POST /api/v1/by-hand: 200" in line for line in events(lab)), events(lab)

    def again():
        """The status of a request on a connection that offers to go on with the session of the one before, as browsers do."""
        status, session = 0, None
        for _ in range(2):
            with socket.create_connection(ELSEWHERE) as plain, ops.tls.wrap_socket(
                    plain, server_hostname=ELSEWHERE[0], session=session) as secured:
                secured.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                status, session = int(secured.recv(4096).split()[1]), secured.session
        return status
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        ops.tls.maximum_version = version
        assert within(lab.network.clients[0], again) == 200, version
    for refused in (client(), client(foreign.issue("mallory", ["mallory.example"]))):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            refused.request("/healthz")
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        Api(lab.network.clients[0], ELSEWHERE).request("/healthz")  # in plain text

    def look():
        with socket.create_connection(ELSEWHERE) as plain, ops.tls.wrap_socket(plain, server_hostname=ELSEWHERE[0]) as secured:
            return dict(pair[0] for pair in secured.getpeercert()["subject"])["commonName"]

    def shown():
        return within(lab.network.clients[0], look)
    assert shown() == "first.example"
    use("second.example")  # renewed
    assert shown() == "second.example"
    files["key"].write_text("no key")
    assert shown() == "second.example", "the last good one stays"
    assert any("holds no key that goes with the certificate" in line for line in events(lab)), events(lab)
    use("third.example")
    assert shown() == "third.example"
    assert "certificate: its files are sound again" in events(lab)
    files["key"].write_text("no key")
    assert "control.tls.key_file" in lab.balancer.run_control("--check").stdout
