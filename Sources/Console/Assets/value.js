// Values in Alloy's JSON encoding, shown as the configuration language writes them.

import { componentPath, h, link } from "./dom.js";
import { full } from "./format.js";
import { store } from "./store.js";

/** How many elements of a list or object are shown before one asks for more. */
const pageLength = 40;

function scalar(value) {
    switch (value.type) {
    case "null": return h("span", { class: "v-null" }, "null");
    case "bool": return h("span", { class: "v-bool" }, String(value.value));
    case "number": return h("span", { class: "v-number", title: full(value.value) }, String(value.value));
    case "string": return string(value.value);
    case "capsule": return h("span", { class: value.value === "(secret)" ? "v-secret" : "v-capsule" }, String(value.value));
    case "function": return h("span", { class: "v-capsule" }, "function");
    default: return h("span", { class: "v-capsule" }, String(value.value));
    }
}

function string(text) {
    const shown = h("span", { class: "v-string" }, JSON.stringify(text));
    return store.components.has(text) ? link(componentPath(text), {}, shown) : shown;
}

function long(entries, draw) {
    const list = h("ul", { class: "v-list" }, entries.slice(0, pageLength).map(draw));
    if (entries.length <= pageLength) return list;
    let shown = pageLength;
    const more = h("button", {
        type: "button", class: "quiet", onclick: () => {
            list.append(...entries.slice(shown, shown + 10 * pageLength).map(draw));
            shown = Math.min(entries.length, shown + 10 * pageLength);
            more.textContent = `${entries.length - shown} more`;
            if (shown === entries.length) more.remove();
        },
    }, `${entries.length - shown} more`);
    return [list, more];
}

/** One value. */
export function valueElement(value) {
    if (value.type === "array") {
        if (value.value.length === 0) return h("span", { class: "v-null" }, "[]");
        if (value.value.length <= 6 && value.value.every((one) => one.type !== "array" && one.type !== "object")) {
            return h("span", {}, "[", value.value.map((one, index) => [index > 0 ? ", " : "", scalar(one)]), "]");
        }
        return h("details", { open: value.value.length <= 4 },
            h("summary", {}, `${value.value.length} elements`),
            long(value.value, (one) => h("li", {}, valueElement(one))));
    }
    if (value.type === "object") {
        if (value.value.length === 0) return h("span", { class: "v-null" }, "{}");
        return long(value.value, (entry) => h("li", {}, h("span", { class: "v-key" }, entry.key), " = ", valueElement(entry.value)));
    }
    return scalar(value);
}

function isPlain(entry) {
    return entry.type === "attr";
}

/** Attributes and blocks as a table; blocks open to tables of their own. */
export function bodyElement(body) {
    const table = h("table", { class: "values" }, h("tbody"));
    const rows = table.lastChild;
    const repeated = new Map();
    for (const entry of body) if (!isPlain(entry)) repeated.set(entry.name, (repeated.get(entry.name) ?? 0) + 1);
    for (const entry of body) {
        if (isPlain(entry)) {
            rows.append(h("tr", {}, h("th", { scope: "row" }, entry.name), h("td", {}, valueElement(entry.value))));
            continue;
        }
        const inner = entry.body ?? [];
        const name = entry.label ? `${entry.name} "${entry.label}"` : entry.name;
        rows.append(h("tr", { class: "block" }, h("th", { scope: "row" }, name),
            h("td", {}, inner.length === 0
                ? h("span", { class: "v-null" }, "{ }")
                : h("details", { open: (repeated.get(entry.name) ?? 0) <= 3 },
                    h("summary", {}, summary(inner)), bodyElement(inner)))));
    }
    return table;
}

function summary(inner) {
    const named = inner.find((entry) => isPlain(entry) && entry.value.type === "string" && entry.value.value !== "");
    return named ? `${named.name} = ${JSON.stringify(named.value.value).slice(0, 90)}` : `${inner.length} values`;
}

/** The plain JavaScript value of an attribute in a body; undefined when there is none. */
export function attribute(body, name) {
    const entry = body.find((one) => one.type === "attr" && one.name === name);
    return entry ? plain(entry.value) : undefined;
}

function plain(value) {
    if (value.type === "array") return value.value.map(plain);
    if (value.type === "object") return Object.assign(Object.create(null), Object.fromEntries(
        value.value.map((entry) => [entry.key, plain(entry.value)])));
    return value.value;
}
