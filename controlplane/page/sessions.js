// SPDX-License-Identifier: Apache-2.0
//
// Sessions that have ended: the last that went wrong, or all, of the clients that are asked for, and those that follow.
// They show what clients do, so control wants the token for changes; the page remembers it until it is closed.
"use strict";

const SESSIONS_SHOWN = 50;

const sessionEnd = (one) => `${one.end}${one.by ? ` by ${one.by}` : ""}${one.cause ? `: ${one.cause.replaceAll("_", " ")}` : ""}`;
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

/** What is asked for, and what has come of it, newest first. */
const sessionView = {token: "", client: "", failed: true, next: null, seen: []};

function resetSessions(changed) {
  Object.assign(sessionView, changed, {next: null, seen: []});
}

function sessionPath(view) {
  const query = new URLSearchParams({limit: SESSIONS_SHOWN});
  if (view.client) query.set("client", view.client);
  if (view.failed) query.set("failed", 1);
  if (view.next !== null) query.set("after", view.next);
  return `sessions?${String(query).replaceAll("+", "%20")}`;  // control takes a plus for what it is
}

/** What control says instead of an answer. */
async function refusalOf(answer) {
  const {error} = await answer.json().catch(() => ({}));
  return error ?? `control answers ${answer.status}`;
}

function sessionNote() {
  if (!sessionView.token) return "Shown to who gives the token of control.token_file. On the machine: sluicectl sessions --follow --failed";
  return sessionView.seen.length ? "" : sessionView.failed ? "None has gone wrong lately." : "None has ended lately.";
}

/** Looks once, and shows what there is. Sessions that are new come on top of those that were shown. */
async function lookAtSessions() {
  const note = byId("sessions-note");
  const view = {...sessionView};
  let refusal = "";
  if (view.token) {
    const answer = await request(sessionPath(view), {Authorization: `Bearer ${view.token}`});
    if (!answer.ok) refusal = await refusalOf(answer);
    const body = answer.ok ? await answer.json() : null;
    if (sessionView.token !== view.token || sessionView.client !== view.client || sessionView.failed !== view.failed) return;
    if (body) {
      sessionView.next = body.next;
      sessionView.seen = [...body.sessions.reverse(), ...sessionView.seen].slice(0, SESSIONS_SHOWN);
    }
  }
  setText(note, refusal || sessionNote());
  sessions.update(sessionView.seen, (one) => `${one.time} ${one.client} ${one.client_port} ${one.begun}`);
}

function setUpSessions() {
  byId("sessions").append(el("div", {class: "card"}, el("p", {id: "sessions-note", class: "empty"}), sessions.element));
  const again = () => lookAtSessions().catch(() => {});  // run() tells that there is no answer
  byId("sessions-form").addEventListener("submit", (event) => event.preventDefault());
  byId("sessions-token").addEventListener("change", (event) => {
    resetSessions({token: event.target.value.trim()});
    again();
  });
  byId("sessions-client").addEventListener("change", (event) => {
    resetSessions({client: event.target.value.trim()});
    again();
  });
  byId("sessions-failed").addEventListener("click", (event) => {
    resetSessions({failed: !sessionView.failed});
    event.target.setAttribute("aria-pressed", String(sessionView.failed));
    again();
  });
}
