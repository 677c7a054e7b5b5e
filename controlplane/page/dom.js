// SPDX-License-Identifier: Apache-2.0
//
// Building and updating the document. All text goes in as text nodes and attributes, never as markup: what a mail server
// says is shown, whatever it says. (The page's policy forbids innerHTML besides: require-trusted-types-for.)
"use strict";

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

function make(namespace, tag, attributes, children) {
  const out = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) out.setAttribute(name, value);
  out.append(...children.filter((child) => child !== null && child !== undefined));
  return out;
}
const el = (tag, attributes, ...children) => make(null, tag, attributes, children);
const svg = (tag, attributes, ...children) => make(SVG, tag, attributes, children);

/** Sets text only where it differs, so that nothing that is being read or selected is touched needlessly. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A symbol of page.html; the words beside it say the same. */
const mark = (kind) => svg("svg", {class: "mark", "aria-hidden": "true"}, svg("use", {href: `#mark-${kind}`}));

/** Makes `parent` hold one child for each item, in order. `key(item)` says which child is whose; `create(key)` makes one
 *  (an element), `update(element, item)` fills it. Children whose key is gone are removed. */
function keep(parent, items, key, create, update) {
  const known = parent.kept ??= new Map();
  const seen = new Set();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    if (seen.has(name)) continue;
    seen.add(name);
    let child = known.get(name);
    if (!child) known.set(name, child = create(item));
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const [name, child] of known) {
    if (seen.has(name)) continue;
    child.remove();
    known.delete(name);
  }
}

/** A table whose rows are kept by key. `columns`: {title, number, header, show(cell, item)}. On a narrow screen rows become
 *  blocks, which would take the table's meaning away from screen readers: hence the roles. */
class Table {
  constructor(caption, columns, className = "") {
    this.columns = columns;
    this.body = el("tbody", {role: "rowgroup"});
    const titles = columns.map((column) => el("th", {scope: "col", role: "columnheader", class: column.number ? "n" : ""}, column.title));
    this.element = el("table", {role: "table", class: className}, el("caption", {class: "hidden"}, caption),
                      el("thead", {role: "rowgroup"}, el("tr", {role: "row"}, ...titles)), this.body);
  }

  update(items, key) {
    keep(this.body, items, key, () => this.row(), (row, item) => {
      this.columns.forEach((column, i) => column.show(row.children[i], item));
    });
  }

  row() {
    return el("tr", {role: "row"}, ...this.columns.map((column) => column.header
      ? el("th", {scope: "row", role: "rowheader"})
      : el("td", {role: "cell", class: column.number ? "n" : "", "data-label": column.title})));
  }
}

/** Shows two lines of text in a cell, the second one small; an empty one is left out. */
function twoLines(cell, first, second) {
  if (cell.shown === `${first}\n${second}`) return;
  cell.shown = `${first}\n${second}`;
  cell.replaceChildren(el("span", {}, first), ...(second ? [el("span", {class: "sub"}, second)] : []));
}

/** Shows a state: a mark of its own shape, the word, and since when. */
function showState(cell, kind, word, since) {
  if (cell.shown !== word) {
    cell.shown = word;
    cell.replaceChildren(el("span", {class: `state ${kind}`}, mark(kind), word), el("span", {class: "sub"}));
  }
  setText(cell.lastElementChild, since);
}
