// SPDX-License-Identifier: Apache-2.0
//
// The page: asks /api/v1 for what is, what was and what happened, and shows it. It changes nothing.
"use strict";

const POLL_MS = 2000;        // from an answer to the next question
const TIMEOUT_MS = 8000;     // after which an answer is given up
const EVENTS_SHOWN = 50;
const HISTORY_POLL_MS = 10_000;

const request = (path, headers = {}) =>
  fetch(`/api/v1/${path}`, {headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS)});

async function ask(path) {
  const answer = await request(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

const last = (list) => list?.at(-1) ?? null;

// ---- the last hour

const CHARTS = {
  connections: new Chart("New connections per second", rate),
  flows: new Chart("Open flows", count),
  greeting: new Chart("Time to greeting", duration),
  codes: new Chart("Greetings per second, by code", rate),
  replies: new Chart("Messages, refusals per second", rate),
  bytes: new Chart("Bytes per second", bytes),
};
const CODES = ["2xx", "4xx", "5xx", "none"];

/** One line for each service; those with most of it if there are too many to tell apart. */
function byService(history, series) {
  const sum = (one) => one.series[series].reduce((a, b) => a + (b ?? 0), 0);
  const lines = [...history.services.values()];
  if (lines.length > SERIES_MAX) lines.sort((a, b) => sum(b) - sum(a));
  return lines.map((one) => ({name: one.name, values: one.series[series]}));
}

/** Lines for all services together: `names` is a series for each line's name. */
const together = (history, names) => Object.entries(names).map(([name, series]) => ({name, values: history.total.series[series]}));

/** What /api/v1/history says, by service; and the time of each point, of which the last is `end`. */
function readHistory(answer) {
  const end = Date.parse(answer.end) / 1000;
  const total = answer.history.find((one) => one.kind === "total");
  const services = new Map(answer.history.filter((one) => one.kind === "service").map((one) => [one.name, one]));
  // A service that came later has fewer points: they are its newest.
  for (const one of services.values())
    for (const [name, values] of Object.entries(one.series))
      one.series[name] = [...Array(Math.max(0, total.points - values.length)).fill(null), ...values];
  const times = Array.from({length: total.points}, (_, i) => end - (total.points - 1 - i) * answer.step_s);
  return {times, total, services};
}

function showHistory(history) {
  const {times} = history;
  CHARTS.connections.update(times, byService(history, "established_per_s"));
  CHARTS.flows.update(times, byService(history, "flows_now"));
  CHARTS.greeting.update(times, together(history, {"half within": "greeting_p50_ms", "95 % within": "greeting_p95_ms"}));
  CHARTS.codes.update(times, together(history, Object.fromEntries(CODES.map((code) => [code, `greetings_${code}_per_s`]))));
  CHARTS.replies.update(times, together(history, {"messages accepted": "messages_per_s", "4xx replies": "replies_4xx_per_s",
                                                  "5xx replies": "replies_5xx_per_s", "no backend": "refused_per_s"}));
  CHARTS.bytes.update(times, together(history, {"to mail servers": "bytes_in_per_s", "to clients": "bytes_out_per_s"}));
}

// ---- now

function tile(term, value, note) {
  return {term, value, note};
}

function showTiles(status, history) {
  const {counters} = status;
  const flows = counters && counters.flows_embryonic_now + counters.flows_established_now + counters.flows_closing_now;
  const newest = (series) => last(history?.total.series[series]);
  const greeted = CODES.map((code) => newest(`greetings_${code}_per_s`) ?? 0);
  const all = greeted.reduce((a, b) => a + b, 0);
  const usable = status.backends.filter((one) => one.state === "up").length;
  const tiles = [
    tile("New connections", rate(newest("established_per_s")), "per second"),
    tile("Open flows", count(newest("flows_now")), "through all services"),
    tile("Good greetings", all > 0 ? percent(greeted[0] / all, 2) : NOTHING, "2xx of all, now"),
    tile("Time to greeting", duration(newest("greeting_p50_ms")), "half are quicker"),
    tile("Backends up", `${usable} of ${status.backends.length}`, usable < status.backends.length ? "see below" : "all of them"),
    tile("Flow table", counters ? percent(flows / counters.flow_capacity, 1) : NOTHING,
         counters ? `${count(flows)} of ${count(counters.flow_capacity)}` : "data plane not connected"),
  ];
  keep(byId("tiles"), tiles, (one) => one.term,
       (one) => el("div", {}, el("dt", {}, one.term), el("dd"), el("dd", {class: "note"})), (item, one) => {
         setText(item.children[1], one.value);
         setText(item.children[2], one.note);
       });
}

function verdictOf(status) {
  const out = status.services.filter((one) => one.state === "out of service");
  const down = status.backends.filter((one) => kindOf(one.state) === "bad");
  if (!status.dataplane.connected) return ["bad", `Data plane not connected: ${status.dataplane.reason}`];
  const ports = status.ports.filter((one) => kindOf(one.state) === "bad");
  if (ports.length) return ["bad", ports.map((one) => `Port ${one.name}: ${one.state}`).join(", ")];
  const panic = status.pools.filter((one) => one.panic);
  if (panic.length)
    return ["bad", `Panic: ${panic.map((one) => `${one.name}:${one.port}, ${one.panic.why}; ${one.panic.end}`).join("; ")}`];
  if (out.length) return ["bad", `Out of service: ${out.map((one) => one.name).join(", ")}`];
  if (status.fleet?.rival) return ["warn", rivalWords(status.fleet)];
  if (down.length) return ["warn", `${down.length} of ${status.backends.length} backends out; every service takes mail`];
  return ["good", "Every service and backend takes mail"];
}

let verdictNow = "";
function showVerdict([kind, text]) {
  if (text === verdictNow) return;
  verdictNow = text;
  const icon = byId("verdict");
  icon.className = `verdict ${kind}`;
  icon.replaceChildren(mark(kind), text);
}

// ---- services

const services = new Table("Services", [
  {title: "Service", header: true, show: (cell, one) => twoLines(cell, one.name, endpoint(one.vip, one.port))},
  {title: "State", show: (cell, one) => showState(cell, kindOf(one.state), one.state, one.for)},
  {title: "Why", show: (cell, one) => setText(cell, one.reason)},
  {title: "Pool", show: (cell, one) => twoLines(cell, one.pool, `${one.scheduler}, ${one.forwarding}`)},
  {title: "New per s", number: true, show: (cell, one) => setText(cell, rate(one.connections))},
  {title: "Open", number: true, show: (cell, one) => setText(cell, count(one.figures?.flows_now))},
  {title: "Greeting", number: true, show: (cell, one) => twoLines(cell, duration(one.p50), one.p95 === null ? "" : `95 %: ${duration(one.p95)}`)},
  {title: "Refused", number: true, show: (cell, one) => setText(cell, count(one.figures?.flows_refused))},
]);

function showServices(status, history) {
  services.update(status.services.map((one) => {
    const past = history?.services.get(one.name)?.series;
    return {...one, for: `for ${age(secondsBetween(one.since, status.time))}`, connections: last(past?.established_per_s),
            p50: last(past?.greeting_p50_ms), p95: last(past?.greeting_p95_ms)};
  }), (one) => one.name);
}

// ---- pools and backends

/** A weight: what it comes to, the factors that change it, each with its reason unless that is told beside it already, and
 *  those that do not. */
function showWeight(cell, weight, why) {
  const named = weight.factors.map((one) => ({...one, name: one.name.replaceAll("_", " ")}));
  const changing = named.filter((one) => one.value !== 1);
  if (!cell.firstChild) cell.append(el("span"), el("ul", {class: "chips", "aria-label": "factors of the weight"}), el("span", {class: "sub"}));
  const [sum, chips, others] = cell.children;
  const base = isNumber(weight.by_hand) ? `${weight.by_hand}, set by hand` : `${weight.configured}`;
  setText(sum, `${plain.format(weight.effective)} of ${base}`);
  keep(chips, changing, (one) => one.name, () => el("li"), (item, one) => {
    const reason = one.reason && !why.includes(one.reason) ? `: ${one.reason}` : "";
    setText(item, `${one.name} × ${plain.format(one.value)}${reason}`);
  });
  setText(others, `× 1: ${named.filter((one) => one.value === 1).map((one) => one.name).join(", ")}`);
}

function showShare(cell, share) {
  if (!cell.firstChild) cell.append(el("span", {class: "bar", "aria-hidden": "true"}, el("i")), el("span"));
  cell.firstChild.firstChild.style.width = percent(share, 1).replace(" ", "");
  setText(cell.lastChild, percent(share));
}

const backendColumns = [
  {title: "Backend", header: true, show: (cell, one) => twoLines(cell, one.name, endpoint(one.address, one.port))},
  {title: "State", show: (cell, one) => showState(cell, kindOf(one.state), one.state, one.for)},
  {title: "Why", show: (cell, one) => setText(cell, one.reason)},
  {title: "Weight", show: (cell, one) => showWeight(cell, one.weight, one.reason)},
  {title: "Share", show: (cell, one) => showShare(cell, one.weight.share)},
  {title: "New per s", number: true, show: (cell, one) => setText(cell, rate(one.rates?.established_per_s))},
  {title: "Open", number: true, show: (cell, one) => setText(cell, count(one.figures?.flows_now))},
];

function createPool(pool) {
  const table = new Table(`Backends of pool ${pool.name} on port ${pool.port}`, backendColumns);
  const title = el("h3", {}, `${pool.name}:${pool.port}`), line = el("p");
  return Object.assign(el("section", {class: "card", "aria-label": `Pool ${pool.name} on port ${pool.port}`},
                          el("div", {class: "heading"}, title, line), table.element), {table, line});
}

/** Pools are told apart by check too: the same backends may be judged by another one for another service. */
const poolKey = (one) => `${one.pool ?? one.name} ${one.check}`;

function showPools(status) {
  const wanted = byId("filter").value.trim().toLowerCase();
  const matches = (one) => [one.name, one.address, one.pool, one.state].some((text) => text.toLowerCase().includes(wanted));
  const pools = status.pools.map((pool) => ({...pool, members: status.backends.filter(
    (one) => poolKey(one) === poolKey(pool) && one.port === pool.port && matches(one))}));
  const claimed = new Set(pools.flatMap((pool) => pool.members));
  // A backend with a port of its own is shown with its pool's first port.
  for (const one of status.backends.filter((other) => !claimed.has(other) && matches(other)))
    pools.find((pool) => poolKey(pool) === poolKey(one))?.members.push(one);
  keep(byId("pools"), pools.filter((pool) => pool.members.length || !wanted), (pool) => `${poolKey(pool)} ${pool.port}`, createPool,
       (card, pool) => {
         setText(card.line, `${pool.state}: ${pool.reason}${pool.check ? ` · check ${pool.check}` : ""}`);
         card.table.update(pool.members.map((one) => ({...one, for: `for ${age(secondsBetween(one.since, status.time))}`})),
                           (one) => `${one.name} ${one.port}`);
       });
}

// ---- events

const SEVERITY = {info: "good", warning: "warn", error: "bad"};
const events = new Table("Events, newest first", [
  {title: "Time", show: (cell, one) => setText(cell, clock(one.time, Date.now()))},
  {title: "Severity", show: (cell, one) => {
    if (cell.shown !== one.severity) cell.replaceChildren(el("span", {class: `state ${SEVERITY[one.severity] ?? "warn"}`},
                                                            mark(SEVERITY[one.severity] ?? "warn"), one.severity));
    cell.shown = one.severity;
  }},
  {title: "About", header: true, show: (cell, one) => setText(cell, `${one.kind} ${one.subject}`)},
  {title: "What happened", show: (cell, one) => setText(cell, one.text)},
], "log");

/** Says to screen readers what is new since the last look, and nothing at the first. */
let newestEvent = null;
function announce(list) {
  const fresh = newestEvent === null ? [] : list.filter((one) => one.time > newestEvent && one.severity !== "info");
  if (fresh.length) setText(byId("announce"), fresh.slice(0, 3).map((one) => `${one.subject}: ${one.text}`).join(". "));
  newestEvent = list[0]?.time ?? newestEvent ?? "";
}

// ---- ports

const speed = (mbps) => mbps >= 1000 ? `${mbps / 1000} Gbit/s` : `${mbps} Mbit/s`;
const lost = (counters) => counters && counters.rx_missed + counters.rx_no_mbuf;

const memberState = (member) => member.carries ? "carries" : member.link_up ? "waits" : "no link";
const bond = (one) => (one.dataplane?.members ?? []).map((member) => `${member.device}: ${memberState(member)}`).join(", ");

const ports = new Table("Ports", [
  {title: "Port", header: true, show: (cell, one) => twoLines(cell, one.name, one.twin ? `twin ${one.twin}` : "no twin")},
  {title: "State", show: (cell, one) => showState(cell, kindOf(one.state), one.state,
                                                  one.dataplane?.link_up && one.dataplane.speed_mbps ? speed(one.dataplane.speed_mbps) : "")},
  {title: "Why", show: (cell, one) => setText(cell, one.reason || bond(one))},
  {title: "Card", show: (cell, one) => twoLines(cell, one.dataplane?.driver ?? NOTHING, one.dataplane?.mac ?? "")},
  {title: "VLAN", number: true, show: (cell, one) => setText(cell, one.dataplane?.vlan ? String(one.dataplane.vlan) : NOTHING)},
  {title: "MTU", number: true, show: (cell, one) => setText(cell, count(one.dataplane?.mtu))},
  {title: "Received", number: true, show: (cell, one) => twoLines(cell, count(one.dataplane?.counters.rx_packets), bytes(one.dataplane?.counters.rx_bytes))},
  {title: "Sent", number: true, show: (cell, one) => twoLines(cell, count(one.dataplane?.counters.tx_packets), bytes(one.dataplane?.counters.tx_bytes))},
  {title: "Lost", number: true, show: (cell, one) => setText(cell, count(lost(one.dataplane?.counters)))},
]);

/** What is no mail goes to the kernel by a port's twin: of all ports together, or null. */
function showExceptions(counters) {
  setText(byId("exceptions"), counters
    ? `To the kernel: ${count(counters.punted)} packets, from it ${count(counters.from_twin)}. Dropped on the way: ` +
      `${count(counters.drop_punt_infrastructure)} of ARP, neighbour discovery, routing and replies to probes, ` +
      `${count(counters.drop_punt_local)} to our own addresses, ${count(counters.drop_punt_routed)} of mail servers, ` +
      `${count(counters.drop_echo)} echo requests, ${count(counters.drop_strangers)} for nobody here; ` +
      `${count(counters.drop_from_twin)} from it.` : "");
}

// ---- what the network is told of

const vips = new Table("Announced VIPs", [
  {title: "VIP", header: true, show: (cell, one) => setText(cell, one.vip)},
  {title: "State", show: (cell, one) => showState(cell, kindOf(one.state), one.state, one.for)},
  {title: "Why", show: (cell, one) => setText(cell, one.reason)},
  {title: "Next", show: (cell, one) => setText(cell, one.pending ? one.pending.to : NOTHING)},
  {title: "Metric", number: true, show: (cell, one) => setText(cell, isNumber(one.metric) ? String(one.metric) : NOTHING)},
]);

function showVips(status) {
  byId("vips-section").hidden = status.announce.mode === "none";
  vips.update(status.announce.vips.map((one) => ({...one, for: `for ${age(secondsBetween(one.since, status.time))}`})),
              (one) => one.vip);
}

// ---- mail security

const FINDING = {matches: "good", agrees: "good", mismatch: "bad", disagrees: "bad"};
function showNothing(cell) {
  cell.shown = null;
  setText(cell, NOTHING);
}
function showFinding(cell, found) {
  if (!found) return showNothing(cell);
  showState(cell, FINDING[found.state] ?? "warn", found.state.replaceAll("_", " "), found.why);
}

const security = new Table("Mail security", [
  {title: "Backend", header: true, show: (cell, one) => twoLines(cell, `${one.pool.pool}/${one.name}`, `port ${one.pool.port}, ${one.pool.check}`)},
  {title: "Name", show: (cell, one) => setText(cell, one.pool.server_name || NOTHING)},
  {title: "STARTTLS", show: (cell, one) => one.starttls === null ? showNothing(cell)
    : showState(cell, one.starttls ? "good" : "bad", one.starttls ? "offered" : "missing", "")},
  {title: "Certificate ends", show: (cell, one) => setText(cell, one.not_after ? one.not_after.slice(0, 10) : NOTHING)},
  {title: "DANE", show: (cell, one) => showFinding(cell, one.dane)},
  {title: "MTA-STS", show: (cell, one) => showFinding(cell, one.mta_sts)},
]);

function showSecurity(pools) {
  byId("security-section").hidden = pools.length === 0;
  security.update(pools.flatMap((pool) => pool.backends.map((one) => ({...one, pool}))),
                  (one) => `${one.pool.pool} ${one.pool.port} ${one.pool.check} ${one.name}`);
}

// ---- all of it

let paused = false, status = null, history = null, historyAt = 0, answeredAt = 0;

async function look() {
  const now = performance.now();
  const wantsHistory = history === null || now - historyAt >= HISTORY_POLL_MS;
  const [newStatus, list, fleet, mailSecurity, sources, limited, blocked, newHistory] = await Promise.all(
    [ask("status"), ask(`events?limit=${EVENTS_SHOWN}`), ask("fleet"), ask("security"), ask(`sources?top=${SOURCES_SHOWN}`),
     ask(`limits?top=${SOURCES_SHOWN}`), ask(`blocked?newest=${BLOCKED_SHOWN}`),
     wantsHistory ? ask("history").then(readHistory, () => history) : history]);
  status = newStatus;
  if (wantsHistory) historyAt = now;
  answeredAt = now;
  document.title = `Sluice ${status.instance}`;
  setText(byId("instance"), status.instance);
  setText(byId("about"), `Sluice ${status.version}, control running for ${age(secondsBetween(status.started, status.time))}.`);
  showVerdict(verdictOf(status));
  if (newHistory && newHistory !== history) showHistory(newHistory);
  history = newHistory;
  showTiles(status, history);
  showServices(status, history);
  showPools(status);
  ports.update(status.ports, (one) => one.name);
  showExceptions(status.counters);
  showVips(status);
  showFleet(fleet);
  showSecurity(mailSecurity.pools);
  showRefused(sources, limited, blocked);
  events.update(list.events, (one) => `${one.time} ${one.subject} ${one.text}`);
  announce(list.events);
  await lookAtSessions();
}

function showFreshness(error) {
  if (paused) return setText(byId("fresh"), "Paused");
  if (!error) return setText(byId("fresh"), `Updated ${new Date().toLocaleTimeString("en-GB")}`);
  setText(byId("fresh"), answeredAt ? `No answer for ${age((performance.now() - answeredAt) / 1000)}` : "No answer");
  showVerdict(["bad", "sluice-control does not answer; what is shown here is old"]);
}

async function run() {
  if (!paused && !document.hidden) {
    let failure = null;
    await look().catch((error) => { failure = error; });
    showFreshness(failure);
  }
  setTimeout(run, POLL_MS);
}

function setUp() {
  byId("charts").append(...Object.values(CHARTS).map((chart) => chart.element));
  byId("services").append(el("div", {class: "card"}, services.element));
  byId("ports").append(el("div", {class: "card"}, ports.element));
  byId("vips").append(el("div", {class: "card"}, vips.element));
  byId("fleet").append(el("div", {class: "card"}, nodes.element, differences));
  byId("security").append(el("div", {class: "card"}, security.element));
  setUpRefused();
  byId("events").append(el("div", {class: "card"}, events.element));
  setUpSessions();
  byId("filter").addEventListener("input", () => status && showPools(status));
  byId("pause").addEventListener("click", (event) => {
    paused = !paused;
    event.target.setAttribute("aria-pressed", String(paused));
    showFreshness(null);
  });
  addEventListener("resize", () => Object.values(CHARTS).forEach((chart) => chart.draw()));
}

setUp();
run();
