// What an item meets: every component and rule in order, and what became of it.

import { componentPath, h, link, note, setText } from "./dom.js";
import { store } from "./store.js";

const kinds = [
    { kind: "labels", title: "Target: its labels", sample: "{__address__=\"10.0.0.1:80\", job=\"app\"}", line: true },
    { kind: "log", title: "Log line", sample: "level=info msg=\"hello\"", labels: true },
    { kind: "metric", title: "Metric", sample: "http_requests_total{code=\"200\"}" },
    { kind: "pod", title: "Pod", sample: "namespace/name, or the pod as JSON or YAML", line: true },
    { kind: "file", title: "File", sample: "/var/log/app.log", line: true },
    { kind: "trace", title: "Trace", sample: "32 hexadecimal digits" },
    { kind: "otlp", title: "OTLP: spans, log records, metrics", sample: "{\"resourceSpans\": [...]}, OTLP/JSON" },
];
const verdicts = {
    delivered: ["healthy", "Delivered"], dropped: ["unhealthy", "Dropped"], held: ["unknown", "Held"],
    passed: ["", "Passed on"], unknown: ["unknown", "Not known"],
};
const outcomes = { kept: "healthy", changed: "changed", dropped: "unhealthy", unknown: "unknown", unchanged: "" };
/** Longer questions stay out of the address. */
const longestAddress = 4000;

export function explainView(content, { go, query }) {
    let controller = null;
    const kind = h("select", { id: "explain-kind", onchange: () => adapt() },
        kinds.map((one) => h("option", { value: one.kind, selected: query.get("item") === one.kind }, one.title)));
    const value = h("textarea", {
        id: "explain-value", rows: 3, spellcheck: "false", autocapitalize: "off", autocomplete: "off",
        onkeydown: (event) => {
            if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
            event.preventDefault();
            form.requestSubmit();
        },
    });
    const labels = h("input", { id: "explain-labels", type: "text", placeholder: "{job=\"app\"}", spellcheck: "false" });
    const line = h("input", { id: "explain-line", type: "text", placeholder: "only needed where lines are processed", spellcheck: "false" });
    const at = h("select", { id: "explain-at" });
    const labelsField = field("Labels of the stream", labels);
    const lineField = field("Log line it brings", line);
    const send = h("button", { type: "submit", class: "button" }, "Explain");
    const status = h("p", { class: "summary", role: "status" });
    const answer = h("div", { class: "explained" });
    const form = h("form", {
        class: "explain", onsubmit: (event) => {
            event.preventDefault();
            ask();
        },
    }, h("div", { class: "explain-fields" }, field("Item", kind), field("Given to", at)), field("Value", value), labelsField,
    lineField, h("div", { class: "tools" }, send, h("span", { class: "kind" }, "Nothing is sent or counted.")));
    value.value = query.get("value") ?? "";
    labels.value = query.get("labels") ?? "";
    line.value = query.get("line") ?? "";
    content.append(h("h1", {}, "Explain"),
        h("p", { class: "summary" }, "Which components and rules an item meets, in order, and what becomes of it."),
        form, status, answer);

    function field(title, input) {
        return h("p", { class: "field" }, h("label", { for: input.id }, title), input);
    }

    function chosen() {
        return kinds.find((one) => one.kind === kind.value) ?? kinds[0];
    }

    function adapt() {
        const one = chosen();
        value.placeholder = one.sample;
        labelsField.hidden = !one.labels;
        lineField.hidden = !one.line;
    }

    function offer() {
        const wanted = at.options.length > 0 ? at.value : query.get("at") ?? "";
        const ids = [...store.components.values()].filter((one) => one.builtin).map((one) => one.id).sort();
        if (wanted !== "" && !ids.includes(wanted)) ids.unshift(wanted);
        at.replaceChildren(h("option", { value: "" }, "wherever it can enter"),
            ...ids.map((id) => h("option", { value: id, selected: id === wanted }, id)));
    }

    async function ask() {
        const one = chosen();
        if (value.value.trim() === "") {
            answer.replaceChildren(note("Nothing is given", "Paste ", one.title.toLowerCase(), " into the field Value, such as ",
                h("code", {}, one.sample), "."));
            setText(status, "");
            value.focus();
            return;
        }
        const question = { item: one.kind, value: one.kind === "log" ? value.value : value.value.trim() };
        if (one.labels && labels.value.trim() !== "") question.labels = labels.value.trim();
        if (one.line && line.value !== "") question.line = line.value;
        if (at.value !== "") question.at = at.value;
        const address = "explain?" + new URLSearchParams(question);
        go(address.length <= longestAddress ? address : "explain", { replace: true });
        controller?.abort();
        controller = new AbortController();
        setText(status, "Asking");
        send.disabled = true;
        try {
            const response = await fetch("api/v0/console/explain", {
                method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(question),
                signal: controller.signal,
            });
            if (!response.ok) {
                const reason = (await response.text()).trim();
                setText(status, "");
                answer.replaceChildren(note("The question cannot be answered", reason || `The server says ${response.status}.`));
                return;
            }
            draw(await response.json());
        } catch (error) {
            if (error.name === "AbortError") return;
            setText(status, "");
            answer.replaceChildren(note("No answer", `${error.message}. Is the program running? Ask again when it does.`));
        } finally {
            send.disabled = false;
        }
    }

    function draw(report) {
        const [look, word] = verdicts[report.verdict] ?? verdicts.unknown;
        status.replaceChildren(h("span", { class: `badge ${look}` }, word), " ", ends(report),
            ...report.notes.map((text) => h("span", { class: "explain-note" }, text)));
        answer.replaceChildren(h("ol", { class: "stops" }, report.stops.map(stop)));
    }

    adapt();
    offer();
    store.addEventListener("structure", offer);
    if (query.get("value")) ask();
    return () => {
        controller?.abort();
        store.removeEventListener("structure", offer);
    };
}

