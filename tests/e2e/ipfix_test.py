# SPDX-License-Identifier: Apache-2.0
"""Records of sessions by IPFIX, read back by collectors that others have written: what everybody's elements say by nfdump, ours and
their description by libfixbuf's own tool. docs/sessions.md names each element."""
import datetime
import ipaddress
import json
import pathlib
import re
import signal

from lab.ipfix import ENTERPRISE, Collector
from lab.network import VIP4, VIP6, backend_addresses, client_addresses
from lab.session_records import BUSY, POSTFIX, Fates, metric, records_setting
from lab.shell import Service, run, wait_until

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "sessions.md").read_text()
SECTION = PAGE[PAGE.index("## IPFIX"):PAGE.index("## What is lost")]
KINDS = {"string": "string", "boolean": "bool", "unsigned8": "uint8", "unsigned16": "uint16", "unsigned32": "uint32"}  # ours: ipfixDump's
TRUTH = {True: "1", False: "2"}  # RFC 7011 section 6.1.5
END_REASONS = {"idle": "1", "unfinished": "1", "closed": "3", "reset": "3", "told": "3"}  # others: 4, forced
V4, _ = client_addresses(0)


def start(lab, config, where):
    lab.start_balancer(config(records_setting(f"ipfix:{where}")))


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
    start(lab, config, "127.0.0.1:4739")
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


def test_every_element_says_what_the_record_in_json_does(lab, config):
    """Sessions of known fate, by both families; each as libfixbuf's tool reads it, and as `sluicectl sessions` shows it."""
    lab.start_backends(main_extra=POSTFIX)
    collector = Collector(lab, lab.network.balancer)
    start(lab, config, collector.address)
    fates = ("accepted", "two", "refused", "later", "starttls", "early", "reset", "drop")
    told = Fates(lab, [*([fate, V4[0]] for fate in fates), ["greeting", BUSY]]).told()
    lab.mailer(target=VIP6, sessions=3).wait()
    count = len(told) + 3
    wait_until(lambda: len(collector.flows()) == count, 60, f"{count} flow records")
    shown = json.loads(lab.balancer.ctl("sessions", "--json", "--limit", "2000"))["sessions"]
    records = {(record["client"], record["client_port"]): record for record in shown}
    assert len(records) == count

    templates = collector.templates()
    assert len(templates) == 2, "IPv4 and IPv6"
    for template in templates:
        assert {(element.number, element.name, element.kind) for element in template if element.enterprise == ENTERPRISE} == documented_ours()
    assert {element.name for template in templates for element in template if element.enterprise == 0} == documented_common()
    for flow in collector.flows():
        family = "IPv4" if "sourceIPv4Address" in flow else "IPv6"
        record = records.pop((str(ipaddress.ip_address(flow[f"source{family}Address"])), int(flow["sourceTransportPort"])))
        # ipfixDump does not shorten addresses as others do.
        plain = {name: str(ipaddress.ip_address(value)) if name.endswith("Address") else value for name, value in flow.items()}
        assert plain == ours(record) | common(record, family), record
    assert not records


def documented_ours():
    """(number, name, kind) of each element in the table."""
    out = set()
    for numbers, names, what in re.findall(r"^\| ([^|]*\d) \| (`[^|]*`) \| ([^|]*) \|$", SECTION, re.MULTILINE):
        ends = [int(number) for number in re.findall(r"\d+", numbers)]
        names = re.findall(r"`(\w+)`", names)
        kinds = re.findall(r"string|boolean|unsigned\d+", what.partition(":")[0])
        every = list(range(ends[0], ends[-1] + 1))
        kinds = kinds * len(names) if len(kinds) == 1 else kinds
        out |= {(number, name, KINDS[kind]) for number, name, kind in zip(every, names, kinds, strict=True)}
    return out


def documented_common():
    paragraph = SECTION[SECTION.index("Every collector knows"):SECTION.index("Ours have")]
    return set(re.findall(r"`(\w+)`", paragraph))


def ours(record):
    """The elements of ours, by the record in JSON."""
    refused, last, starttls = record.get("refused", {}), record.get("last_refusal", {}), record["starttls"]
    texts = {"nodeName": "node", "serviceName": "service", "poolName": "pool", "backendName": "backend", "sessionEnd": "end",
             "sessionEndedBy": "by", "sessionCause": "cause", "smtpFurthestStep": "furthest", "tlsServerName": "sni",
             "tlsVersionOffered": "tls_offered", "tlsClientJa4": "ja4", "sessionBlockedPrefix": "blocked_prefix",
             "sessionBlockedBy": "blocked_by", "sessionPlacedBy": "placed_by", "tlsHandshake": "tls"}
    numbers = {"smtpGreetingCode": "greeting", "smtpGreetingMilliseconds": "greeting_ms", "sentAgainByClient": "sent_again_by_client",
               "sentAgainByServer": "sent_again_by_backend", "sessionLimit": "limit", "sessionConnectMilliseconds": "connect_ms",
               "sessionHandshakeMilliseconds": "handshake_ms"}
    truths = {"sessionFailed": "failed", "sessionEstablished": "established", "smtpQuit": "quit", "smtpAuthenticated": "authenticated",
              "smtpEarlyTalker": "early_talker", "smtpPutOff": "put_off", "smtpLostSight": "lost_sight"}
    return ({element: record.get(field, "") for element, field in texts.items()}
            | {element: str(record.get(field, 0)) for element, field in numbers.items()}
            | {element: TRUTH[record.get(field, False)] for element, field in truths.items()}
            | {f"smtpMessages{name.capitalize()}": str(record["messages"][name]) for name in ("accepted", "temporary", "permanent")}
            | {f"smtpRefused{step.capitalize()}": str(refused.get(step, 0)) for step in ("ehlo", "starttls", "auth", "mail", "rcpt", "data", "other")}
            | {"smtpLastRefusalCode": str(last.get("code", 0)), "smtpLastRefusalStep": last.get("step", ""),
               "smtpLastRefusalEnhanced": last.get("enhanced", "")}
            | {f"smtpStarttls{word.capitalize()}": TRUTH[starttls[word]] for word in ("offered", "asked")})


def common(record, family):
    """Everybody's elements, likewise."""
    return {"flowStartMilliseconds": time(record["begun"]), "flowEndMilliseconds": time(record["time"]),
            "initiatorOctets": str(record["bytes_from_client"]), "responderOctets": str(record["bytes_from_backend"]),
            "initiatorPackets": str(record["packets_from_client"]), "responderPackets": str(record["packets_from_backend"]),
            f"source{family}Address": record["client"], f"destination{family}Address": record["vip"],
            f"postNATDestination{family}Address": record["backend_address"], "sourceTransportPort": str(record["client_port"]),
            "destinationTransportPort": str(record["port"]), "postNAPTDestinationTransportPort": str(record["backend_port"]),
            "protocolIdentifier": "6", "flowEndReason": END_REASONS.get(record["end"], "4")}


def time(text):
    return datetime.datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
