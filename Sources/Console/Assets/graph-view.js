// The graph on the screen: SVG that is built once per structure and touched up at every update.

import { s, setAttribute, setText } from "./dom.js";
import { rate, short } from "./format.js";
import { Camera } from "./graph-camera.js";
import { sizes } from "./graph-geometry.js";
import { layout } from "./graph-layout.js";
import { buildModel } from "./graph-model.js";
import { store } from "./store.js";

const signalOrder = ["metrics", "logs", "traces", "profiles", "otlp", "targets"];

function fit(text, characters) {
    return text.length <= characters ? text : text.slice(0, characters - 1) + "\u2026";
}

function curve(points) {
    if (points.length === 0) return "";
    const round = (value) => Math.round(value * 10) / 10;
    let path = `M${round(points[0][0])} ${round(points[0][1])}`;
    for (let index = 1; index < points.length; index += 1) {
        const [[x0, y0], [x1, y1]] = [points[index - 1], points[index]];
        if (Math.abs(y1 - y0) < 0.5) path += `L${round(x1)} ${round(y1)}`;
        else {
            const bend = x1 > x0 ? (x1 - x0) / 2 : Math.min(60, 20 + (x0 - x1) / 4);
            path += `C${round(x0 + bend)} ${round(y0)} ${round(x1 - bend)} ${round(y1)} ${round(x1)} ${round(y1)}`;
        }
    }
    return path;
}

/** How wide an edge is drawn: a step for every tenfold. */
export function edgeWidth(items) {
    return items > 0 ? Math.min(16, 2 + 2.4 * Math.log10(1 + items)) : 1.5;
}

export class GraphView extends EventTarget {
    selected = null;
    folded = new Map();
    query = "";
    #nodes = new Map();
    #groups = new Map();
    #edges = new Map();
    #model = { nodes: [], groups: [], edges: [] };

    constructor() {
        super();
        this.scene = s("g", {});
        this.element = s("svg", {
            class: "graph", tabindex: 0, role: "group", "aria-label": "Pipeline graph. Arrow keys move, + and - zoom.",
        }, this.scene);
        this.camera = new Camera(this.element, this.scene, {
            onEmptyClick: () => this.select(null), onFocus: (id) => this.center(id),
        });
    }

    isFolded(id) {
        return this.folded.get(id) ?? store.components.size > 120;
    }

    toggle(id) {
        this.folded.set(id, !this.isFolded(id));
        this.rebuild();
    }

    foldAll(isFolded) {
        for (const component of store.components.values()) {
            if (component.modules.length > 0) this.folded.set(component.id, isFolded);
        }
        this.rebuild();
        this.fit();
    }

