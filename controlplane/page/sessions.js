// SPDX-License-Identifier: Apache-2.0
//
// Sessions that have ended: the last that went wrong, or all, of the clients that are asked for, and those that follow.
// They show what clients do, so control wants the token for changes; the page remembers it until it is closed.
"use strict";

const SESSIONS_SHOWN = 50;
const SESSIONS_KEPT = 20000;  // by control

const sessionEnd = (one) => [
  one.end, one.by && `by ${one.by}`, one.cause && `: ${one.cause.replaceAll("_", " ")}`, one.limit,
  one.blocked_prefix && `${one.blocked_prefix} by ${one.blocked_by.replaceAll("_", " ")}`].filter(Boolean).join(" ").replace(" :", ":");
const refusalWords = (last) => `${last.code}${last.enhanced ? ` ${last.enhanced}` : ""} to ${last.step}`;
const dialogueWords = (one) => [one.greeting && `greeted ${one.greeting}`, one.furthest && `came to ${one.furthest}`].filter(Boolean).join(", ");
const messageWords = (one) => one.messages ? `${count(one.messages.accepted)} accepted` : "";
const tlsWords = (one) => [one.sni, one.tls, one.tls_offered && `offered ${one.tls_offered}`].filter(Boolean).join(", ");
const againWords = (one) => one.sent_again_by_client || one.sent_again_by_backend
  ? `again: ${count(one.sent_again_by_client ?? 0)} up, ${count(one.sent_again_by_backend ?? 0)} down` : "";

const sessions = new Table("Sessions that have ended", [
  {title: "Client", header: true, show: (cell, one) => twoLines(cell, endpoint(one.client, one.client_port), clock(one.time, Date.now()))},
  {title: "End", show: (cell, one) => showState(cell, one.failed ? "bad" : "good", sessionEnd(one), one.last_refusal ? refusalWords(one.last_refusal) : "")},
  {title: "Service", show: (cell, one) => twoLines(cell, one.service ?? NOTHING, one.backend ?? "")},
  {title: "Dialogue", show: (cell, one) => twoLines(cell, dialogueWords(one) || NOTHING, messageWords(one))},
  {title: "Lasted", number: true, show: (cell, one) => setText(cell, duration(one.duration_ms))},
  {title: "Packets", number: true, show: (cell, one) => twoLines(cell, `${count(one.packets_from_client)} / ${count(one.packets_from_backend)}`, againWords(one))},
  {title: "TLS", show: (cell, one) => twoLines(cell, tlsWords(one) || NOTHING, one.ja4 ?? "")},
]);

/** What is asked for. `refused`: the token that control does not take; `next`: number of the session that ends next, and `before`: what was
 * shown, at the last look. */
const sessionView = {token: "", client: "", failed: true, refused: "", next: null, before: []};

function sessionPath() {
  const query = new URLSearchParams({limit: SESSIONS_SHOWN});
  if (sessionView.client) query.set("client", sessionView.client);
  if (sessionView.failed) query.set("failed", 1);
  return `sessions?${String(query).replaceAll("+", "%20")}`;  // control takes a plus for what it is
}

/** What control says instead of an answer. */
async function refusalOf(answer) {
  const {error} = await answer.json().catch(() => ({}));
  return error ?? `control answers ${answer.status}`;
}

function showSessions(shown, note) {
  setText(byId("sessions-note"), note);
  sessions.update(shown, sessionKey);
}

const sessionKey = (one) => `${one.time} ${one.client} ${one.client_port} ${one.begun}`;

/** What is to be said beside sessions: that more of them may have come and gone than are there. */
function leftOut(shown, next) {
  const ended = sessionView.next === null ? 0 : next - sessionView.next;
  const keys = new Set(shown.map(sessionKey));
  const none = sessionView.before.length > 0 && !sessionView.before.some((key) => keys.has(key));
  Object.assign(sessionView, {next, before: [...keys]});
  return (none && shown.length === SESSIONS_SHOWN) || ended > SESSIONS_KEPT ? `${count(ended)} have ended since the last look: others may have come and gone unseen.` : "";
}

/** Looks once, and shows what there is, newest first; or what control says instead. */
async function lookAtSessions() {
  const path = sessionPath(), {token, failed} = sessionView;
  if (!token) return showSessions([], "Shown to who gives the token of control.token_file. On the machine: sluicectl sessions --follow --failed");
  if (token === sessionView.refused) return;
  const asked = () => path === sessionPath() && token === sessionView.token;
  let shown = [], note = failed ? "None has gone wrong lately." : "None has ended lately.";
  try {
    const answer = await request(path, {Authorization: `Bearer ${token}`});
    if (answer.status === 401 || answer.status === 403) sessionView.refused = token;
    if (answer.ok) {
      const {sessions: found, next} = await answer.json();
      if (!asked()) return;
      shown = found.reverse();
      const left = leftOut(shown, next);
      if (shown.length || left) note = left;
    } else note = await refusalOf(answer);
  } catch (error) {  // a token that no header can hold, or no answer in time
    note = `no answer about sessions: ${error.message}`;
  }
  if (asked()) showSessions(shown, note);
}

function setUpSessions() {
  byId("sessions").append(el("div", {class: "card"}, el("p", {id: "sessions-note", class: "empty"}), sessions.element));
  const ask = (changed) => {
    Object.assign(sessionView, changed, {refused: "", next: null, before: []});
    lookAtSessions();
  };
  byId("sessions-form").addEventListener("submit", (event) => event.preventDefault());
  byId("sessions-token").addEventListener("change", (event) => ask({token: event.target.value.trim()}));
  byId("sessions-client").addEventListener("change", (event) => ask({client: event.target.value.trim()}));
  byId("sessions-failed").addEventListener("click", (event) => {
    ask({failed: !sessionView.failed});
    event.target.setAttribute("aria-pressed", String(sessionView.failed));
  });
}
