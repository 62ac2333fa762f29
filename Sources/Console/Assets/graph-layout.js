// A layered drawing, left to right: modules are drawn first and then placed as boxes, edges that enter or leave a box
// do so through ports on its sides, edges over several columns keep a lane of their own in each.
// After Sugiyama, Tagawa and Toda (1981): layers and their order are in graph-layers.js, heights in graph-geometry.js.

import { coordinates, offset, sizes } from "./graph-geometry.js";
import { layers, order, withLanes } from "./graph-layers.js";

/**
 * Places nodes {id, parent}, groups {id, parent} and edges {id, from, to}; `parent` is the ID of a group or null.
 *
 * Returns {nodes: Map(id: {x, y, width, height}), groups: the same, edges: Map(id: [[x, y], ...]), width, height}.
 */
export function layout(nodes, groups, edges) {
    const parents = new Map();
    for (const entry of [...nodes, ...groups]) parents.set(entry.id, entry.parent);
    const levels = new Map([[null, newLevel()]]);
    for (const group of groups) levels.set(group.id, newLevel());
    for (const node of nodes) {
        levels.get(node.parent).items.set(node.id, { id: node.id, width: sizes.width, height: sizes.height });
    }
    const legs = new Map();
    for (const edge of edges) legs.set(edge.id, route(edge, parents, levels));
    const boxes = new Map();
    const root = drawLevel(null, groups, levels, boxes);
    const result = { nodes: new Map(), groups: new Map(), edges: new Map(), width: root.width, height: root.height };
    place(root, 0, 0, levels, boxes, nodes, result);
    for (const edge of edges) {
        const points = [];
        for (const leg of legs.get(edge.id)) {
            const origin = result.groups.get(leg.level) ?? { x: 0, y: 0 };
            const drawn = levels.get(leg.level).paths.get(leg.key);
            for (const [x, y] of drawn ?? []) points.push([x + origin.x, y + origin.y]);
        }
        result.edges.set(edge.id, points);
    }
    return result;
}

function newLevel() {
    return { items: new Map(), links: new Map(), paths: new Map() };
}

/** The parts of an edge, one for every level it passes. */
function route(edge, parents, levels) {
    const chain = (id) => {
        const groups = [];
        for (let parent = parents.get(id); parent !== null; parent = parents.get(parent)) groups.push(parent);
        return groups;
    };
    const [up, down] = [chain(edge.from), chain(edge.to)];
    while (up.length > 0 && down.length > 0 && up[up.length - 1] === down[down.length - 1]) {
        up.pop();
        down.pop();
    }
    const parts = [];
    const connect = (level, from, to) => {
        const key = JSON.stringify([from.id, from.port ?? "", to.id, to.port ?? ""]);
        levels.get(level).links.set(key, { key, from, to });
        parts.push({ level, key });
    };
    const port = (level, side, name) => {
        const id = JSON.stringify([side, name]);
        const items = levels.get(level).items;
        if (!items.has(id)) items.set(id, { id, width: 0, height: 8, side });
        return id;
    };
    let from = { id: edge.from };
    for (const group of up) {
        const id = port(group, "right", edge.to);
        connect(group, from, { id });
        from = { id: group, port: id };
    }
    const inner = [];
    let to = { id: edge.to };
    for (const group of down) {
        const id = port(group, "left", edge.from);
        inner.unshift([group, { id }, to]);
        to = { id: group, port: id };
    }
    const common = parents.get(up.length > 0 ? up[up.length - 1] : edge.from);
    connect(common, from, to);
    for (const [group, start, stop] of inner) connect(group, start, stop);
    return parts;
}

/** Draws what is inside a group, innermost first; coordinates are relative to the group. */
function drawLevel(id, groups, levels, boxes) {
    const level = levels.get(id);
    for (const group of groups) {
        if (group.parent !== id) continue;
        const box = drawLevel(group.id, groups, levels, boxes);
        level.items.set(group.id, { id: group.id, width: box.width, height: box.height, ports: box.ports });
    }
    const clusters = connected(level).map((cluster) => drawCluster(cluster, level));
    const box = id === null ? shelve(clusters) : stack(clusters);
    for (const cluster of clusters) {
        for (const [key, points] of cluster.paths) {
            level.paths.set(key, points.map(([x, y]) => [x + cluster.x, y + cluster.y]));
        }
        for (const item of cluster.items) {
            item.x += cluster.x;
            item.y += cluster.y;
        }
    }
    box.ports = new Map();
    for (const item of level.items.values()) {
        if (!item.side) continue;
        box.ports.set(item.id, item.y + item.height / 2);
        const edgeX = item.side === "left" ? 0 : box.width;
        for (const link of level.links.values()) {
            const points = level.paths.get(link.key);
            if (item.side === "left" && link.from.id === item.id) points.unshift([edgeX, points[0][1]]);
            if (item.side === "right" && link.to.id === item.id) points.push([edgeX, points[points.length - 1][1]]);
        }
    }
    boxes.set(id, box);
    return box;
}

