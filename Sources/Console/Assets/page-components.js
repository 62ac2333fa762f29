// All components in one table, busiest or sickest first: what `top` is to processes.

import { componentPath, h, link, note, setText } from "./dom.js";
import { rate, short } from "./format.js";
import { store } from "./store.js";

const columns = [
    { key: "id", title: "Component" },
    { key: "health", title: "Health" },
    { key: "in", title: "In", isNumber: true },
    { key: "out", title: "Out", isNumber: true },
    { key: "dropped", title: "Dropped", isNumber: true },
    { key: "held", title: "Held", isNumber: true },
];
const badness = { exited: 3, unhealthy: 2, unknown: 1, healthy: 0 };

export function componentsView(content, { query }) {
    let sorting = { key: "id", isDown: false };
    let words = "";
    const onlyIll = h("input", { type: "checkbox", checked: query.get("health") === "ill", onchange: () => update() });
    const search = h("input", {
        type: "search", placeholder: "Filter by name, health or message", "aria-label": "Filter",
        oninput: () => {
            words = search.value.trim().toLowerCase();
            update();
        },
    });
    const heads = columns.map((column) => h("th", { class: column.isNumber ? "number" : "", scope: "col" },
        h("button", {
            type: "button", class: "sort", onclick: () => {
                sorting = { key: column.key, isDown: sorting.key === column.key ? !sorting.isDown : column.key !== "id" };
                update();
            },
        }, column.title)));
    const body = h("tbody");
    const count = h("span", { class: "found-count", role: "status" });
    const empty = h("div");
    content.append(h("h1", {}, "Components"),
        h("div", { class: "tools" }, search, h("label", {}, onlyIll, " only unhealthy"), count),
        h("div", { class: "scroll" }, h("table", { class: "rows components" }, h("thead", {}, h("tr", {}, heads)), body)), empty);
    const rows = new Map();

    function row(component) {
        const cells = {
            health: h("span", {}), message: h("span", { class: "kind" }),
        };
        for (const { key, title, isNumber } of columns) {
            if (isNumber) cells[key] = h("td", { class: "number", "data-title": title.toLowerCase() });
        }
        const element = h("tr", {},
            h("td", { class: "wrap" }, link(componentPath(component.id), {}, component.id)),
            h("td", { class: "wrap" }, cells.health, " ", cells.message),
            cells.in, cells.out, cells.dropped, cells.held);
        return { element, cells };
    }

    function update() {
        const found = [];
        for (const component of store.components.values()) {
            if (onlyIll.checked && badness[component.health] < 2) continue;
            const text = `${component.id} ${component.health} ${component.message}`.toLowerCase();
            if (words !== "" && !words.split(/\s+/).every((word) => text.includes(word))) continue;
            found.push({ component, flow: store.flow(component.id) });
        }
        const value = ({ component, flow }) => sorting.key === "id" ? component.id
            : sorting.key === "health" ? badness[component.health] : flow[sorting.key];
        found.sort((a, b) => {
            const [x, y] = [value(a), value(b)];
            const result = x < y ? -1 : x > y ? 1 : a.component.id < b.component.id ? -1 : 1;
            return sorting.isDown ? -result : result;
        });
        heads.forEach((head, index) => head.setAttribute("aria-sort", columns[index].key !== sorting.key
            ? "none" : sorting.isDown ? "descending" : "ascending"));
        for (const id of rows.keys()) {
            if (!store.components.has(id)) rows.delete(id);
        }
        const elements = found.map(({ component, flow }) => {
            if (!rows.has(component.id)) rows.set(component.id, row(component));
            const { element, cells } = rows.get(component.id);
            cells.health.className = `badge ${component.health}`;
            setText(cells.health, component.health);
            setText(cells.message, component.message);
            setText(cells.in, rate(flow.in));
            setText(cells.out, rate(flow.out));
            setText(cells.dropped, flow.dropped > 0 ? rate(flow.dropped) : flow.droppedItems > 0 ? `${short(flow.droppedItems)} in all` : "\u2013");
            cells.dropped.title = flow.drops.map((drop) => `${drop.reason}: ${short(drop.items)}`).join(", ");
            cells.dropped.classList.toggle("bad", flow.drops.some((drop) => drop.reason !== "rule" && drop.rate > 0));
            setText(cells.held, flow.held > 0 ? short(flow.held) : "\u2013");
            return element;
        });
        const isSame = elements.length === body.children.length && elements.every((one, index) => body.children[index] === one);
        if (!isSame) body.replaceChildren(...elements);
        setText(count, store.version === 0 ? "" : `${found.length} of ${store.components.size}`);
        empty.replaceChildren();
        if (store.version > 0 && found.length === 0) {
            empty.append(store.components.size === 0
                ? note("No components run", "The configuration has no component, or is not applied. ",
                    link("configuration", {}, "See what was loaded"), ".")
                : note("None fits", onlyIll.checked ? "No component is unhealthy: good. " : "", "Change the filter to see others."));
        }
    }
    store.addEventListener("books", update);
    store.addEventListener("structure", update);
    update();
    return () => {
        store.removeEventListener("books", update);
        store.removeEventListener("structure", update);
    };
}