/** Where the item ends, in a few words. */
function ends(report) {
    const places = [];
    for (const stop of report.stops) {
        if (stop.results.length === 0 && report.verdict === "dropped") {
            const last = stop.steps.findLast((step) => step.outcome === "dropped");
            places.push(`${stop.component}: ${last?.title || "nothing comes out"}`);
        }
        for (const result of stop.results) {
            if (result.verdict === report.verdict) places.push(`${stop.component}: ${result.destination}`);
        }
    }
    return places.join("; ");
}

function stop(one) {
    const [look, word] = verdicts[one.verdict] ?? verdicts.unknown;
    return h("li", { class: "stop", id: `stop-${one.number}` },
        h("h2", {}, h("span", { class: "stop-number" }, String(one.number)), " ", link(componentPath(one.component), {}, one.component),
            " ", h("span", { class: `badge ${look}` }, word)),
        h("p", { class: "kind" }, one.from === null ? "The item enters here" : `From ${one.from}`,
            one.line ? `, ${one.file}:${one.line}` : ""),
        one.from === null && itemText(one.item),
        one.notes.map((text) => h("p", { class: "explain-note" }, text)),
        one.steps.length > 0 && h("ol", { class: "steps" }, one.steps.map(step)),
        h("ul", { class: "results" }, one.results.length === 0
            ? h("li", {}, h("span", { class: "badge unhealthy" }, "nothing comes out"))
            : one.results.map(result)));
}

function step(one) {
    return h("li", { class: "step" },
        h("p", {}, h("span", { class: `badge ${outcomes[one.outcome] ?? ""}` }, one.outcome), " ",
            h("b", { class: "wrap" }, one.title), one.detail && h("span", { class: "wrap" }, `: ${one.detail}`),
            one.line ? h("span", { class: "kind" }, ` ${one.file}:${one.line}`) : null),
        one.found.length > 0 && h("p", { class: "found" }, "found ", one.found.map((pair) => chip(pair.name, pair.value))),
        // Another kind of item has little in common with the one before.
        one.changes.some((each) => each.field === "kind") ? itemText(one.after)
            : one.changes.length > 0 && h("ul", { class: "diff" }, one.changes.map(change)),
        one.text && h("details", {}, h("summary", {}, "as written"), h("pre", {}, one.text)));
}

function change(one) {
    const name = one.field === "label" ? one.name : [one.field, one.name].filter(Boolean).join(" ");
    return [
        one.before !== null && h("li", { class: "minus" }, h("span", { "aria-label": "before" }, "\u2212 "), `${name} = ${JSON.stringify(one.before)}`),
        one.after !== null && h("li", { class: "plus" }, h("span", { "aria-label": "after" }, "+ "), `${name} = ${JSON.stringify(one.after)}`),
    ];
}

function result(one) {
    const [look, word] = verdicts[one.verdict] ?? verdicts.unknown;
    return h("li", {},
        one.to.length > 0
            ? h("span", {}, "to ", one.to.map((id, index) => [index > 0 && ", ", link(componentPath(id), {}, id)]))
            : h("span", { class: "wrap" }, h("span", { class: `badge ${look}` }, word), " ", one.destination),
        itemText(one.item));
}

function chip(name, value) {
    return h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value));
}

function itemText(item) {
    const metadata = Object.entries(item.metadata ?? {});
    return h("p", { class: "item wrap" }, h("span", { class: "kind" }, item.kind.replace("_", " "), " "),
        Object.entries(item.labels).map(([name, value]) => chip(name, value)),
        metadata.length > 0 && [h("span", { class: "kind" }, "metadata "), metadata.map(([name, value]) => chip(name, value))],
        typeof item.line === "string" && h("code", { class: "item-line" }, item.line));
}