function place(box, x, y, levels, boxes, nodes, result) {
    const wanted = new Set(nodes.map((node) => node.id));
    const walk = (level, left, top) => {
        for (const item of levels.get(level).items.values()) {
            const spot = { x: left + item.x, y: top + item.y, width: item.width, height: item.height };
            if (boxes.has(item.id)) {
                result.groups.set(item.id, spot);
                walk(item.id, spot.x, spot.y);
            } else if (wanted.has(item.id)) {
                result.nodes.set(item.id, spot);
            }
        }
    };
    walk(null, x, y);
}

/** The parts of a level that nothing joins, largest first; lone items together at the end. */
function connected(level) {
    const leader = new Map([...level.items.keys()].map((id) => [id, id]));
    const find = (id) => {
        while (leader.get(id) !== id) {
            leader.set(id, leader.get(leader.get(id)));
            id = leader.get(id);
        }
        return id;
    };
    for (const link of level.links.values()) leader.set(find(link.from.id), find(link.to.id));
    const clusters = new Map();
    for (const item of level.items.values()) {
        const root = find(item.id);
        if (!clusters.has(root)) clusters.set(root, { items: [], links: [] });
        clusters.get(root).items.push(item);
    }
    for (const link of level.links.values()) clusters.get(find(link.from.id)).links.push(link);
    return [...clusters.values()].sort((a, b) => b.items.length - a.items.length);
}

function drawCluster(cluster, level) {
    const columns = layers(cluster);
    const { rows, lanes } = withLanes(cluster, columns);
    order(rows, lanes);
    coordinates(rows, lanes);
    const columnX = [];
    const columnWidth = rows.map((row) => Math.max(0, ...row.map((item) => item.width)));
    let x = 0;
    for (let index = 0; index < rows.length; index += 1) {
        columnX.push(x);
        x += columnWidth[index];
        if (index + 1 < rows.length) {
            const isPort = rows[index].every((item) => item.side) || rows[index + 1].every((item) => item.side);
            x += isPort ? 24 : sizes.columnGap + Math.min(80, rows[index].length * 3);
        }
    }
    const top = Math.min(...rows.flat().map((item) => item.y));
    for (const [index, row] of rows.entries()) {
        for (const item of row) {
            item.x = columnX[index];
            item.y -= top;
        }
    }
    const paths = new Map();
    for (const lane of lanes) {
        const points = [];
        for (const [step, stop] of lane.stops.entries()) {
            const y = stop.item.y + offset(stop);
            const column = columnX[stop.item.column];
            const right = column + columnWidth[stop.item.column];
            if (step > 0) points.push([column, y]);
            if (step === 0) points.push([stop.item.x + stop.item.width, y]);
            if (step < lane.stops.length - 1 && points[points.length - 1][0] < right) points.push([right, y]);
        }
        paths.set(lane.key, lane.isReversed ? points.reverse() : points);
    }
    const bottom = Math.max(...rows.flat().map((item) => item.y + item.height));
    return { items: cluster.items, paths, width: x, height: bottom, x: 0, y: 0 };
}

/** Clusters of a module one below the other, with room for its title. */
function stack(clusters) {
    let y = sizes.title + sizes.padding / 2;
    let width = 0;
    for (const cluster of clusters) {
        const startsAtPort = cluster.items.some((item) => item.side === "left");
        cluster.x = startsAtPort ? 0 : sizes.padding;
        cluster.y = y;
        y += cluster.height + sizes.rowGap;
        const endsAtPort = cluster.items.some((item) => item.side === "right");
        width = Math.max(width, cluster.x + cluster.width + (endsAtPort ? 0 : sizes.padding));
    }
    if (clusters.length === 0) return { width: sizes.width, height: sizes.title + sizes.padding };
    return { width: Math.max(width, 180), height: y - sizes.rowGap + sizes.padding };
}

/** Clusters of the whole in rows, so that the whole fits a wide window at the largest scale. */
function shelve(clusters) {
    if (clusters.length === 0) return { width: 0, height: 0 };
    const widest = Math.max(...clusters.map((one) => one.width));
    let best = null;
    for (let columns = 1; columns <= 12; columns += 1) {
        const limit = Math.max(900, columns * (widest + 60));
        const size = shelves(clusters, limit);
        const scale = Math.min(1.8 / size.width, 1 / size.height);
        if (best === null || scale > best.scale * 1.05) best = { scale, limit };
    }
    return shelves(clusters, best.limit);
}

function shelves(clusters, limit) {
    let [x, y, rowHeight, width] = [0, 0, 0, 0];
    for (const cluster of clusters) {
        if (x > 0 && x + cluster.width > limit) {
            x = 0;
            y += rowHeight + 44;
            rowHeight = 0;
        }
        cluster.x = x;
        cluster.y = y;
        x += cluster.width + 60;
        rowHeight = Math.max(rowHeight, cluster.height);
        width = Math.max(width, cluster.x + cluster.width);
    }
    return { width, height: y + rowHeight };
}
