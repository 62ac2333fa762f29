// One target in full: its labels before and after the rules, its schedule, and what it answers now.

import { h, link, setText } from "./dom.js";
import { absolute, bytes, full, span } from "./format.js";
import { getJSON } from "./store.js";

/** Labels as small boxes. */
export function labelList(labels) {
    return Object.entries(labels).map(([name, value]) =>
        h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value)));
}

/** The detail of a target; `refresh(target)` brings it up to date. */
export function targetDetail(pool, target) {
    const query = new URLSearchParams({ component: pool.component, job: pool.job, target: target.id });
    const facts = h("dl", { class: "facts" });
    const labels = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    const answer = h("div", { role: "status" });
    const ask = h("button", { type: "button", onclick: () => fetchAnswer() }, "Ask the target now");
    const element = h("div", { class: "target-detail" }, facts,
        h("h3", {}, "Labels, as discovered and as scraped"), labels,
        h("h3", {}, "Answer"),
        h("p", { class: "tools" }, ask, h("span", { class: "kind" },
            "One request as the scrape makes it. What comes back is shown here and goes nowhere else.")), answer);

    getJSON(`api/v0/console/targets/labels?${query}`).then(
        (both) => labels.replaceChildren(labelTable(both), explainLink(pool, both.labels)),
        (error) => labels.replaceChildren(h("p", { class: "empty" }, error.message === "target not found"
            ? "The target is no longer there." : error.message)));

    async function fetchAnswer() {
        ask.disabled = true;
        answer.replaceChildren(h("p", { class: "waiting" }, "Asking"));
        try {
            const response = await fetch(`api/v0/console/targets/answer?${query}`, { method: "POST" });
            if (!response.ok) throw new Error((await response.text()).trim());
            answer.replaceChildren(...answerParts(await response.json()));
        } catch (error) {
            answer.replaceChildren(h("p", { class: "error" }, error.message === "target not found"
                ? "The target is no longer there." : error.message));
        }
        ask.disabled = false;
        setText(ask, "Ask again");
    }

    function refresh(next) {
        facts.replaceChildren(...[
            ["job", next.job], ["every", span(next.interval)], ["timeout", span(next.timeout)],
            ["last scrape", next.last ? absolute(next.last) : "never"],
            ["next scrape", next.next ? absolute(next.next) : "not planned"],
            ["samples", next.last ? full(next.samples) : "\u2013"],
            ["size", next.last ? `${bytes(next.bytes)}, decompressed` : "\u2013"],
        ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    }
    refresh(target);
    return { element, refresh };
}

/** The way to the rules the target meets, one by one. */
function explainLink(pool, labels) {
    const question = new URLSearchParams({ item: "labels", value: JSON.stringify(labels), at: pool.component });
    return h("p", {}, link(`explain?${question}`, {}, "Explain: every rule it meets, step by step"));
}

function labelTable({ discovered, labels }) {
    const names = [...new Set([...Object.keys(discovered), ...Object.keys(labels)])].sort();
    const cell = (title, value) => h("td", { "data-title": title, class: "wrap" },
        value === undefined ? h("span", { class: "empty" }, "\u2013") : h("code", {}, JSON.stringify(value)));
    return h("div", { class: "scroll" }, h("table", { class: "rows label-table" },
        h("thead", {}, h("tr", {}, ["Label", "Discovered", "Scraped"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, names.map((name) => h("tr", {
            class: discovered[name] !== undefined && labels[name] !== undefined && discovered[name] !== labels[name] ? "changed" : "",
        }, h("th", { scope: "row", class: "wrap" }, h("code", {}, name)),
        cell("Discovered", discovered[name]), cell("Scraped", labels[name]))))));
}

function answerParts(one) {
    const parts = [];
    if (one.problem) parts.push(h("p", { class: "error" }, one.problem));
    if (one.status === 0) return parts.length > 0 ? parts : [h("p", { class: "error" }, "There was no answer.")];
    parts.push(h("p", {}, h("span", { class: `badge ${one.status === 200 ? "healthy" : "unhealthy"}` }, `HTTP ${one.status}`), " ",
        one.contentType || "no content type", `, ${bytes(one.bytes)}, ${span(one.seconds)}`));
    if (one.truncated) parts.push(h("p", { class: "empty" }, `Only the first ${bytes(one.bytes)} are shown.`));
    parts.push(one.body === "" ? h("p", { class: "empty" }, "The body is empty.")
        : h("pre", { class: "answer", tabindex: 0, "aria-label": "Body of the answer" }, one.body));
    return parts;
}
