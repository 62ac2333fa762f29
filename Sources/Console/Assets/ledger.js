// The books of a component as a sentence of numbers.

import { h } from "./dom.js";
import { full, short } from "./format.js";
import { store } from "./store.js";

function term(name, value, title, kind = "") {
    return h("span", { class: `term ${kind}`, title: `${full(value)} ${title}` }, h("b", {}, short(value)), " ", name);
}

function sum(entries) {
    return entries.reduce((total, entry) => total + entry.items, 0);
}

/** `in + held before + created = delivered + merged + dropped + held`, since the start. */
export function ledgerLine(books) {
    if (!books) return h("p", { class: "ledger empty" }, "Nothing is booked for this component yet.");
    const left = [term("in", books.in, "items taken in or originated"), " + ",
        term("held before", books.restored ?? 0, "items found in queues on disk at the start")];
    if (books.created > 0) left.push(" + ", term("created", books.created, "items made from others"));
    const right = [term("delivered", books.out, "items passed on or confirmed")];
    if (books.merged > 0) right.push(" + ", term("merged", books.merged, "items that went into others"));
    right.push(" + ", term("dropped", sum(books.dropped), "items whose life ended here", sum(books.dropped) > 0 ? "bad" : ""));
    right.push(" + ", term("held", sum(books.held), "items waiting in buffers"));
    if (books.unaccounted !== 0) {
        right.push(" + ", term("on their way", books.unaccounted, "items between two entries of the books"));
    }
    return h("p", { class: "ledger", "data-balance": books.unaccounted }, left, " = ", right);
}

/** The same over the time rates are taken over: `in + held before = delivered + dropped + held`. */
export function windowLine(id) {
    const pair = store.between(id);
    if (!pair) return h("p", { class: "ledger empty" }, "Measuring.");
    const [first, last, seconds] = pair;
    const left = [term("in", last.in - first.in, "items"), " + ", term("held before", first.held, "items")];
    if (last.created > first.created) left.push(" + ", term("created", last.created - first.created, "items"));
    const right = [term("delivered", last.out - first.out, "items")];
    if (last.merged > first.merged) right.push(" + ", term("merged", last.merged - first.merged, "items"));
    const dropped = last.droppedItems - first.droppedItems;
    right.push(" + ", term("dropped", dropped, "items", dropped > 0 ? "bad" : ""), " + ", term("held", last.held, "items"));
    return h("p", { class: "ledger" }, left, " = ", right,
        h("span", { class: "kind" }, ` in the last ${Math.round(seconds)} s`));
}
