// One component: what it was given, what it gives, how it is, what went through it.

import { componentPath, h, link, note, setText } from "./dom.js";
import { bytes, full, rate, short, span } from "./format.js";
import { healthHistory } from "./health-history.js";
import { ledgerLine, windowLine } from "./ledger.js";
import { Plot } from "./plot.js";
import { getJSON, store } from "./store.js";
import { bodyElement } from "./value.js";

const detailPath = (id) => "api/v0/web/" + componentPath(id).replace("component/", "components/");
const metricsPath = (id) => "api/v0/console/" + componentPath(id).replace("component/", "metrics/");

export function componentView(content, id) {
    let isGone = false;
    const timers = new Set();
    const listeners = [];
    const listen = (name, action) => {
        store.addEventListener(name, action);
        listeners.push([name, action]);
    };
    content.append(h("p", { class: "waiting" }, "Loading"));
    getJSON(detailPath(id)).then((detail) => {
        if (isGone) return;
        content.replaceChildren();
        fill(content, id, detail, listen);
        const health = healthHistory(id);
        const plots = selfMetrics(id);
        content.append(health.element, plots.element);
        health.load();
        const poll = async () => {
            if (!document.hidden) await plots.load();
            if (!isGone) timers.add(setTimeout(poll, 3000));
        };
        poll();
        const again = async () => {
            if (!document.hidden) {
                try { content.refresh?.(await getJSON(detailPath(id))); } catch { /* The bar says that nobody answers. */ }
                await health.load();
            }
            if (!isGone) timers.add(setTimeout(again, 5000));
        };
        timers.add(setTimeout(again, 5000));
    }, (error) => {
        content.replaceChildren(note(`${id} cannot be shown`, error.message === "component not found"
            ? "There is no such component now. A reload may have removed it, or the address has a slip. " : error.message + " ",
        link("components", {}, "All components")));
    });
    return () => {
        isGone = true;
        for (const timer of timers) clearTimeout(timer);
        for (const [name, action] of listeners) store.removeEventListener(name, action);
        content.refresh = undefined;
    };
}

