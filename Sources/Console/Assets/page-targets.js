// Every target of every scrape: how it is, why it failed, how long it took; and the targets that rules dropped before.

import { componentPath, h, link, note, setText } from "./dom.js";
import { droppedTargets } from "./dropped-targets.js";
import { bytes, short, span } from "./format.js";
import { getJSON } from "./store.js";
import { labelList, targetDetail } from "./target-detail.js";

/** Rows drawn per pool before one asks for more. */
const pageLength = 200;
const columns = ["State", "Target", "Labels", "Last scrape", "Took", "Samples", "Size", ""];

export function targetsView(content, { query }) {
    let pools = [];
    let isGone = false;
    let timer = null;
    let hasAnswer = false;
    const shownRows = new Map();
    /** Details that are open, by pool and target; they stay the same while the rows around them are drawn anew. */
    const details = new Map();
    const search = h("input", {
        type: "search", placeholder: "Filter: job, url, label=value, error", "aria-label": "Filter targets",
        value: query.get("search") ?? "", oninput: () => draw(),
    });
    const state = h("select", { "aria-label": "State", onchange: () => draw() },
        [["", "any state"], ["down", "down"], ["up", "up"], ["unknown", "not scraped yet"]].map(([value, text]) =>
            h("option", { value, selected: query.get("state") === value }, text)));
    const summary = h("p", { class: "summary", role: "status" });
    const area = h("div");
    content.append(h("h1", {}, "Targets"), h("div", { class: "tools" }, search, state), summary, area, droppedTargets());

    function fits(target, words) {
        if (state.value !== "" && target.state !== state.value) return false;
        const text = [target.job, target.url, target.error,
            ...Object.entries(target.labels).map(([name, value]) => `${name}=${value}`)].join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
    }

    function draw() {
        const words = search.value.trim().toLowerCase().split(/\s+/).filter((word) => word !== "");
        const counts = { up: 0, down: 0, unknown: 0 };
        for (const pool of pools) {
            for (const target of pool.targets) counts[target.state] = (counts[target.state] ?? 0) + 1;
        }
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
        const focused = area.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
        const sections = pools.map((pool) => section(pool, words, open)).filter((one) => one !== null);
        area.replaceChildren(...sections);
        if (sections.length === 0) area.append(note("No target fits", "Change the filter to see others."));
        if (focused !== undefined) {
            [...area.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
        }
    }

    function section(pool, words, open) {
        const id = pool.component + "\n" + pool.job;
        const found = pool.targets.filter((target) => fits(target, words))
            .sort((a, b) => (a.state === "down" ? 0 : 1) - (b.state === "down" ? 0 : 1) || (a.url < b.url ? -1 : 1));
        if (found.length === 0 && (words.length > 0 || state.value !== "")) return null;
        const down = pool.targets.filter((target) => target.state === "down").length;
        return h("details", { class: "pool", open: open.get(id) ?? true, "data-id": id },
            h("summary", { "data-key": id }, h("b", {}, pool.component), pool.job && h("span", { class: "kind" }, ` ${pool.job}`), " ",
                h("span", { class: down > 0 ? "badge unhealthy" : "badge healthy" },
                    `${pool.targets.length - down} of ${pool.targets.length} up`), " ",
                link(componentPath(pool.component), {}, "component")),
            pool.targets.length === 0
                ? h("p", { class: "empty" }, "No targets: what feeds this scrape is empty now, or rules dropped all of it. Look at "
                    + "the exports of the component it refers to, and at the dropped targets below.")
                : table(id, pool, found));
    }

    function table(id, pool, found) {
        const shown = shownRows.get(id) ?? pageLength;
        return [h("div", { class: "scroll" }, h("table", { class: "rows targets" },
            h("thead", {}, h("tr", {}, columns.map((title, index) =>
                h("th", { scope: "col", class: index > 3 && title ? "number" : "" }, title || h("span", { class: "hidden" }, "Details"))))),
            h("tbody", {}, found.slice(0, shown).map((target) => rows(pool, target))))),
        found.length > shown && h("button", {
            type: "button", onclick: () => {
                shownRows.set(id, shown + 10 * pageLength);
                draw();
            },
        }, `${found.length - shown} more`)];
    }

    function rows(pool, target) {
        const key = [pool.component, pool.job, target.id].join("\n");
        const isOpen = details.has(key);
        const names = { up: "healthy", down: "unhealthy", unknown: "unknown" };
        const row = h("tr", { class: target.state === "down" ? "target down" : "target" },
            h("td", { "data-title": "State" }, h("span", { class: `badge ${names[target.state] ?? ""}` }, target.state)),
            h("td", { "data-title": "Target", class: "wrap" }, h("span", { class: "url" }, target.url),
                target.error && h("p", { class: "error" }, target.error)),
            h("td", { "data-title": "Labels", class: "labels" }, labelList(target.labels)),
            h("td", { "data-title": "Last scrape" }, h("moment-text", { at: target.last ?? 0 }),
                target.next !== null && h("span", { class: "kind next" }, "next ", h("moment-text", { ahead: true, at: target.next }))),
            h("td", { "data-title": "Took", class: "number" }, target.last ? span(target.seconds) : "\u2013"),
            h("td", { "data-title": "Samples", class: "number" }, target.last ? short(target.samples) : "\u2013"),
            h("td", { "data-title": "Size", class: "number" }, target.last ? bytes(target.bytes) : "\u2013"),
            h("td", {}, h("button", {
                type: "button", class: "quiet", "data-key": key, "aria-expanded": String(isOpen),
                "aria-label": `Details of ${target.url}`, onclick: () => {
                    if (details.has(key)) details.delete(key);
                    else details.set(key, targetDetail(pool, target));
                    draw();
                },
            }, isOpen ? "Close" : "Details")));
        if (!isOpen) return row;
        details.get(key).refresh(target);
        return [row, h("tr", { class: "detail" }, h("td", { colspan: columns.length }, details.get(key).element))];
    }

    /** Whether drawing anew would disturb: something is selected, or somebody reads or uses an open detail. */
    function isBusy() {
        const selection = document.getSelection();
        if (selection?.isCollapsed === false && area.contains(selection.anchorNode)) return true;
        return document.activeElement?.closest?.(".target-detail") !== null && area.contains(document.activeElement);
    }

    async function load() {
        if (!document.hidden && !isBusy()) {
            try {
                pools = await getJSON("api/v0/console/targets");
                if (isGone) return;
                hasAnswer = true;
                if (!isBusy()) draw();
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
