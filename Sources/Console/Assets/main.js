// The frame of every view: the bar on top, the way from paths to views, light and dark.

import { h, link, note, setText } from "./dom.js";
import { bytes, rate } from "./format.js";
import { store } from "./store.js";
import { pipelineView } from "./page-pipeline.js";
import { componentView } from "./page-component.js";
import { componentsView } from "./page-components.js";
import { targetsView } from "./page-targets.js";
import { liveView } from "./page-live.js";
import { clusterView } from "./page-cluster.js";
import { exploreView } from "./page-explore.js";
import { explainView } from "./page-explain.js";
import { configurationView, flagsView, runtimeView, supportView } from "./page-system.js";

const views = [
    { path: "", title: "Pipeline", show: pipelineView, also: ["graph"] },
    { path: "components", title: "Components", show: componentsView, also: ["component", "remotecfg"] },
    { path: "targets", title: "Targets", show: targetsView },
    { path: "live", title: "Live data", show: liveView },
    { path: "explore", title: "Explore", show: exploreView },
    { path: "explain", title: "Explain", show: explainView },
    { path: "configuration", title: "Configuration", show: configurationView },
    { path: "runtime", title: "Runtime", show: runtimeView },
    { path: "clustering", title: "Cluster", show: clusterView },
    { path: "flags", title: "Flags", show: flagsView },
    { path: "support", title: "Support", show: supportView },
];

const root = new URL(document.baseURI).pathname;
const content = document.getElementById("content");
let leave = null;

function currentPath() {
    const path = location.pathname.startsWith(root) ? location.pathname.slice(root.length) : "";
    return path.replace(/\/+$/, "");
}

function decoded(segments) {
    try {
        return segments.map(decodeURIComponent).join("/");
    } catch {
        return segments.join("/");
    }
}

/** Shows the view the address names. */
function show() {
    leave?.();
    leave = null;
    const [first, ...rest] = currentPath().split("/");
    const view = views.find((one) => one.path === first || one.also?.includes(first));
    for (const entry of document.querySelectorAll("#bar nav a")) {
        const isCurrent = entry.dataset.path === view?.path;
        if (isCurrent) {
            entry.setAttribute("aria-current", "page");
            entry.scrollIntoView({ block: "nearest", inline: "nearest" });
        } else entry.removeAttribute("aria-current");
    }
    content.replaceChildren();
    content.className = "view-" + (view?.path || "pipeline");
    let title = view?.title ?? "Not found";
    if (first === "component" && rest.length > 0) {
        const id = decoded(rest);
        title = id;
        content.className = "view-component";
        leave = componentView(content, id);
    } else if (view) {
        leave = view.show(content, { rest, go, query: new URLSearchParams(location.search) });
    } else {
        content.append(note("There is no such page", "The address names no view of the console. Start from the ",
            link("", {}, "pipeline"), "."));
    }
    document.title = `${title} \u00b7 Invar`;
}

/** Goes to a view without loading the page anew. */
function go(path, { replace = false } = {}) {
    const target = new URL(path === "" ? "./" : path, document.baseURI);
    if (replace) history.replaceState(null, "", target);
    else history.pushState(null, "", target);
    if (!replace) {
        show();
        content.focus({ preventScroll: true });
        scrollTo(0, 0);
    }
}

document.addEventListener("click", (event) => {
    const anchor = event.target.closest?.("a[data-view]");
    if (!anchor || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(anchor.getAttribute("href") === "./" ? "" : anchor.getAttribute("href"));
});
addEventListener("popstate", show);

// MARK: The bar

function themeButton() {
    const button = h("button", { class: "quiet", type: "button" });
    const choices = ["auto", "light", "dark"];
    const names = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
    const signs = { auto: "\u25d0", light: "\u2600", dark: "\u263e" };
    const apply = (choice) => {
        if (choice === "auto") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = choice;
        setText(button, signs[choice]);
        button.title = names[choice];
        button.setAttribute("aria-label", names[choice]);
        button.dataset.choice = choice;
    };
    let saved = null;
    try { saved = localStorage.getItem("invar-theme"); } catch { /* Without storage the choice lasts as long as the page. */ }
    apply(choices.includes(saved) ? saved : "auto");
    button.addEventListener("click", () => {
        const next = choices[(choices.indexOf(button.dataset.choice) + 1) % choices.length];
        apply(next);
        try { localStorage.setItem("invar-theme", next); } catch { /* As above. */ }
    });
    return button;
}

function bar() {
    const state = h("span", { class: "state", role: "status" });
    const ill = link("components?health=ill", { class: "badge bad", hidden: true });
    const delivered = h("b");
    const dropped = h("b");
    const memory = h("b");
    document.getElementById("bar").append(
        link("", { class: "brand", "aria-label": "Invar, pipeline" },
            h("img", { src: "assets/icon.svg", alt: "", width: 24, height: 24 }), "Invar"),
        h("nav", { "aria-label": "Views" }, views.map((view) =>
            link(view.path, { "data-path": view.path }, view.title))),
        h("div", { class: "totals" }, ill,
            h("span", { title: "Items entering the pipeline per second" }, "in ", delivered),
            h("span", { title: "Items dropped per second, for whatever reason" }, "dropped ", dropped),
            h("span", { title: "Memory of all buffers" }, "buffers ", memory), state, themeButton()));
    const refresh = () => {
        let entering = 0;
        let losing = 0;
        const fed = new Set();
        for (const books of store.books.values()) for (const edge of books.edges) fed.add(edge.to);
        for (const id of store.components.keys()) {
            const flow = store.flow(id);
            losing += flow.dropped;
            if (!fed.has(id)) entering += flow.in;
        }
        const sick = [...store.components.values()]
            .filter((component) => component.health === "unhealthy" || component.health === "exited").length;
        ill.hidden = sick === 0;
        setText(ill, `${sick} unhealthy`);
        setText(delivered, rate(entering));
        setText(dropped, rate(losing));
        setText(memory, bytes(store.memory.used));
        const words = { connecting: "connecting", live: "live", lost: "no answer, trying again" };
        setText(state, words[store.state]);
        state.dataset.state = store.state;
    };
    store.addEventListener("books", refresh);
    store.addEventListener("state", refresh);
    refresh();
}

bar();
store.start();
show();
