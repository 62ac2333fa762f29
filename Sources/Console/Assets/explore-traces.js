// Traces of a store: a list, and the spans of one as a waterfall.

import { h, s, setText } from "./dom.js";
import { absolute, span as spanText } from "./format.js";

/** Depth beyond which spans are no longer moved in. */
const deepest = 12;

/** Spans in the order of a tree, each with its depth; what has no parent here stands at the top. */
function tree(spans) {
    const children = new Map();
    const ids = new Set(spans.map((one) => one.id));
    for (const one of spans) {
        const parent = ids.has(one.parent) && one.parent !== one.id ? one.parent : "";
        if (!children.has(parent)) children.set(parent, []);
        children.get(parent).push(one);
    }
    const rows = [];
    const seen = new Set();
    const waiting = (children.get("") ?? []).map((one) => ({ one, depth: 0 })).reverse();
    while (waiting.length > 0) {
        const { one, depth } = waiting.pop();
        if (seen.has(one)) continue;
        seen.add(one);
        rows.push({ one, depth });
        for (const child of (children.get(one.id) ?? []).toReversed()) waiting.push({ one: child, depth: depth + 1 });
    }
    // Spans that are each other's parents.
    for (const one of spans) if (!seen.has(one)) rows.push({ one, depth: 0 });
    return rows;
}

function attributes(title, object) {
    const entries = Object.entries(object);
    if (entries.length === 0) return null;
    return [h("h3", {}, title), h("dl", { class: "pairs" }, entries.map(([name, value]) =>
        [h("dt", {}, name), h("dd", {}, value)]))];
}

function waterfall(trace) {
    const start = Math.min(...trace.spans.map((one) => one.start));
    const whole = Math.max(...trace.spans.map((one) => one.start + one.duration)) - start || 1;
    return h("ol", { class: "waterfall", "aria-label": "Spans" }, tree(trace.spans).map(({ one, depth }) => {
        const detail = h("div", { class: "span-detail", hidden: true },
            h("p", {}, `${one.kind}, began ${absolute(one.start)}, `, one.message && h("span", { class: "bad" }, one.message)),
            attributes("Attributes", one.attributes), attributes("Resource", one.resource),
            one.events.length > 0 && [h("h3", {}, "Events"), h("ul", {}, one.events.map((event) => h("li", {},
                `${spanText((event.time - one.start) / 1000)} ${event.name} `, attributes("", event.attributes))))]);
        const button = h("button", {
            type: "button", class: "span", "aria-expanded": "false", onclick: () => {
                detail.hidden = !detail.hidden;
                button.setAttribute("aria-expanded", String(!detail.hidden));
            },
        }, h("span", { class: `span-name depth-${Math.min(depth, deepest)}` }, h("b", {}, one.name), h("span", { class: "kind" }, one.service)),
        s("svg", { viewBox: "0 0 1000 20", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", {
            class: one.status === "error" ? "failed" : "", y: 4, height: 12, x: ((one.start - start) / whole * 1000).toFixed(1),
            width: Math.max(3, one.duration / whole * 1000).toFixed(1),
        })), h("span", { class: "number" }, spanText(one.duration / 1000)));
        return h("li", { class: one.status === "error" ? "failed" : "", "data-depth": depth }, button, detail);
    }));
}

export function tracesPane(ask, { query, remember, refresh }) {
    let id = query.get("trace") ?? "";
    let drawn = "";
    const filters = { service: query.get("service") ?? "", name: query.get("name") ?? "", errors: "", min_duration: "" };

    const input = (name, label) => h("input", {
        type: "search", placeholder: label, "aria-label": label, value: filters[name], autocomplete: "off",
        onchange: (event) => {
            filters[name] = event.target.value.trim();
            remember({ [name]: filters[name] });
            refresh();
        },
    });
    const errors = h("button", {
        type: "button", "aria-pressed": "false", onclick: () => {
            filters.errors = filters.errors === "" ? "true" : "";
            errors.setAttribute("aria-pressed", String(filters.errors !== ""));
            refresh();
        },
    }, "Errors only");
    const summary = h("p", { class: "summary", role: "status" });
    const body = h("tbody");
    const table = h("div", { class: "scroll" }, h("table", { class: "rows traces" }, h("thead", {}, h("tr", {},
        ["Trace", "Began", "Took", "Spans", "Errors"].map((title, place) =>
            h("th", { scope: "col", class: place > 1 ? "number" : "" }, title)))), body));
    const tools = h("div", { class: "tools" }, input("service", "Service"), input("name", "Name of a span"), errors);
    const one = h("div", { hidden: true });
    const element = h("div", {}, tools, summary, table, one);

    function open(next) {
        id = next;
        remember({ trace: id });
        refresh();
    }

    async function showOne() {
        const trace = await ask("trace", { id });
        const key = `${id} ${trace.spans.length}`;
        if (key === drawn) return;
        drawn = key;
        one.replaceChildren(h("p", { class: "tools" }, h("button", { type: "button", onclick: () => open("") }, "All traces"),
            h("code", { class: "wrap" }, id)), waterfall(trace));
        setText(summary, `${trace.spans.length} spans`);
    }

    return {
        element,
        async refresh() {
            tools.hidden = table.hidden = id !== "";
            one.hidden = id === "";
            if (id !== "") return showOne();
            drawn = "";
            const { traces, truncated } = await ask("traces", filters);
            setText(summary, traces.length === 0 ? "No traces have come lately, or none matches."
                : `${traces.length}${truncated ? " of more" : ""} traces, the newest first`);
            if (body.contains(document.activeElement)) return;
            body.replaceChildren(...traces.map((trace) => h("tr", { class: trace.errors > 0 ? "bad" : "" },
                h("td", {}, h("button", { type: "button", class: "quiet", onclick: () => open(trace.id) }, trace.name || "(no name)"),
                    h("span", { class: "kind" }, ` ${trace.services.join(", ")}`)),
                h("td", {}, h("moment-text", { at: trace.start })), h("td", { class: "number" }, spanText(trace.duration / 1000)),
                h("td", { class: "number" }, trace.spans), h("td", { class: "number" }, trace.errors))));
        },
    };
}
