// Every target of every scrape: how it is, why it failed, how long it took.

import { componentPath, h, link, note, setText } from "./dom.js";
import { bytes, parseSpan, short, span } from "./format.js";
import { getJSON } from "./store.js";
import { attribute } from "./value.js";

/** Rows drawn per pool before one asks for more. */
const pageLength = 200;

function readTargets(entries) {
    const targets = [];
    for (const entry of entries) {
        for (const block of entry.debugInfo) {
            if (block.name !== "target") continue;
            const body = block.body ?? [];
            const last = Date.parse(attribute(body, "last_scrape") ?? "");
            targets.push({
                component: entry.component,
                job: attribute(body, "job") ?? "",
                url: attribute(body, "url") ?? "",
                health: attribute(body, "health") ?? "unknown",
                labels: attribute(body, "labels") ?? {},
                error: attribute(body, "last_error") ?? "",
                last: last > 0 ? last : 0,
                seconds: parseSpan(attribute(body, "last_scrape_duration") ?? ""),
                samples: attribute(body, "last_scrape_samples"),
                bytes: attribute(body, "last_scrape_bytes"),
            });
        }
    }
    return targets;
}

export function targetsView(content, { query }) {
    let targets = [];
    let pools = [];
    let isGone = false;
    let timer = null;
    let hasAnswer = false;
    const shownRows = new Map();
    const search = h("input", {
        type: "search", placeholder: "Filter: job, url, label=value, error", "aria-label": "Filter targets",
        value: query.get("search") ?? "", oninput: () => draw(),
    });
    const state = h("select", { "aria-label": "State", onchange: () => draw() },
        [["", "any state"], ["down", "down"], ["up", "up"], ["unknown", "not scraped yet"]].map(([value, text]) =>
            h("option", { value, selected: query.get("state") === value }, text)));
    const summary = h("p", { class: "summary", role: "status" });
    const area = h("div");
    content.append(h("h1", {}, "Targets"), h("div", { class: "tools" }, search, state), summary, area);

    function fits(target, words) {
        if (state.value !== "" && target.health !== state.value) return false;
        const text = [target.component, target.job, target.url, target.error,
            ...Object.entries(target.labels).map(([name, value]) => `${name}=${value}`)].join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
    }

    function draw() {
        const words = search.value.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
        const counts = { up: 0, down: 0, unknown: 0 };
        for (const target of targets) counts[target.health] = (counts[target.health] ?? 0) + 1;
        summary.replaceChildren();
        if (!hasAnswer) return;
        if (pools.length === 0) {
            area.replaceChildren(note("Nothing is scraped", "The configuration has no ", h("code", {}, "prometheus.scrape"),
                ". Add one with ", h("code", {}, "targets"), " and reload, and its targets appear here."));
            return;
        }
        summary.append(h("span", { class: "badge healthy" }, `${counts.up} up`), " ",
            h("span", { class: counts.down > 0 ? "badge unhealthy" : "badge" }, `${counts.down} down`), " ",
            h("span", { class: "badge" }, `${counts.unknown} not scraped yet`));
        const open = new Map([...area.querySelectorAll("details.pool")].map((one) => [one.dataset.id, one.open]));
        const sections = pools.map((pool) => {
            const own = targets.filter((target) => target.component === pool.component);
            const found = own.filter((target) => fits(target, words))
                .sort((a, b) => (a.health === "down" ? 0 : 1) - (b.health === "down" ? 0 : 1) || (a.url < b.url ? -1 : 1));
            if (found.length === 0 && (words.length > 0 || state.value !== "")) return null;
            const down = own.filter((target) => target.health === "down").length;
            return h("details", { class: "pool", open: open.get(pool.component) ?? true, "data-id": pool.component },
                h("summary", {}, h("b", {}, pool.component), " ",
                    h("span", { class: down > 0 ? "badge unhealthy" : "badge healthy" }, `${own.length - down} of ${own.length} up`), " ",
                    link(componentPath(pool.component), {}, "component")),
                own.length === 0
                    ? h("p", { class: "empty" }, "No targets: what feeds the argument ", h("code", {}, "targets"),
                        " is empty now. Look at the exports of the component it refers to.")
                    : table(pool.component, found));
        }).filter((section) => section !== null);
        area.replaceChildren(...sections);
        if (sections.length === 0) area.append(note("No target fits", "Change the filter to see others."));
    }

    function table(pool, found) {
        const shown = shownRows.get(pool) ?? pageLength;
        const rows = found.slice(0, shown);
        return [h("div", { class: "scroll" }, h("table", { class: "rows targets" },
            h("thead", {}, h("tr", {}, ["State", "Target", "Labels", "Last scrape", "Took", "Samples", "Size"].map((title, index) =>
                h("th", { scope: "col", class: index > 3 ? "number" : "" }, title)))),
            h("tbody", {}, rows.map(row)))),
        found.length > shown && h("button", {
            type: "button", onclick: () => {
                shownRows.set(pool, shown + 10 * pageLength);
                draw();
            },
        }, `${found.length - shown} more`)];
    }

    function row(target) {
        const names = { up: "healthy", down: "unhealthy", unknown: "unknown" };
        return h("tr", { class: target.health === "down" ? "down" : "" },
            h("td", { "data-title": "State" }, h("span", { class: `badge ${names[target.health] ?? ""}` }, target.health)),
            h("td", { "data-title": "Target", class: "wrap" }, h("span", { class: "url" }, target.url),
                target.error && h("p", { class: "error" }, target.error)),
            h("td", { "data-title": "Labels", class: "labels" }, Object.entries(target.labels).map(([name, value]) =>
                h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value)))),
            h("td", { "data-title": "Last scrape" }, h("moment-text", { at: target.last })),
            h("td", { "data-title": "Took", class: "number" }, target.last > 0 ? span(target.seconds) : "\u2013"),
            h("td", { "data-title": "Samples", class: "number" }, target.samples === undefined ? "\u2013" : short(target.samples)),
            h("td", { "data-title": "Size", class: "number" }, target.bytes === undefined ? "\u2013" : bytes(target.bytes)));
    }

    async function load() {
        if (!document.hidden && !area.contains(document.getSelection()?.isCollapsed === false
            ? document.getSelection().anchorNode : null)) {
            try {
                pools = await getJSON("api/v0/console/targets");
                if (isGone) return;
                targets = readTargets(pools);
                hasAnswer = true;
                draw();
            } catch (error) {
                if (isGone) return;
                if (!hasAnswer) area.replaceChildren(note("The targets cannot be read", error.message));
                else setText(summary, `Not current: ${error.message}`);
            }
        }
        if (!isGone) timer = setTimeout(load, 5000);
    }
    area.append(h("p", { class: "waiting" }, "Loading"));
    load();
    return () => {
        isGone = true;
        clearTimeout(timer);
    };
}
