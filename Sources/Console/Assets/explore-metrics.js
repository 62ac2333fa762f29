// Series of a store as lines over time.

import { h, setText } from "./dom.js";
import { full, short } from "./format.js";
import { TimePlot, colourClass } from "./time-plot.js";

/** Names that are offered while one types. */
const suggestions = 200;
/** Milliseconds a plot shows at least. */
const shortest = 30_000;

function title(labels) {
    const { __name__: name = "", ...rest } = labels;
    const pairs = Object.entries(rest).map(([label, value]) => `${label}=${JSON.stringify(value)}`);
    return name + (pairs.length > 0 ? `{${pairs.join(", ")}}` : "");
}

export function metricsPane(ask, { query, remember, refresh }) {
    let match = query.get("match") ?? "";
    let minutes = Number(query.get("minutes")) || 15;
    let hiddenSeries = new Set();
    let rates = query.get("rate") ?? "auto";
    let isNew = true;

    const input = h("input", {
        type: "search", id: "explore-match", list: "explore-names", placeholder: "name{label=\"value\"}",
        "aria-label": "Series", autocomplete: "off", spellcheck: "false", value: match,
    });
    const names = h("datalist", { id: "explore-names" });
    const form = h("form", {
        class: "tools", onsubmit: (event) => {
            event.preventDefault();
            look(input.value.trim());
        },
    }, input, names, h("button", { type: "submit", class: "button" }, "Plot"),
    select("Time", [[1, "1 min"], [5, "5 min"], [15, "15 min"], [60, "1 h"]], minutes, (value) => {
        minutes = Number(value);
        remember({ minutes: String(minutes) });
    }),
    select("Counters", [["auto", "rates of counters"], ["true", "rates"], ["false", "values"]], rates, (value) => {
        rates = value;
        remember({ rate: rates });
    }));
    const summary = h("p", { class: "summary", role: "status" });
    const plot = new TimePlot();
    const legend = h("ul", { class: "explore-legend", "aria-label": "Series" });
    const index = h("div", { class: "explore-index" });
    const element = h("div", {}, form, summary, plot.element, legend, index);

    function select(label, options, chosen, changed) {
        const list = h("select", { "aria-label": label, onchange: () => { changed(list.value); refresh(); } },
            options.map(([value, text]) => h("option", { value, selected: String(value) === String(chosen) }, text)));
        return list;
    }

    function look(next) {
        match = next;
        input.value = next;
        hiddenSeries = new Set();
        isNew = true;
        remember({ match });
        refresh();
    }

    async function offerNames() {
        const { values } = await ask("values", { kind: "metrics", name: "__name__", limit: suggestions * 10 });
        names.replaceChildren(...values.slice(0, suggestions).map((value) => h("option", { value })));
        index.replaceChildren(values.length === 0
            ? h("p", { class: "empty" }, "No samples have come yet.")
            : h("ul", {}, values.map((value) => h("li", {},
                h("button", { type: "button", class: "quiet", onclick: () => look(value) }, value)))));
    }

    function drawLegend(series) {
        legend.replaceChildren(...series.map((one, place) => {
            const name = title(one.labels);
            const last = one.points.findLast((point) => point[1] !== null);
            return h("li", {}, h("button", {
                type: "button", class: "quiet", "aria-pressed": String(!hiddenSeries.has(name)), onclick: () => {
                    if (!hiddenSeries.delete(name)) hiddenSeries.add(name);
                    refresh();
                },
            }, h("span", { class: `key ${colourClass(place)}` }), h("span", { class: "wrap" }, name)),
            h("b", { title: last ? full(last[1]) : "" }, last ? short(last[1]) : "\u2013"));
        }));
    }

    return {
        element,
        async refresh() {
            index.hidden = match !== "";
            plot.element.hidden = match === "";
            legend.hidden = match === "";
            if (match === "") {
                setText(summary, "Choose a metric, or write a selector.");
                await offerNames();
                return;
            }
            const now = Date.now();
            const wanted = { match, start: now - minutes * 60_000, end: now, points: 400 };
            let answer = await ask("range", { ...wanted, rate: rates === "true" ? "true" : "false" });
            let isRate = rates === "true";
            if (rates === "auto" && answer.series.length > 0 && answer.series.every((one) => one.type === "counter")) {
                answer = await ask("range", { ...wanted, rate: "true" });
                isRate = true;
            }
            const found = `${answer.series.length}${answer.truncated ? " of more" : ""} series`;
            setText(summary, answer.series.length === 0
                ? "Nothing matches. The metric may not have come yet, or its labels may be others."
                : `${found}, ${isRate ? "increase a second" : "values"}`);
            if (isNew) {
                isNew = false;
                offerNames();
            }
            drawLegend(answer.series);
            // What is there fills the plot, however short it is yet.
            const earliest = Math.min(wanted.end - shortest, ...answer.series.map((one) => one.points[0]?.[0] ?? wanted.end));
            plot.draw(answer.series.map((one, place) => ({ name: title(one.labels), place, points: one.points }))
                .filter((one) => !hiddenSeries.has(one.name)), Math.max(wanted.start, earliest), wanted.end, isRate ? "/s" : "");
        },
    };
}
