// What an invar.recent keeps: plots of series, log entries, traces.

import { h, note, setAttribute } from "./dom.js";
import { getJSON, store } from "./store.js";
import { metricsPane } from "./explore-metrics.js";
import { logsPane } from "./explore-logs.js";
import { tracesPane } from "./explore-traces.js";

const tabs = [
    { name: "metrics", title: "Metrics", pane: metricsPane },
    { name: "logs", title: "Logs", pane: logsPane },
    { name: "traces", title: "Traces", pane: tracesPane },
];
/** Milliseconds between questions. */
const pace = 1000;

const snippet = `invar.recent "console" { }

prometheus.scrape "app" {
  targets    = [{"__address__" = "127.0.0.1:8080"}]
  forward_to = [invar.recent.console.metrics_receiver]
}
// logs: forward_to = [invar.recent.console.logs_receiver]
// OTLP: output { traces = [invar.recent.console.input] }`;

function stores() {
    return [...store.components.keys()].filter((id) => id.slice(id.lastIndexOf("/") + 1).startsWith("invar.recent."));
}

/** Asks the store `id`; throws with what it said. */
function asker(id) {
    const path = "api/v0/component/" + id.split("/").map(encodeURIComponent).join("/");
    return async (what, parameters = {}) => {
        const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== undefined));
        try {
            return await getJSON(`${path}/${what}?${query}`);
        } catch (error) {
            let reason = error.message;
            try {
                reason = JSON.parse(reason).error ?? reason;
            } catch {
                // It is words already.
            }
            throw new Error(reason);
        }
    };
}

export function exploreView(content, { go, query }) {
    let id = query.get("store") ?? "";
    let tab = tabs.find((one) => one.name === query.get("tab")) ?? tabs[0];
    let pane = null;
    let timer = null;
    let isAsking = false;

    const choice = h("select", { "aria-label": "Store", onchange: () => { id = choice.value; open(); } });
    const buttons = tabs.map((one) => h("button", {
        type: "button", role: "tab", id: `tab-${one.name}`, "aria-controls": "explore-pane", onclick: () => {
            tab = one;
            remember({ match: "", text: "", trace: "" });
            open();
        },
    }, one.title));
    const place = h("div", { id: "explore-pane", role: "tabpanel" });
    const problem = h("p", { class: "error", role: "alert", hidden: true });
    content.append(h("div", { class: "title" }, h("h1", {}, "Explore"), choice),
        h("div", { class: "tools", role: "tablist", "aria-label": "Signals" }, buttons), problem, place);

    /** Keeps what is looked at in the address. */
    function remember(changes) {
        const next = new URLSearchParams(location.search);
        next.set("tab", tab.name);
        if (id !== "") next.set("store", id);
        for (const [name, value] of Object.entries(changes)) {
            if (value === "") next.delete(name);
            else next.set(name, value);
        }
        go(`explore?${next}`, { replace: true });
    }

    function offer() {
        const ids = stores();
        if ([...choice.options].map((one) => one.value).join("\n") !== ids.join("\n")) {
            choice.replaceChildren(...ids.map((one) => h("option", { value: one }, one)));
            if (!ids.includes(id)) id = ids[0] ?? "";
            choice.value = id;
            open();
        }
        choice.hidden = ids.length < 2;
        if (ids.length === 0 && store.components.size > 0 && !pane) {
            place.replaceChildren(note("Nothing is kept to look at", "Add a store to the configuration and send to it:",
                h("pre", {}, snippet)));
        }
    }

    function open() {
        for (const [index, button] of buttons.entries()) {
            setAttribute(button, "aria-selected", String(tabs[index] === tab));
            setAttribute(button, "aria-pressed", String(tabs[index] === tab));
        }
        place.setAttribute("aria-labelledby", `tab-${tab.name}`);
        if (id === "") return;
        pane = tab.pane(asker(id), { query: new URLSearchParams(location.search), remember, refresh });
        place.replaceChildren(pane.element);
        refresh();
    }

    async function refresh() {
        if (!pane || isAsking || document.hidden) return;
        isAsking = true;
        const asked = pane;
        try {
            await asked.refresh();
            problem.hidden = true;
        } catch (error) {
            problem.textContent = error.message;
            problem.hidden = false;
        }
        isAsking = false;
        if (asked !== pane) refresh();
    }

    store.addEventListener("structure", offer);
    offer();
    timer = setInterval(refresh, pace);
    return () => {
        store.removeEventListener("structure", offer);
        clearInterval(timer);
        pane?.close?.();
        pane = null;
    };
}