    /** Draws all anew; for changes of structure. */
    rebuild() {
        this.#model = buildModel(store.components, store.books, (id) => this.isFolded(id));
        this.drawn = this.#signature();
        const { nodes, groups, edges } = this.#model;
        const spots = layout(nodes, groups, edges);
        this.camera.size = spots;
        const focused = document.activeElement?.closest?.("[data-id]")?.dataset.id;
        this.#nodes.clear();
        this.#groups.clear();
        this.#edges.clear();
        const back = s("g", {});
        const lines = s("g", {});
        const front = s("g", {});
        for (const group of groups) back.append(this.#drawGroup(group, spots.groups.get(group.id)));
        for (const edge of edges) lines.append(this.#drawEdge(edge, spots.edges.get(edge.id)));
        for (const node of nodes) front.append(this.#drawNode(node, spots.nodes.get(node.id)));
        this.scene.replaceChildren(back, lines, front);
        if (this.selected && !this.#nodes.has(this.selected)) this.selected = null;
        if (focused) this.#nodes.get(focused)?.element.focus({ preventScroll: true });
        this.refresh();
        this.#highlight();
    }

    /** Whether what there is to draw is no longer what is drawn. */
    get isOutdated() { return this.drawn !== this.#signature(); }

    #signature() {
        const parts = [];
        for (const component of store.components.values()) {
            parts.push(component.id, component.flowsTo.join(), component.modules.join());
        }
        for (const [id, books] of store.books) for (const edge of books.edges) parts.push(id, edge.to, edge.signal);
        return parts.join("\n");
    }

    #drawGroup(group, spot) {
        const { x, y, width, height } = spot;
        const title = `${group.component.name} ${group.component.label}`;
        const element = s("g", { class: "module", "data-id": group.id },
            s("rect", { class: "module-frame", x, y, width, height, rx: 14 }),
            s("g", {
                class: "module-title", role: "button", tabindex: 0, "aria-label": `Fold module ${title}`,
                onclick: () => this.toggle(group.id),
                onkeydown: (event) => {
                    if (event.key === "Enter" || event.key === " ") {
                        event.preventDefault();
                        this.toggle(group.id);
                    }
                },
            },
            s("rect", { class: "fold", x: x + 10, y: y + 8, width: 18, height: 18, rx: 5 }),
            s("text", { class: "fold-sign", x: x + 19, y: y + 21.5 }, "\u2212"),
            s("text", { x: x + 36, y: y + 22 }, fit(title, Math.floor((width - 44) / 7.2)))));
        this.#groups.set(group.id, { element, group });
        return element;
    }

    #drawEdge(edge, points) {
        const d = curve(points);
        const signal = signalOrder.find((name) => edge.signals.has(name)) ?? "targets";
        const line = s("path", { class: "edge-line", d });
        const title = s("title", {});
        const element = s("g", { class: `edge signal-${signal}` },
            s("path", { class: "edge-reach", d }), line, title);
        this.#edges.set(edge.id, { element, line, title, edge });
        return element;
    }

    #drawNode(node, spot) {
        const { component } = node;
        const { x, y } = spot;
        const { width, height } = sizes;
        const kind = s("text", { class: "node-kind", x: 16, y: 18 }, fit(component.name, 30));
        const name = component.label || component.name.split(".").pop();
        const label = s("text", { class: "node-label", x: 16, y: 37 }, fit(name, 23));
        const flow = s("text", { class: "node-flow", x: 16, y: 54 });
        const held = s("text", { class: "node-held", x: width - 12, y: 54 });
        const dropText = s("text", { class: "drop-text", x: width - 16, y: height + 6 });
        const dropShape = s("rect", { class: "drop-shape", y: height - 7, height: 18, rx: 9 });
        const drop = s("g", { class: "drop", visibility: "hidden" }, dropShape, dropText);
        const title = s("title", {});
        const element = s("g", {
            class: "node", transform: `translate(${x} ${y})`, tabindex: 0, role: "button", "data-id": node.id,
            onclick: (event) => {
                event.stopPropagation();
                this.select(node.id);
            },
            ondblclick: () => this.#open(node),
            onkeydown: (event) => {
                if (event.key === "Enter" || event.key === " ") {
                    event.preventDefault();
                    if (this.selected === node.id) this.#open(node);
                    else this.select(node.id);
                }
            },
        },
        s("rect", { class: "node-card", width, height, rx: 10 }),
        s("rect", { class: "node-bar", x: 0, y: 10, width: 5, height: height - 20, rx: 2.5 }),
        kind, label, flow, held, drop, title);
        if (node.members.length > 0) {
            element.append(s("g", {
                class: "unfold", onclick: (event) => {
                    event.stopPropagation();
                    this.toggle(node.id);
                },
            },
            s("rect", { class: "fold", x: width - 50, y: 23, width: 40, height: 20, rx: 6 }),
            s("text", { class: "fold-sign", x: width - 30, y: 37 }, `+${node.members.length}`),
            s("title", {}, `Show the ${node.members.length} components inside`)));
        }
        this.#nodes.set(node.id, { element, node, spot, flow, held, drop, dropText, dropShape, title });
        return element;
    }

    #open(node) {
        this.dispatchEvent(new CustomEvent("open", { detail: node.id }));
    }

    /** What a node does: its own books, or those of everything folded into it. */
    flowOf(node) {
        if (node.members.length === 0) return store.flow(node.id);
        const sum = { in: 0, out: 0, dropped: 0, held: 0, drops: [], droppedItems: 0, isKnown: true };
        const inside = new Set(node.members);
        for (const id of node.members) {
            const flow = store.flow(id);
            sum.dropped += flow.dropped;
            sum.held += flow.held;
            sum.droppedItems += flow.droppedItems;
            for (const drop of flow.drops) {
                const known = sum.drops.find((entry) => entry.reason === drop.reason);
                if (known) {
                    known.items += drop.items;
                    known.rate += drop.rate;
                } else sum.drops.push({ ...drop });
            }
            for (const edge of store.books.get(id)?.edges ?? []) {
                if (!inside.has(edge.to)) sum.out += store.edgeRate(id, edge.to, edge.signal);
            }
        }
        for (const edge of this.#model.edges) {
            if (edge.to === node.id) sum.in += this.rateOf(edge);
        }
        sum.drops.sort((a, b) => b.rate - a.rate || b.items - a.items);
        return sum;
    }

    healthOf(node) {
        const order = ["healthy", "unknown", "unhealthy", "exited"];
        let worst = node.component.health;
        for (const id of node.members) {
            const health = store.components.get(id)?.health ?? "unknown";
            if (order.indexOf(health) > order.indexOf(worst)) worst = health;
        }
        return worst;
    }

    rateOf(edge) {
        return edge.parts.reduce((sum, part) => sum + store.edgeRate(part.from, part.to, part.signal), 0);
    }

