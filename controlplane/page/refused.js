// SPDX-License-Identifier: Apache-2.0
//
// Who is refused, and why: the most active of all of them, limits and the sources that are at one, and who is blocked, by what and
// until when.
"use strict";

const SOURCES_SHOWN = 10;  // of the most active, and of those at a limit
const BLOCKED_SHOWN = 20;
const ALLOW_SHOWN = 5;

const limits = new Table("Limits", [
  {title: "Limit", header: true, show: (cell, one) => setText(cell, one.words)},
  {title: "Too many open", number: true, show: (cell, one) => setText(cell, count(one.refused?.connections))},
  {title: "Too many a second", number: true, show: (cell, one) => setText(cell, count(one.refused?.rate))},
  {title: "Cut at handshake", number: true, show: (cell, one) => setText(cell, count(one.refused?.handshakes))},
  {title: "Not counted", number: true, show: (cell, one) => setText(cell, count(one.refused?.uncounted))},
]);

const AT_LIMIT = {connections: "too many open", rate: "too many a second"};
const limited = new Table("Sources that limits have refused most", [
  {title: "Source", header: true, show: (cell, one) => twoLines(cell, one.prefix, one.words)},
  {title: "State", show: (cell, one) => showState(cell, one.at_limit ? "bad" : "good", one.at_limit ? AT_LIMIT[one.at_limit] : "let in", "")},
  {title: "Refused", number: true, show: (cell, one) => setText(cell, count(one.refused))},
  {title: "Open", number: true, show: (cell, one) => setText(cell, count(one.open))},
  {title: "New per s", number: true, show: (cell, one) => setText(cell, rate(one.per_second))},
]);


/** Why a prefix is blocked, by what /api/v1 calls it. */
const BLOCKED_BY = {hand: "blocked by hand", fleet: "blocked by hand, on all nodes", file: "in the block file",
                    early_talker: "spoke before the greeting", auth_failures: "guesses passwords"};

/** What a source is among the most active for: how bad, what it did, and what is behind that. `rules`: of /api/v1/limits. */
function complaintWords({why, by, rule}, rules) {
  switch (why) {
    case "blocked": return ["bad", "blocked", BLOCKED_BY[by] ?? by.replaceAll("_", " ")];
    case "limit": return ["bad", "over a limit", rules[rule - 1]?.words ?? ""];
    case "early_talker": return ["warn", "early talker", "sessions that spoke before the greeting"];
    case "auth_failures": return ["warn", "auth failures", "AUTH commands that were refused"];
    default: return ["warn", why.replaceAll("_", " "), ""];
  }
}

const active = new Table("Sources that were refused or gave offence, the most active first", [
  {title: "Source", header: true, show: (cell, one) => setText(cell, one.prefix)},
  {title: "Why", show: (cell, one) => showState(cell, ...one.words)},
  {title: "Last minute", number: true, show: (cell, one) => setText(cell, count(one.last_minute))},
  {title: "All", number: true, show: (cell, one) => setText(cell, count(one.count))},
  {title: "Last", number: true, show: (cell, one) => setText(cell, one.last ? clock(one.last, Date.now()) : NOTHING)},
]);
const activeNote = el("p", {id: "refused-active-note"});

/** How many of the sources are shown, and whether their sessions are a sample of what there was. */
function activeWords({known, sources, sample}) {
  const all = sample.seen + sample.unseen;
  return [known > sources.length && `${count(sources.length)} of ${count(known)}`,
          sample.unseen > 0 && `a sample: ${count(sample.seen)} of ${count(all)} sessions of the last minute were looked at`,
  ].filter(Boolean).join("; ");
}

function showActive(answer, rules) {
  byId("refused-active").hidden = answer.sources.length === 0;
  setText(activeNote, activeWords(answer));
  active.update(answer.sources.map((one) => ({...one, words: complaintWords(one, rules)})), (one) => `${one.why} ${one.by} ${one.rule} ${one.prefix}`);
}

const blocked = new Table("Blocked sources", [
  {title: "Source", header: true, show: (cell, one) => setText(cell, one.prefix)},
  {title: "Why", show: (cell, one) => twoLines(cell, BLOCKED_BY[one.by] ?? one.by.replaceAll("_", " "),
                                              one.fleet ? `by ${one.fleet.who} on ${one.fleet.node}` : "")},
  {title: "Since", show: (cell, one) => setText(cell, one.since ? clock(one.since, Date.now()) : NOTHING)},
  {title: "Until", show: (cell, one) => setText(cell, one.until ? clock(one.until, Date.now()) : "taken back")},
]);
const blockNotes = el("ul", {class: "notes", "aria-label": "blocked sources, summed up"});

/** What is blocked, summed up. `shown`: so many of it stand in the table. */
function blockedWords(answer, shown) {
  const {file, offences} = answer;
  const hidden = answer.by_hand + answer.offenders - shown;
  return [
    file.path && `${count(file.prefixes)} prefixes in ${file.path}${file.fault ? `: ${file.fault}` : ""}`,
    `${count(answer.by_hand)} blocked by hand, ${count(answer.offenders)} for an offence${hidden > 0 ? `; ${count(hidden)} older ones are not shown` : ""}`,
    `sessions that spoke before the greeting: ${count(offences.early_talkers)}; AUTH commands that were refused: ${count(offences.auth_failures)}`,
    answer.allow.length > 0 && `exempt: ${answer.allow.slice(0, ALLOW_SHOWN).join(", ")}${answer.allow.length > ALLOW_SHOWN ? " and more" : ""}`,
  ].filter(Boolean);
}

/** What /api/v1/sources, /api/v1/limits and /api/v1/blocked say. */
function showRefused(sourcesAnswer, limitsAnswer, blockedAnswer) {
  const {rules, sources} = limitsAnswer;
  const {offences} = blockedAnswer;
  const nothing = rules.length + blockedAnswer.blocked.length + offences.early_talkers + offences.auth_failures + sourcesAnswer.known === 0
    && !blockedAnswer.file.path;
  byId("refused-section").hidden = nothing;
  if (nothing) return;
  const {dropped} = sourcesAnswer;
  setText(byId("refused-sums"), dropped
    ? `Packets dropped: ${count(dropped.blocked)} of blocked sources, ${count(dropped.limit)} of sources at a limit.` : "");
  showActive(sourcesAnswer, rules);
  byId("refused-limits").hidden = rules.length === 0;
  limits.update(rules, (one) => one.rule);
  const worst = sources.filter((one) => one.at_limit || one.refused > 0).slice(0, SOURCES_SHOWN);
  byId("refused-limited").hidden = worst.length === 0;
  limited.update(worst.map((one) => ({...one, words: rules[one.rule - 1]?.words ?? ""})), (one) => `${one.rule} ${one.prefix}`);
  byId("refused-blocked").hidden = blockedAnswer.blocked.length === 0;
  blocked.update(blockedAnswer.blocked, (one) => `${one.by} ${one.prefix}`);
  keep(blockNotes, blockedWords(blockedAnswer, blockedAnswer.blocked.length), (text) => text, () => el("li"), setText);
}

function setUpRefused() {
  const card = (id, title, table, ...beside) =>
    el("div", {class: "card", id}, el("div", {class: "heading"}, el("h3", {}, title), ...beside), table.element);
  byId("refused").append(el("p", {id: "refused-sums"}), card("refused-active", "The most active, of the last minute first", active, activeNote),
                         card("refused-limits", "Limits", limits), card("refused-limited", "Sources at a limit", limited),
                         card("refused-blocked", "Blocked, newest first", blocked), blockNotes);
}
