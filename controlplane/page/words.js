// SPDX-License-Identifier: Apache-2.0
//
// Numbers, times and states in words.
"use strict";

const NOTHING = "–";

const whole = new Intl.NumberFormat("en", {maximumFractionDigits: 0});
const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 3});
const plain = new Intl.NumberFormat("en", {maximumSignificantDigits: 3});

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const count = (value) => !isNumber(value) ? NOTHING : value < 10000 ? whole.format(value) : short.format(value);
const rate = (value) => !isNumber(value) ? NOTHING : value < 10 ? plain.format(value) : count(value);
const percent = (ratio, digits = 0) => !isNumber(ratio) ? NOTHING : `${(100 * ratio).toFixed(digits)} %`;

const bytes = (value) => isNumber(value) ? `${short.format(value).replace(/(\d)([KMBT]?)$/, "$1 $2")}B` : NOTHING;

/** Milliseconds as people say them: "0.4 ms", "230 ms", "2.5 s". */
function duration(ms) {
  if (!isNumber(ms)) return NOTHING;
  if (ms < 1000) return `${plain.format(ms)} ms`;
  return `${plain.format(ms / 1000)} s`;
}

/** How long ago, in the largest unit that fits: "40 s", "12 min", "3 h", "5 d". */
function age(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [size, name] = units.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${name}`;
}

const secondsBetween = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;

/** "14:05:09" today, with the date otherwise. */
function clock(text, now) {
  const then = new Date(text);
  const time = then.toLocaleTimeString("en-GB");
  return then.toDateString() === new Date(now).toDateString() ? time : `${then.toLocaleDateString("en-CA")} ${time}`;
}

/** Which mark a state gets. A state that is not known here is shown in its own words, as a warning. */
const KINDS = {"up": "good", "in service": "good", "checking": "wait", "starting": "wait", "draining": "off", "disabled": "off",
               "removed, draining": "off", "standby": "off", "down": "bad", "held": "bad", "unreachable": "bad",
               "announced": "good", "withdrawn": "bad", "out of service": "bad", "link down": "bad", "refused": "bad"};
const kindOf = (state) => KINDS[state] ?? "warn";

const endpoint = (address, port) => address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
