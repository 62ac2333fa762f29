// Log entries of a store as they come, with search.

import { h, setText } from "./dom.js";
import { absolute } from "./format.js";

/** Rows kept on the page; older ones go. */
const most = 1000;

function level(entry) {
    const named = entry.labels.level ?? entry.labels.severity ?? entry.metadata.level ?? "";
    const word = /^(fatal|crit|err|warn)/i.exec(named) ?? /\b(fatal|critical|error|warn(?:ing)?)\b/i.exec(entry.line.slice(0, 200));
    if (!word) return "";
    return word[1].toLowerCase().startsWith("warn") ? "caution" : "failed";
}

function milliseconds(timestamp) { return Number(BigInt(timestamp) / 1_000_000n); }

function pairs(title, object) {
    const entries = Object.entries(object);
    if (entries.length === 0) return null;
    return [h("h3", {}, title), h("p", {}, entries.map(([name, value]) =>
        h("span", { class: "label" }, h("span", {}, name), "=", JSON.stringify(value))))];
}

export function logsPane(ask, { query, remember, refresh }) {
    let match = query.get("match") ?? "";
    let text = query.get("text") ?? "";
    let cursor = null;
    let isPaused = false;
    let shown = 0;

    const selector = h("input", {
        type: "search", placeholder: "{label=\"value\"}", "aria-label": "Streams", spellcheck: "false", value: match,
        autocomplete: "off",
    });
    const search = h("input", {
        type: "search", placeholder: "Text, or /expression/", "aria-label": "Search", spellcheck: "false", value: text,
        autocomplete: "off",
    });
    const pause = h("button", {
        type: "button", "aria-pressed": "false", onclick: () => {
            isPaused = !isPaused;
            pause.setAttribute("aria-pressed", String(isPaused));
            setText(pause, isPaused ? "Go on" : "Pause");
            if (!isPaused) refresh();
        },
    }, "Pause");
    const form = h("form", {
        class: "tools", onsubmit: (event) => {
            event.preventDefault();
            [match, text] = [selector.value.trim(), search.value.trim()];
            remember({ match, text });
            cursor = null;
            refresh();
        },
    }, selector, search, h("button", { type: "submit", class: "button" }, "Search"), pause);
    const summary = h("p", { class: "summary", role: "status" });
    const list = h("ol", { class: "stream entries", tabindex: 0, "aria-label": "Entries, newest first" });
    const element = h("div", {}, form, summary, list);

    function row(entry) {
        const time = milliseconds(entry.timestamp);
        const line = h("button", {
            type: "button", class: "line", "aria-expanded": "false", onclick: () => {
                const isOpen = detail.hidden;
                detail.hidden = !isOpen;
                line.setAttribute("aria-expanded", String(isOpen));
            },
        }, h("time", { title: absolute(time) }, new Date(time).toISOString().slice(11, 23)),
        h("span", { class: "text" }, entry.line === "" ? "(empty)" : entry.line));
        const detail = h("div", { class: "entry-detail", hidden: true }, pairs("Labels", entry.labels),
            pairs("Metadata", entry.metadata));
        return h("li", { class: level(entry) }, line, detail);
    }

    return {
        element,
        async refresh() {
            if (isPaused) return;
            const expression = /^\/(.+)\/$/.exec(text);
            const parameters = { match, limit: cursor === null ? 200 : 1000 };
            if (expression) parameters.regex = expression[1];
            else parameters.text = text;
            if (cursor !== null) parameters.after = cursor;
            const answer = await ask("logs", parameters);
            const rows = answer.entries.map(row).reverse();
            if (cursor === null) {
                list.replaceChildren(...rows);
                shown = rows.length;
            } else {
                list.prepend(...rows);
                shown += rows.length;
            }
            while (list.childElementCount > most) list.lastElementChild.remove();
            cursor = answer.cursor;
            setText(summary, shown === 0
                ? match === "" && text === "" ? "No entries have come yet." : "Nothing that came lately matches."
                : `${Math.min(shown, most)} entries, the newest first`);
        },
    };
}