    /** Brings numbers, widths and colours up to date. */
    refresh() {
        for (const entry of this.#edges.values()) {
            const items = this.rateOf(entry.edge);
            setAttribute(entry.line, "stroke-width", edgeWidth(items).toFixed(1));
            entry.element.classList.toggle("idle", items === 0);
            setText(entry.title, `${entry.edge.from} \u2192 ${entry.edge.to}\n`
                + `${[...entry.edge.signals].join(", ")}: ${entry.edge.parts.length > 0 ? rate(items) : "by reference"}`);
        }
        for (const entry of this.#nodes.values()) this.#refreshNode(entry);
    }

    #refreshNode(entry) {
        const { component } = entry.node;
        const flow = this.flowOf(entry.node);
        const health = this.healthOf(entry.node);
        for (const state of ["healthy", "unhealthy", "exited", "unknown"]) {
            entry.element.classList.toggle(state, state === health);
        }
        const passes = flow.in > 0 || flow.out > 0 || flow.droppedItems > 0 || flow.held > 0;
        let text = "";
        if (passes) text = flow.isKnown ? rate(Math.max(flow.in, flow.out)) : "measuring";
        const isIll = component.health === "unhealthy" || component.health === "exited";
        if (isIll) text = fit(component.message, flow.held > 0 ? 18 : 31);
        setText(entry.flow, text);
        setText(entry.held, flow.held > 0 ? `holds ${short(flow.held)}` : "");
        const top = flow.drops[0];
        setAttribute(entry.drop, "visibility", top ? null : "hidden");
        if (top) {
            const isNow = flow.dropped > 0;
            const amount = isNow ? rate(top.rate) : short(top.items);
            const more = flow.drops.length > 1 ? ` +${flow.drops.length - 1}` : "";
            const label = `\u2212${amount} ${top.reason.replaceAll("_", " ")}${more}`;
            setText(entry.dropText, fit(label, 28));
            const width = Math.min(28, label.length) * 6.1 + 18;
            setAttribute(entry.dropShape, "x", (sizes.width - 8 - width).toFixed(0));
            setAttribute(entry.dropShape, "width", width.toFixed(0));
            setAttribute(entry.drop, "class", `drop ${isNow ? "now" : "past"} ${
                flow.drops.some((drop) => drop.reason !== "rule") ? "loss" : "wanted"}`);
        }
        const lines = [entry.node.id, `${health}: ${component.message}`];
        if (flow.isKnown) lines.push(`in ${rate(flow.in)}, out ${rate(flow.out)}, holds ${short(flow.held)}`);
        for (const drop of flow.drops) {
            lines.push(`dropped, ${drop.reason}: ${rate(drop.rate)}, ${short(drop.items)} in all`);
        }
        setText(entry.title, lines.join("\n"));
        setAttribute(entry.element, "aria-label", lines.join(". "));
    }

    // MARK: Moving

    zoom(factor) { this.camera.zoom(factor); }

    /** Shows everything, but not smaller than `least`. */
    fit(least = 0) { this.camera.fit(least); }

    center(id) {
        const spot = this.#nodes.get(id)?.spot;
        if (spot) this.camera.center({ x: spot.x + sizes.width / 2, y: spot.y + sizes.height / 2 });
    }

    // MARK: Choosing

    /** Chooses a node, or none, and shows the whole way up and down from it. */
    select(id) {
        this.selected = id !== null && this.#nodes.has(id) ? id : null;
        this.#highlight();
        this.dispatchEvent(new CustomEvent("select", { detail: this.selected }));
    }

    nodeOf(id) { return this.#nodes.get(id)?.node ?? null; }

    search(query) {
        this.query = query.trim().toLowerCase();
        this.#highlight();
        return this.#found().length;
    }

    #found() {
        if (this.query === "") return [];
        const words = this.query.split(/\s+/);
        return [...this.#nodes.values()].filter(({ node }) => {
            const text = [node.id, node.component.name, node.component.health, node.component.message, ...node.members]
                .join(" ").toLowerCase();
            return words.every((word) => text.includes(word));
        });
    }

    /** Goes to the next node found. */
    showNext() {
        const found = this.#found();
        if (found.length === 0) return;
        const place = found.findIndex((entry) => entry.node.id === this.selected);
        const next = found[(place + 1) % found.length];
        this.select(next.node.id);
        this.center(next.node.id);
    }

    #path(id) {
        const nodes = new Set([id]);
        const edges = new Set();
        for (const [near, far] of [["from", "to"], ["to", "from"]]) {
            const queue = [id];
            const seen = new Set(queue);
            while (queue.length > 0) {
                const current = queue.pop();
                for (const edge of this.#model.edges) {
                    if (edge[near] !== current) continue;
                    edges.add(edge.id);
                    nodes.add(edge[far]);
                    if (!seen.has(edge[far])) {
                        seen.add(edge[far]);
                        queue.push(edge[far]);
                    }
                }
            }
        }
        return { nodes, edges };
    }

    #highlight() {
        const path = this.selected ? this.#path(this.selected) : null;
        const found = this.query !== "" ? new Set(this.#found().map((entry) => entry.node.id)) : null;
        for (const [id, { element }] of this.#nodes) {
            element.classList.toggle("selected", id === this.selected);
            element.classList.toggle("dim", path ? !path.nodes.has(id) : found ? !found.has(id) : false);
            element.classList.toggle("found", found?.has(id) ?? false);
        }
        for (const [id, { element }] of this.#edges) {
            element.classList.toggle("dim", path ? !path.edges.has(id) : found !== null);
            element.classList.toggle("lit", path?.edges.has(id) ?? false);
        }
    }
}
