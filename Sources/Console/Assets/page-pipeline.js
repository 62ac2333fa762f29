// The pipeline as a graph, live.

import { componentPath, h, link, note, s, setText } from "./dom.js";
import { rate, short } from "./format.js";
import { GraphView, edgeWidth } from "./graph-view.js";
import { ledgerLine } from "./ledger.js";
import { store } from "./store.js";

const signals = [
    ["metrics", "metrics"], ["logs", "logs"], ["traces", "traces"], ["profiles", "profiles"], ["otlp", "OTLP"],
    ["targets", "targets"],
];

function legend() {
    const sample = (items) => s("svg", { width: 34, height: 18, "aria-hidden": "true" },
        s("line", { class: "edge-line", x1: 2, x2: 32, y1: 9, y2: 9, "stroke-width": edgeWidth(items) }));
    return h("details", { class: "legend" },
        h("summary", {}, "Legend"),
        h("ul", {},
            signals.map(([name, text]) => h("li", { class: `signal-${name}` }, sample(10), text)),
            [1, 100, 10000].map((items) => h("li", { class: "scale" }, sample(items), `${short(items)} items/s`)),
            h("li", {}, h("i", { class: "swatch healthy" }), "healthy"),
            h("li", {}, h("i", { class: "swatch unhealthy" }), "unhealthy or exited"),
            h("li", {}, h("i", { class: "swatch unknown" }), "unknown yet"),
            h("li", {}, h("i", { class: "pill loss" }, "\u22125/s"), "lost, with the reason"),
            h("li", {}, h("i", { class: "pill wanted" }, "\u22125/s"), "dropped by a rule of yours")));
}

export function pipelineView(content, { go }) {
    const graph = new GraphView();
    const found = h("span", { class: "found-count", role: "status" });
    const search = h("input", {
        type: "search", placeholder: "Search components", "aria-label": "Search components",
        oninput: () => {
            const count = graph.search(search.value);
            setText(found, search.value.trim() === "" ? "" : count === 0 ? "none" : `${count} found`);
        },
        onkeydown: (event) => {
            if (event.key === "Enter") graph.showNext();
            if (event.key === "Escape" && search.value !== "") {
                search.value = "";
                graph.search("");
                setText(found, "");
            }
        },
    });
    const window = h("select", {
        "aria-label": "Rates over",
        onchange: () => {
            store.window = Number(window.value);
            graph.refresh();
            panel.refresh();
        },
    }, [[5, "5 s"], [30, "30 s"], [60, "1 min"], [300, "5 min"]].map(([seconds, text]) =>
        h("option", { value: seconds * 1000, selected: store.window === seconds * 1000 }, `rates over ${text}`)));
    const fold = h("button", { type: "button", onclick: () => graph.foldAll(true) }, "Fold modules");
    const unfold = h("button", { type: "button", onclick: () => graph.foldAll(false) }, "Unfold");
    const panel = selectionPanel(graph, go);
    const empty = h("div", { class: "graph-note" });
    const stage = h("div", { class: "stage" }, graph.element, empty,
        h("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
            h("button", { type: "button", "aria-label": "Zoom in", onclick: () => graph.zoom(1.3) }, "+"),
            h("button", { type: "button", "aria-label": "Zoom out", onclick: () => graph.zoom(1 / 1.3) }, "\u2212"),
            h("button", { type: "button", "aria-label": "Show all", title: "Show all", onclick: () => graph.fit() }, "Fit")),
        legend(), panel.element);
    content.append(h("h1", { class: "hidden" }, "Pipeline"),
        h("div", { class: "tools" }, search, found, window, fold, unfold), stage);

    graph.addEventListener("open", (event) => go(componentPath(event.detail)));
    graph.addEventListener("select", (event) => panel.show(event.detail));

    let isFitted = false;
    const draw = () => {
        const hasModules = [...store.components.values()].some((component) => component.modules.length > 0);
        fold.hidden = unfold.hidden = !hasModules;
        empty.replaceChildren();
        if (store.version > 0 && store.components.size === 0) {
            empty.append(note("No components run", "The configuration has no component, or is not applied. ",
                link("configuration", {}, "See what was loaded"), "."));
        }
        if (store.version === 0) {
            const text = store.state === "lost"
                ? note("No answer", "The program does not answer. Is it running, and is this address still its own? "
                    + "This page tries again by itself.")
                : h("p", { class: "waiting" }, "Loading the pipeline");
            empty.append(text);
            return;
        }
        if (graph.isOutdated) {
            const start = performance.now();
            graph.rebuild();
            graph.element.dataset.drawn = (performance.now() - start).toFixed(1);
        }
        if (!isFitted && graph.element.getBoundingClientRect().width > 0) {
            graph.fit(graph.element.getBoundingClientRect().width < 600 ? 0.62 : 0.2);
            isFitted = true;
        }
    };
    const update = () => {
        draw();
        if (store.version > 0) graph.refresh();
        panel.refresh();
    };
    const resize = new ResizeObserver(() => draw());
    resize.observe(graph.element);
    const shortcut = (event) => {
        if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
        event.preventDefault();
        search.focus();
    };
    document.addEventListener("keydown", shortcut);
    store.addEventListener("books", update);
    store.addEventListener("structure", draw);
    store.addEventListener("state", draw);
    draw();
    return () => {
        resize.disconnect();
        document.removeEventListener("keydown", shortcut);
        store.removeEventListener("books", update);
        store.removeEventListener("structure", draw);
        store.removeEventListener("state", draw);
    };
}

