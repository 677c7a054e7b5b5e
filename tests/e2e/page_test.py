# SPDX-License-Identifier: Apache-2.0
"""The page at / in a real Chromium, against a lab in which mail flows and a mail server dies."""
import json
import re
import socket
import struct

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from lab import early_talker
from lab.api import within
from lab.browser import browser, console, view
from lab.etcd import PREFIX, Etcd
from lab.network import VIP4, VIP6, client_addresses
from lab.prometheus import HTTP
from lab.shell import run, wait_until

EVIL = "220 mta ESMTP <script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
TOKEN = "a-token-of-the-lab-0123456789"
PATIENCE_S = 60  # a loaded machine draws slowly


@pytest.fixture
def chromium(lab):
    opened = []

    def start():
        context = browser(lab.network.balancer, lab.directory)
        driver = context.__enter__()
        opened.append(context)
        driver.get(f"http://{HTTP}/")
        wait_until(lambda: driver.find_elements(By.CSS_SELECTOR, "#pools tbody tr"), PATIENCE_S, "backends on the page")
        return driver
    yield start
    for context in opened:
        context.__exit__(None, None, None)


def texts(driver, selector):
    return driver.execute_script("return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)", selector)


def row(driver, backend, address):
    """The row of a backend at an address, as text."""
    (found,) = [text for text in texts(driver, "#pools tbody tr") if text.startswith(backend) and f"{address}:25" in text]
    return found


def points(driver, title):
    """How many points the lines of a chart have."""
    return driver.execute_script("""
        const figure = [...document.querySelectorAll("figure")].find((one) => one.innerText.startsWith(arguments[0]));
        return [...figure.querySelectorAll("path.trace")].map((one) => (one.getAttribute("d") ?? "").split(/[ML]/).length - 1);""", title)


def is_as_wide_as_the_screen(driver):
    return driver.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def ground(driver):
    return driver.execute_script("return getComputedStyle(document.body).backgroundColor")


def test_the_page_shows_the_lab_and_follows_it_when_a_mail_server_dies(lab, chromium):
    lab.start_greeters()
    lab.start_balancer()
    mailer = lab.mailer(target=VIP4, sessions=100_000, per_second=20, messages=0, details=False)
    driver = chromium()
    assert driver.title == "Sluice lab"
    assert "Every service and backend takes mail" in driver.find_element(By.ID, "verdict").text
    exceptions = driver.find_element(By.ID, "exceptions").text
    punted = re.match(r"To the kernel: (\S+) packets, from it \S+ Dropped on the way: 0 of ARP", exceptions)
    assert punted and punted[1] != "0", exceptions
    services = texts(driver, "#services tbody tr")
    assert len(services) == 6 and any("relay" in text and f"{VIP4}:25" in text and "in service" in text for text in services)
    assert any(f"[{VIP6}]:465" in text for text in services), services
    assert len(texts(driver, "#pools section")) == 6
    assert "100 of 100" in row(driver, "mta1", "10.0.1.10") and "health" in row(driver, "mta1", "10.0.1.10") and "33 %" in row(driver, "mta1", "10.0.1.10")
    wait_until(lambda: max(points(driver, "New connections per second")[:1], default=0) >= 2, PATIENCE_S, "a line on the chart")
    wait_until(lambda: max(points(driver, "Time to greeting"), default=0) >= 1, PATIENCE_S, "greetings timed")
    wait_until(lambda: "2xx" in " ".join(texts(driver, ".legend")), PATIENCE_S, "codes by class")
    label = driver.find_element(By.CSS_SELECTOR, "figure svg.plot").get_attribute("aria-label")
    assert "New connections per second, last 10 min." in label and "relay:" in label

    lab.stop_greeter(0)
    wait_until(lambda: "down" in row(driver, "mta1", "10.0.1.10"), PATIENCE_S, "the dead backend on the page")
    dead = row(driver, "mta1", "10.0.1.10")
    assert "refused" in dead and "health × 0" in dead and "0 %" in dead, dead
    wait_until(lambda: "backends out" in driver.find_element(By.ID, "verdict").text, PATIENCE_S, "the verdict")
    wait_until(lambda: any("mta/mta1:25" in text for text in texts(driver, "#events tbody tr")), PATIENCE_S, "the event")
    announced = driver.execute_script("return document.getElementById('announce').textContent")
    assert "mta1" in announced, "screen readers are told"
    lab.start_greeter(0)
    wait_until(lambda: "down" not in row(driver, "mta1", "10.0.1.10"), PATIENCE_S, "the backend is back on the page")
    assert console(driver) == []
    mailer.stop()


def type_into(driver, element, text):
    field = driver.find_element(By.ID, element)
    field.clear()
    field.send_keys(text, Keys.ENTER)