function fill(content, id, detail, listen) {
    const health = h("span", { class: `badge ${detail.health.state}` });
    const message = h("span", { class: "message" });
    const since = h("moment-text", { at: Date.parse(detail.health.updatedTime) });
    const started = detail.startTime ? Date.parse(detail.startTime) : 0;
    const trail = detail.moduleID === "" ? [] : detail.moduleID.split("/");
    content.append(
        h("nav", { class: "trail", "aria-label": "Modules" }, link("components", {}, "Components"),
            trail.map((part, index) => [" / ", link(componentPath(trail.slice(0, index + 1).join("/")), {}, part)])),
        h("header", { class: "title" },
            h("div", {}, h("p", { class: "kind" }, detail.name), h("h1", {}, detail.label || detail.localID)),
            h("p", { class: "actions" },
                detail.liveDebuggingEnabled
                    && link(`live?component=${encodeURIComponent(id)}`, { class: "button" }, "Live data"))),
        h("p", { class: "health-line" }, health, message, since,
            started > 0 && h("span", { class: "kind" }, "started ", h("moment-text", { at: started }))));

    const whole = h("div");
    const recent = h("div");
    const reasons = h("div");
    const flow = new Plot("items per second: in / out", (value) => rate(value));
    const drops = new Plot("dropped per second", (value) => rate(value));
    const held = new Plot("held", (value) => short(value));
    const isPassing = () => store.books.has(id);
    const plots = h("div", { class: "plots" }, flow.element, drops.element, held.element);
    const books = h("section", {}, h("h2", {}, "Books"), whole, recent, reasons, plots);
    content.append(books);

    const body = { arguments: h("div"), exports: h("div"), debugInfo: h("div") };
    const titles = { arguments: "Arguments as evaluated", exports: "Exports", debugInfo: "Debug info" };
    const nothing = {
        arguments: "The component takes no arguments, or was not evaluated yet.",
        exports: "The component exports nothing, or nothing yet.",
        debugInfo: "The component shows nothing of its inside.",
    };
    const drawn = {};
    content.refresh = (next) => {
        setText(health, next.health.state);
        health.className = `badge ${next.health.state}`;
        setText(message, next.health.message);
        since.setAttribute("at", Date.parse(next.health.updatedTime));
        for (const [name, element] of Object.entries(body)) {
            const text = JSON.stringify(next[name] ?? []);
            if (drawn[name] === text) continue;
            drawn[name] = text;
            const open = new Set([...element.querySelectorAll("details[open]")].map((one) => one.dataset.key));
            const isFirst = element.children.length === 0;
            element.replaceChildren((next[name] ?? []).length > 0
                ? bodyElement(next[name]) : h("p", { class: "empty" }, nothing[name]));
            [...element.querySelectorAll("details")].forEach((one, index) => {
                one.dataset.key = String(index);
                if (!isFirst) one.open = open.has(String(index));
            });
        }
    };
    content.refresh(detail);
    const relations = h("section", { class: "columns" });
    const relate = () => relations.replaceChildren(...references(detail));
    listen("structure", relate);
    relate();
    content.append(
        relations,
        ...Object.entries(body).map(([name, element]) =>
            h("section", { "data-part": name }, h("h2", {}, titles[name]), element)));

    const update = () => {
        books.hidden = !isPassing();
        if (!isPassing()) return;
        const statement = store.books.get(id);
        const isIdle = statement.in === 0 && statement.out === 0 && statement.edges.length === 0
            && statement.held.length === 0 && statement.dropped.length === 0;
        recent.hidden = reasons.hidden = plots.hidden = isIdle;
        if (isIdle) {
            whole.replaceChildren(h("p", { class: "empty" }, "No items passed this component."));
            return;
        }
        whole.replaceChildren(ledgerLine(statement));
        recent.replaceChildren(windowLine(id));
        reasons.replaceChildren(reasonTable(statement));
        const moments = store.history.get(id) ?? [];
        flow.update([
            { name: "in", kind: "main", points: rates(moments, (one) => one.in) },
            { name: "out", kind: "second", points: rates(moments, (one) => one.out) },
        ]);
        drops.update([{ name: "dropped", kind: "bad", points: rates(moments, (one) => one.droppedItems) }]);
        held.update([{ name: "held", kind: "main", points: moments.map((one) => [one.time, one.held]) }]);
    };
    listen("books", update);
    update();
}

/** Per second between moments at least two seconds apart, so that bursts do not hide the course. */
function rates(moments, value) {
    const points = [];
    for (let index = 0, before = 0; index < moments.length; index += 1) {
        while (before + 1 < index && moments[index].time - moments[before + 1].time >= 5000) before += 1;
        const seconds = (moments[index].time - moments[before].time) / 1000;
        if (seconds >= 0.9) points.push([moments[index].time, (value(moments[index]) - value(moments[before])) / seconds]);
    }
    return points;
}

function reasonTable(books) {
    const rows = [];
    for (const entry of books.dropped) {
        rows.push(["dropped", entry.reason.replaceAll("_", " ") + (entry.rule ? `: ${entry.rule}` : ""), entry.items, "items"]);
    }
    for (const entry of books.held) rows.push(["held", entry.buffer, entry.items, "items"]);
    for (const entry of books.refused) rows.push(["refused", entry.reason.replaceAll("_", " "), entry.items, "items, the sender keeps them"]);
    for (const edge of books.edges) {
        rows.push(["passed on", link(componentPath(edge.to), {}, edge.to), edge.accepted,
            `${edge.signal === "otlp" ? "OTLP items" : edge.signal} in ${full(edge.batches)} batches`]);
        for (const entry of edge.refused) {
            rows.push(["not taken", [edge.to, `: ${entry.reason.replaceAll("_", " ")}`], entry.items, "items at an attempt"]);
        }
        for (const entry of edge.dropped ?? []) {
            rows.push(["dropped", [edge.to, `: ${entry.reason.replaceAll("_", " ")}`], entry.items, "items for this receiver"]);
        }
    }
    if (rows.length === 0) return h("p", { class: "empty" }, "Nothing passed yet.");
    return h("table", { class: "rows" },
        h("thead", {}, h("tr", {}, h("th", {}, "What"), h("th", {}, "Where or why"), h("th", { class: "number" }, "Count"), h("th", {}, ""))),
        h("tbody", {}, rows.map(([what, where, count, unit]) =>
            h("tr", { class: what === "dropped" && count > 0 ? "bad" : "" }, h("td", {}, what), h("td", { class: "wrap" }, where),
                h("td", { class: "number" }, full(count)), h("td", { class: "kind" }, unit)))));
}