/** What is known of the chosen node, beside the graph. */
function selectionPanel(graph, go) {
    const element = h("aside", { class: "selection", hidden: true, "aria-label": "Chosen component" });
    let id = null;
    let parts = null;
    const show = (next) => {
        id = next;
        element.hidden = id === null;
        if (id === null) return;
        const component = store.components.get(id);
        if (!component) return;
        parts = {
            health: h("span", { class: `badge ${component.health}` }),
            message: h("p", { class: "message" }),
            rates: h("dl", { class: "facts" }),
            ledger: h("div"),
            drops: h("ul", { class: "drops" }),
        };
        element.replaceChildren(
            h("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => graph.select(null) }, "\u00d7"),
            h("p", { class: "kind" }, component.name),
            h("h2", {}, component.label || component.name),
            component.module && h("p", { class: "kind" }, `in ${component.module}`),
            h("p", { class: "health-line" }, parts.health, h("moment-text", { at: component.since })), parts.message,
            parts.rates, parts.drops, parts.ledger,
            h("p", { class: "actions" },
                link(componentPath(id), { class: "button" }, "Open component"),
                component.live && link(`live?component=${encodeURIComponent(id)}`, { class: "button quiet" }, "Live data")));
        refresh();
    };
    const refresh = () => {
        if (id === null || !parts) return;
        const [component, node] = [store.components.get(id), graph.nodeOf(id)];
        if (!component || !node) return;
        const flow = graph.flowOf(node);
        setText(parts.health, component.health);
        parts.health.className = `badge ${component.health}`;
        setText(parts.message, component.message);
        const facts = [["in", rate(flow.in)], ["out", rate(flow.out)], ["dropped", rate(flow.dropped)],
            ["holds", short(flow.held)]];
        if (parts.rates.children.length === 0) {
            parts.rates.append(...facts.map(([name]) => h("div", {}, h("dt", {}, name), h("dd"))));
        }
        facts.forEach(([, text], index) => setText(parts.rates.children[index].lastChild, text));
        parts.drops.replaceChildren(...flow.drops.map((drop) =>
            h("li", {}, h("b", {}, short(drop.items)), ` dropped: ${drop.reason.replaceAll("_", " ")}, ${rate(drop.rate)} now`)));
        if (node.members.length === 0) parts.ledger.replaceChildren(ledgerLine(store.books.get(id)));
    };
    return { element, show, refresh };
}
