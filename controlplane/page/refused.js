// SPDX-License-Identifier: Apache-2.0
//
// Who is refused, and why: limits and the sources that are at one, and who is blocked, by what and until when.
"use strict";

const SOURCES_SHOWN = 10;
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

/** Why a prefix is blocked, by what /api/v1/blocked calls it. */
const BLOCKED_BY = {hand: "blocked by hand", fleet: "blocked by hand, on all nodes", file: "in the block file",
                    early_talker: "spoke before the greeting", auth_failures: "guesses passwords"};
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

/** What /api/v1/limits and /api/v1/blocked say. `counters`: of all workers, or null. */
function showRefused(limitsAnswer, blockedAnswer, counters) {
  const {rules, sources} = limitsAnswer;
  const {offences} = blockedAnswer;
  const nothing = rules.length + blockedAnswer.blocked.length + offences.early_talkers + offences.auth_failures === 0 && !blockedAnswer.file.path;
  byId("refused-section").hidden = nothing;
  if (nothing) return;
  setText(byId("refused-sums"), counters
    ? `Packets dropped: ${count(counters.drop_policy)} of blocked sources, ${count(counters.drop_limited)} of sources at a limit.` : "");
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
  const card = (id, title, table) => el("div", {class: "card", id}, el("div", {class: "heading"}, el("h3", {}, title)), table.element);
  byId("refused").append(el("p", {id: "refused-sums"}), card("refused-limits", "Limits", limits),
                         card("refused-limited", "Sources at a limit", limited), card("refused-blocked", "Blocked, newest first", blocked),
                         blockNotes);
}
