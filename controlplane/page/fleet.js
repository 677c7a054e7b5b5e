// SPDX-License-Identifier: Apache-2.0
//
// The nodes of the fleet side by side, and in what they differ.
"use strict";

const DIGEST_SHOWN = 12;  // digits of it

const digest = (text) => text ? text.slice(0, DIGEST_SHOWN) : NOTHING;

/** Shows a value of a node; with a mark where it is not the same on all of them. */
function showValue(cell, text, differs) {
  const shown = `${differs} ${text}`;
  if (cell.shown === shown) return;
  cell.shown = shown;
  cell.replaceChildren(differs ? el("span", {class: "state warn", title: "not the same on all nodes"}, mark("warn"), text) : text);
}

function showTables(cell, node) {
  if (!cell.firstChild) cell.append(el("ul", {class: "digests", "aria-label": "digests of the tables"}));
  keep(cell.firstChild, node.pools, (pool) => pool, () => el("li"),
       (item, pool) => showValue(item, `${pool} ${digest(node.tables[pool])}`, node.differs.has(tableOf(pool, node.zone))));
}

/** As /api/v1/fleet calls what differs: tables are held against those of the same zone. */
const tableOf = (pool, zone) => `table of ${pool}${zone && ` in zone ${zone}`}`;

const nodes = new Table("Nodes of the fleet", [
  {title: "Node", header: true, show: (cell, one) => twoLines(cell, one.node + (one.own ? ", this one" : ""),
                                                              [one.host, one.zone && `zone ${one.zone}`].filter(Boolean).join(", "))},
  {title: "Version", show: (cell, one) => showValue(cell, one.version, one.differs.has("version"))},
  {title: "File", show: (cell, one) => showValue(cell, digest(one.file), one.differs.has("file"))},
  {title: "Tables", show: showTables},
  {title: "Backends up", number: true, show: (cell, one) => setText(cell, `${one.up} of ${one.up + one.down}`)},
  {title: "Sessions", number: true, show: (cell, one) => twoLines(cell, count(one.sessions), one.sessions === null ? "data plane away" : "")},
  {title: "Told", number: true, show: (cell, one) => setText(cell, one.ago)},
]);
const differences = el("ul", {class: "notes", "aria-label": "in what they differ"});

/** "version: 0.0.1 on edge2; 1.2.0 on edge1" */
const differenceWords = (one) => `${one.what}: ${one.values.map((each) =>
  `${each.value ? digest(each.value) : "none"} on ${each.nodes.join(", ")}`).join("; ")}`;

/** What /api/v1/fleet says. */
function showFleet(fleet) {
  byId("fleet-section").hidden = !fleet.etcd;
  if (!fleet.etcd) return;
  const poolsOf = (zone) => [...new Set(fleet.nodes.filter((one) => one.zone === zone).flatMap((one) => Object.keys(one.tables)))].sort();
  const differs = new Set(fleet.differences.map((one) => one.what));
  nodes.update(fleet.nodes.map((one) => ({...one, pools: poolsOf(one.zone), differs, own: one.instance === fleet.self.instance,
                                          ago: `${age(secondsBetween(one.time, fleet.time))} ago`})), (one) => one.node);
  const faults = [fleet.etcd.fault && `What is known stays: ${fleet.etcd.fault}`,
                  fleet.self.write_fault && `etcd takes nothing that is written: ${fleet.self.write_fault}`,
                  fleet.self.rival && rivalWords(fleet.self)];
  keep(differences, [...faults.filter(Boolean), ...fleet.differences.map(differenceWords)], (text) => text, () => el("li"), setText);
}

const rivalWords = (self) => `Another node is called ${self.node}, too${self.rival.host && `, at ${self.rival.host}`}`;