def test_sessions_that_went_wrong_are_shown_to_who_has_the_token_and_followed(lab, config, chromium):
    token = lab.directory / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    lab.start_greeters()
    lab.start_balancer(config(('instance = "lab";', f'instance = "lab"; control: {{ token_file = "{token}"; }};')))
    first, second = client_addresses(0)[0][:2]

    def quarrel(source):
        """A session that the client resets in mid-dialogue."""
        with socket.create_connection((VIP4, 25), source_address=(source, 0), timeout=60) as made:
            assert made.recv(100).startswith(b"220")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    lab.mailer(target=VIP4, sessions=3, messages=0).wait()
    within(lab.network.clients[0], lambda: quarrel(first))
    driver = chromium()
    rows = lambda: texts(driver, "#sessions tbody tr")  # noqa: E731
    assert rows() == [] and "control.token_file" in driver.find_element(By.ID, "sessions-note").text
    type_into(driver, "sessions-token", "not-the-token-at-all")
    wait_until(lambda: "token" in driver.find_element(By.ID, "sessions-note").text and not rows(), PATIENCE_S, "the token is refused")
    type_into(driver, "sessions-token", TOKEN)
    wait_until(lambda: len(rows()) == 1, PATIENCE_S, "the session that went wrong")
    assert first in rows()[0] and "reset by client" in rows()[0] and "greeted 220" in rows()[0] and "relay" in rows()[0], rows()
    within(lab.network.clients[0], lambda: quarrel(second))
    wait_until(lambda: len(rows()) == 2 and second in rows()[0], PATIENCE_S, "the next one, on top")
    type_into(driver, "sessions-client", f"{first}/32")
    wait_until(lambda: len(rows()) == 1 and first in rows()[0], PATIENCE_S, "that client's alone")
    type_into(driver, "sessions-client", "no address")
    wait_until(lambda: "no address" in driver.find_element(By.ID, "sessions-note").text, PATIENCE_S, "what is wrong with the filter")
    type_into(driver, "sessions-client", "")
    driver.find_element(By.ID, "sessions-failed").click()
    wait_until(lambda: len(rows()) == 5 and sum("closed by" in row for row in rows()) == 3, PATIENCE_S, "all of them")
    crowd = lab.mailer(target=VIP4, sessions=100_000, concurrency=50, messages=0, details=False)
    wait_until(lambda: "have ended since the last look" in driver.find_element(By.ID, "sessions-note").text and len(rows()) == 50,
               PATIENCE_S, "that more come than are shown")
    crowd.kill()
    wait_until(lambda: driver.find_element(By.ID, "sessions-note").text == "", PATIENCE_S, "that these are the last there were")
    for width in (380, 1280):
        view(driver, width, 800)
        assert is_as_wide_as_the_screen(driver), f"{width} px: one has to scroll sideways"
    assert TOKEN not in driver.page_source


def test_what_a_mail_server_says_is_text(lab, chromium):
    lab.start_greeters(GREETING=EVIL)
    lab.start_balancer()
    driver = chromium()
    wait_until(lambda: "<script>" in row(driver, "mta1", "10.0.1.10"), PATIENCE_S, "the greeting on the page")
    wait_until(lambda: any("<script>" in text for text in texts(driver, "#events tbody tr")), PATIENCE_S, "the event")
    assert driver.title == "Sluice lab"
    assert driver.execute_script("return document.querySelectorAll('script').length") == 1
    assert driver.find_elements(By.CSS_SELECTOR, "main img") == []
    assert console(driver) == []


def test_markup_is_refused_even_if_the_page_tried(lab, chromium):
    """The policy is in force: no inline handler, no markup from text, nothing from elsewhere."""
    lab.start_greeters()
    lab.start_balancer()
    driver = chromium()
    assert driver.execute_script("try { document.body.innerHTML = '<b>x</b>'; return 'taken' } catch (error) { return error.name }") == "TypeError"
    outcome = driver.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:1/').then(() => done('reached'), () => done('refused'))")
    assert outcome == "refused"
    assert any("Content Security Policy" in line for line in console(driver))