function references(detail) {
    const full = (id) => detail.moduleID === "" ? id : `${detail.moduleID}/${id}`;
    const list = (title, ids) => h("div", {}, h("h3", {}, title), ids.length === 0
        ? h("p", { class: "empty" }, "none")
        : h("ul", { class: "references" }, ids.map((id) => {
            const state = store.components.get(full(id))?.health ?? "unknown";
            return h("li", {}, h("i", { class: `swatch ${state}`, title: state }), link(componentPath(full(id)), {}, id));
        })));
    const inner = [...store.components.values()].filter((one) => (detail.createdModuleIDs ?? []).includes(one.module));
    return [
        list("Refers to", detail.referencesTo), list("Referred to by", detail.referencedBy),
        list("Data goes to", detail.dataFlowEdgesTo),
        inner.length > 0 && h("div", {}, h("h3", {}, "Inside"), h("ul", { class: "references" }, inner.map((one) =>
            h("li", {}, h("i", { class: `swatch ${one.health}` }), link(componentPath(one.id), {}, one.id))))),
    ].filter((part) => part instanceof Node);
}

/** Everything the component counts about itself, as plots that grow while one looks. */
function selfMetrics(id) {
    const area = h("div", { class: "plots" });
    const element = h("section", { "data-part": "metrics" }, h("h2", {}, "Self-metrics"), area);
    const plots = new Map();
    const most = 60;
    const load = async () => {
        let answer;
        try { answer = await getJSON(metricsPath(id)); } catch { return; }
        if (answer.families.length === 0) {
            area.replaceChildren(h("p", { class: "empty" }, "The component keeps no metrics of its own."));
            return;
        }
        if (plots.size === 0) area.replaceChildren();
        for (const family of answer.families) {
            for (const sample of family.samples) {
                if (sample.suffix === "_bucket" || (family.kind === "summary" && sample.suffix === "")) continue;
                const labels = Object.entries(sample.labels).map(([name, value]) => `${name}=${value}`).join(" ");
                const key = family.name + sample.suffix + "\n" + labels;
                let plot = plots.get(key);
                if (!plot) {
                    if (plots.size >= most) continue;
                    const isCounter = family.kind === "counter" || sample.suffix !== "" || /_total$/.test(family.name);
                    plot = new Plot(
                        h("span", {}, family.name + sample.suffix, labels && h("span", { class: "kind" }, ` ${labels}`)),
                        formatter(family.name + sample.suffix, isCounter), { help: family.help });
                    Object.assign(plot, { isCounter, points: [], last: null });
                    plots.set(key, plot);
                    area.append(plot.element);
                }
                const value = sample.value ?? NaN;
                if (!plot.isCounter) plot.points.push([answer.time, value]);
                else if (plot.last) {
                    const seconds = (answer.time - plot.last[0]) / 1000;
                    if (seconds > 0) plot.points.push([answer.time, Math.max(0, value - plot.last[1]) / seconds]);
                }
                plot.last = [answer.time, value];
                if (plot.points.length > 200) plot.points.shift();
                plot.update([{ name: family.name, kind: "main", points: plot.points }]);
            }
        }
    };
    return { element, load };
}

function formatter(name, isCounter) {
    if (isCounter) return /_bytes/.test(name) ? (value) => bytes(value) + "/s" : (value) => rate(value);
    if (/timestamp_seconds$/.test(name)) return (value) => (value > 0 ? new Date(value * 1000).toISOString().slice(11, 19) : "never");
    if (/_bytes/.test(name)) return bytes;
    if (/_seconds/.test(name)) return span;
    return short;
}