def test_the_page_on_a_phone_in_the_dark_and_by_keyboard(lab, chromium):
    lab.start_greeters()
    lab.start_balancer()
    driver = chromium()
    light = ground(driver)
    for width in (380, 768, 1280):
        view(driver, width, 800)
        assert is_as_wide_as_the_screen(driver), f"{width} px: one has to scroll sideways"
    view(driver, 380, 800, scheme="dark")
    assert ground(driver) != light and is_as_wide_as_the_screen(driver)
    assert driver.execute_script("return getComputedStyle(document.body).color") == "rgb(228, 235, 241)"
    assert "State" in driver.execute_script(
        "return getComputedStyle(document.querySelector('#pools td[data-label=State]'), '::before').content")
    narrowest = driver.execute_script("return Math.min(...[...document.querySelectorAll('#pools td')].map((one) => one.clientWidth))")
    assert narrowest > 300, f"a cell of {narrowest} px on a screen of 380"
    # Rows that are laid out as blocks are still rows to a screen reader.
    roles = driver.execute_script("return [...document.querySelectorAll('#services [role]')].map((one) => one.getAttribute('role'))")
    assert {"table", "row", "columnheader", "rowheader", "cell"} <= set(roles)
    assert driver.find_elements(By.CSS_SELECTOR, "main") and driver.find_elements(By.CSS_SELECTOR, "header")
    assert driver.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
    for figure in driver.find_elements(By.CSS_SELECTOR, "figure svg.plot"):
        assert figure.get_attribute("aria-label")

    body = driver.find_element(By.TAG_NAME, "body")
    stops = []
    for _ in range(3):
        (driver.switch_to.active_element or body).send_keys(Keys.TAB)
        active = driver.switch_to.active_element
        stops.append(active.get_attribute("id") or active.text)
        assert driver.execute_script("return getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus can be seen"
    assert stops == ["Skip to content", "pause", "filter"], stops
    driver.find_element(By.ID, "pause").send_keys(Keys.ENTER)
    assert driver.find_element(By.ID, "pause").get_attribute("aria-pressed") == "true"
    assert driver.find_element(By.ID, "fresh").text == "Paused"
    driver.find_element(By.ID, "filter").send_keys("mta2")
    assert {text.split()[0] for text in texts(driver, "#pools tbody tr")} == {"mta2"}
    assert console(driver) == []


def settled_report(lab):
    """What the node has said of itself, once that is up to date."""
    (own,) = [each for each in json.loads(lab.balancer.ctl("fleet", "--json"))["nodes"] if each["node"] == "edge1"]
    in_use = {pool["table_digest"] for pool in lab.balancer.status()["pools"]}
    return own if set(own["tables"].values()) == in_use else None


def test_the_page_shows_the_nodes_side_by_side(lab, config, chromium):
    lab.start_greeters()
    etcd = Etcd(lab)
    lab.start_balancer(config(("services =\n(", f'fleet: {{ node = "edge1"; {etcd.settings()} }};\nservices =\n(')))
    driver = chromium()
    wait_until(lambda: any(text.startswith("edge1, this one") for text in texts(driver, "#fleet tbody tr")), PATIENCE_S, "the node")
    assert driver.find_element(By.ID, "fleet-section").is_displayed() and texts(driver, "#fleet .state") == []
    own = wait_until(lambda: settled_report(lab), PATIENCE_S, "the node has told of its tables as they are now")
    pool = next(iter(own["tables"]))
    other = {**own, "instance": "other", "host": "<b>rack7</b>", "version": "0.0.1", "tables": {**own["tables"], pool: "f" * 16}}
    etcd.ctl("put", f"{PREFIX}/nodes/edge2", json.dumps(other))
    wait_until(lambda: any(text.startswith("edge2") for text in texts(driver, "#fleet tbody tr")), PATIENCE_S, "the other node")
    (row_of_other,) = [text for text in texts(driver, "#fleet tbody tr") if text.startswith("edge2")]
    assert "<b>rack7</b>" in row_of_other and f"{pool} ffffffffffff" in row_of_other and own["file"][:12] in row_of_other
    marked = set(texts(driver, "#fleet .state"))
    assert marked == {"0.0.1", own["version"], f"{pool} ffffffffffff", f"{pool} {own['tables'][pool][:12]}"}, marked
    notes = texts(driver, "#fleet .notes li")
    assert any(text.startswith("version: ") and "0.0.1 on edge2" in text for text in notes), notes
    for width in (380, 1280):
        view(driver, width, 800)
        assert is_as_wide_as_the_screen(driver), f"{width} px: one has to scroll sideways"
    etcd.ctl("del", f"{PREFIX}/nodes/edge2")
    wait_until(lambda: len(texts(driver, "#fleet tbody tr")) == 1 and not texts(driver, "#fleet .notes li"), PATIENCE_S, "alone again")
    assert console(driver) == []


def test_the_page_shows_who_is_refused_and_why(lab, config, chromium):
    lab.start_greeters()
    greedy, talker, guest, outcast = client_addresses(0)[0][:4]
    path = config(("checks:", f'''sources: {{ allow = ["{guest}"]; early_talkers = {{ then = "421"; }};
        limits = ( {{ of = "address"; connections = 2; services = ["relay"]; }} ); }};

checks:'''))
    lab.start_balancer(path)
    driver = chromium()
    wait_until(lambda: driver.find_element(By.ID, "refused-limits").is_displayed(), PATIENCE_S, "the limit")
    assert not any(driver.find_element(By.ID, f"refused-{part}").is_displayed() for part in ("active", "limited", "blocked"))
    assert "2 connections of each address to relay: 421" in texts(driver, "#refused-limits tbody tr")[0]

    held = lab.mailer(target=VIP4, sources=[greedy], doors=[[25, "plain"]], sessions=2, messages=0, hold="greeted", timeout_s=120)
    held.wait_open(2)
    over = lab.mailer(target=VIP4, sources=[greedy], doors=[[25, "plain"]], sessions=3, messages=0, timeout_s=30).wait()
    assert over.outcomes == {"refused": 3}, over.summary()
    row_of = lambda part, source: next((text for text in texts(driver, f"#{part} tbody tr") if text.startswith(source)), "")  # noqa: E731
    wait_until(lambda: "too many open" in row_of("refused-limited", greedy), PATIENCE_S, "the source at its limit")
    assert "3" in row_of("refused-limited", greedy).split(), row_of("refused-limited", greedy)
    wait_until(lambda: "over a limit" in row_of("refused-active", greedy), PATIENCE_S, "it is among the most active")
    assert "2 connections of each address to relay: 421" in row_of("refused-active", greedy)
    held.go()
    held.wait()
    wait_until(lambda: "let in" in row_of("refused-limited", greedy), PATIENCE_S, "the source below its limit")

    lab.balancer.ctl("block", "203.0.113.0/24", "--for", "10m")
    wait_until(lambda: "blocked by hand" in row_of("refused-blocked", "203.0.113.0/24"), PATIENCE_S, "the prefix")
    run(*early_talker.command(VIP4, talker), namespace=lab.network.clients[0])
    wait_until(lambda: "spoke before the greeting" in row_of("refused-blocked", talker), PATIENCE_S, "the early talker")
    assert texts(driver, "#refused-blocked tbody tr")[0].startswith(talker), "the newest first"
    wait_until(lambda: "early talker" in row_of("refused-active", talker), PATIENCE_S, "the early talker is among the most active")
    lab.balancer.ctl("block", outcast)
    lost = lab.mailer(target=VIP4, sources=[outcast], doors=[[25, "plain"]], sessions=1, messages=0, timeout_s=3).wait()
    assert "delivered" not in lost.outcomes, lost.summary()
    wait_until(lambda: "blocked by hand" in row_of("refused-active", outcast), PATIENCE_S, "so is who is kept out")

    def is_as_told():
        told = [one["prefix"] for one in json.loads(lab.balancer.ctl("sources", "--json"))["sources"]]
        return [text.split()[0] for text in texts(driver, "#refused-active tbody tr")] == told and len(told) == 3
    wait_until(is_as_told, PATIENCE_S, "in the order of sluicectl: the most active of the last minute first")
    notes = texts(driver, "#refused .notes li")
    assert any(text.startswith("2 blocked by hand, 1 for an offence") for text in notes) and f"exempt: {guest}/32" in notes, notes
    for width in (380, 1280):
        view(driver, width, 800)
        assert is_as_wide_as_the_screen(driver), f"{width} px: one has to scroll sideways"
    lab.balancer.ctl("unblock", "203.0.113.0/24")
    wait_until(lambda: not row_of("refused-blocked", "203.0.113.0/24"), PATIENCE_S, "the prefix is free")
    assert console(driver) == []


def test_the_page_says_what_share_of_those_who_are_refused_it_shows(lab, chromium):
    lab.start_greeters()
    lab.start_balancer()
    driver = chromium()
    assert not driver.find_element(By.ID, "refused-section").is_displayed()
    source = {"prefix": "192.0.2.7/32", "why": "blocked", "by": "hand", "rule": None, "last_minute": 1, "count": 1, "last": None}

    def words(known, seen, unseen):
        return driver.execute_script("return activeWords(arguments[0])",
                                     {"known": known, "sources": [source], "sample": {"seen": seen, "unseen": unseen}})
    assert words(1, 5, 0) == ""
    assert words(30, 5, 0) == "1 of 30"
    assert words(30, 1000, 500) == "1 of 30; a sample: 1,000 of 1,500 sessions of the last minute were looked at"


def test_the_page_says_when_control_is_gone(lab, chromium):
    lab.start_greeters()
    lab.start_balancer()
    driver = chromium()
    lab.balancer.kill_control()
    wait_until(lambda: "does not answer" in driver.find_element(By.ID, "verdict").text, PATIENCE_S, "control is gone")
    lab.balancer.start_control()
    wait_until(lambda: "takes mail" in driver.find_element(By.ID, "verdict").text, PATIENCE_S, "control is back")
