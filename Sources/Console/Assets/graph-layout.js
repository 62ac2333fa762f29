// A layered drawing, left to right: modules are drawn first and then placed as boxes, edges that enter or leave a box
// do so through ports on its sides, edges over several columns keep a lane of their own in each.
// After Sugiyama, Tagawa and Toda (1981): layers, order by barycentres, coordinates by isotonic regression.

export const sizes = { width: 216, height: 66, rowGap: 22, columnGap: 76, padding: 18, title: 32 };

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

/** Where an edge meets an item, from the item's top. */
function offset(stop) {
    return stop.item.ports?.get(stop.port) ?? stop.item.height / 2;
}

/** Gives every item its column. */
function layers(cluster) {
    const byID = new Map(cluster.items.map((item) => [item.id, item]));
    const next = new Map(cluster.items.map((item) => [item.id, []]));
    for (const link of cluster.links) next.get(link.from.id).push(link);
    const state = new Map();
    const sorted = [];
    // Depth first with a stack of our own; an edge back into the stack closes a cycle and is drawn backwards.
    for (const root of cluster.items) {
        if (state.has(root.id)) continue;
        state.set(root.id, "open");
        const stack = [{ id: root.id, index: 0 }];
        while (stack.length > 0) {
            const top = stack[stack.length - 1];
            const link = next.get(top.id)[top.index];
            top.index += 1;
            if (!link) {
                state.set(top.id, "done");
                sorted.unshift(top.id);
                stack.pop();
                continue;
            }
            const reached = state.get(link.to.id);
            link.isReversed = reached === "open";
            if (!reached) {
                state.set(link.to.id, "open");
                stack.push({ id: link.to.id, index: 0 });
            }
        }
    }
    const first = cluster.items.some((item) => item.side === "left") ? 1 : 0;
    const forward = new Map(cluster.items.map((item) => [item.id, []]));
    const incoming = new Map(cluster.items.map((item) => [item.id, 0]));
    for (const link of cluster.links) {
        const [from, to] = link.isReversed ? [link.to.id, link.from.id] : [link.from.id, link.to.id];
        if (from === to) continue;
        forward.get(from).push(to);
        incoming.set(to, incoming.get(to) + 1);
    }
    for (const item of cluster.items) item.column = item.side === "left" ? 0 : first;
    const queue = sorted.filter((id) => incoming.get(id) === 0);
    const passed = [];
    const open = new Map(incoming);
    while (queue.length > 0) {
        const id = queue.shift();
        passed.push(id);
        for (const to of forward.get(id)) {
            byID.get(to).column = Math.max(byID.get(to).column, byID.get(id).column + 1);
            open.set(to, open.get(to) - 1);
            if (open.get(to) === 0) queue.push(to);
        }
    }
    // Sources move next to what they feed.
    for (const id of passed.reverse()) {
        const item = byID.get(id);
        if (item.side || incoming.get(id) > 0 || forward.get(id).length === 0) continue;
        item.column = Math.max(first, Math.min(...forward.get(id).map((to) => byID.get(to).column)) - 1);
    }
    const last = Math.max(...cluster.items.map((item) => item.side === "right" ? 0 : item.column));
    for (const item of cluster.items) if (item.side === "right") item.column = last + 1;
    return cluster.items;
}

/** Rows of each column, with a place for every edge in every column it passes. */
function withLanes(cluster, items) {
    const byID = new Map(items.map((item) => [item.id, item]));
    const rows = [];
    for (const item of items) (rows[item.column] ??= []).push(item);
    for (let index = 0; index < rows.length; index += 1) rows[index] ??= [];
    const lanes = cluster.links.map((link) => {
        const ends = [{ item: byID.get(link.from.id), port: link.from.port },
            { item: byID.get(link.to.id), port: link.to.port }];
        const isReversed = ends[0].item.column > ends[1].item.column;
        if (isReversed) ends.reverse();
        const stops = [ends[0]];
        for (let column = ends[0].item.column + 1; column < ends[1].item.column; column += 1) {
            const lane = { id: null, width: 0, height: 6, column, isLane: true };
            rows[column].push(lane);
            stops.push({ item: lane });
        }
        stops.push(ends[1]);
        return { key: link.key, stops, isReversed };
    });
    return { rows: rows.filter((row, index) => renumber(row, index)), lanes };
}

function renumber(row, index) {
    for (const item of row) item.column = index;
    return true;
}

/** Neighbours in the columns before and after, with where the edge meets them. */
function neighbours(lanes) {
    const before = new Map();
    const after = new Map();
    const add = (map, key, entry) => {
        if (!map.has(key)) map.set(key, []);
        map.get(key).push(entry);
    };
    for (const lane of lanes) {
        for (let index = 1; index < lane.stops.length; index += 1) {
            const [left, right] = [lane.stops[index - 1], lane.stops[index]];
            add(after, left.item, { own: left, other: right });
            add(before, right.item, { own: right, other: left });
        }
    }
    return { before, after };
}

function order(rows, lanes) {
    const { before, after } = neighbours(lanes);
    const number = () => { for (const row of rows) row.forEach((item, index) => { item.rank = index; }); };
    const rank = (stop) => stop.item.rank + offset(stop) / Math.max(1, stop.item.height);
    number();
    let best = rows.map((row) => [...row]);
    let fewest = crossings(rows, after, rank);
    const rounds = lanes.length > 2000 ? 8 : 16;
    for (let round = 0; round < rounds && fewest > 0; round += 1) {
        const isForward = round % 2 === 0;
        const indices = [...rows.keys()];
        if (!isForward) indices.reverse();
        for (const index of indices) {
            const sides = isForward ? before : after;
            for (const item of rows[index]) {
                const near = sides.get(item);
                item.weight = near ? near.reduce((sum, entry) => sum + rank(entry.other), 0) / near.length : item.rank;
            }
            rows[index].sort((a, b) => a.weight - b.weight || a.rank - b.rank);
            rows[index].forEach((item, place) => { item.rank = place; });
        }
        const count = crossings(rows, after, rank);
        if (count < fewest) {
            fewest = count;
            best = rows.map((row) => [...row]);
        }
    }
    for (const [index, row] of best.entries()) rows[index] = row;
    number();
}

/** How many edges cross, counted between neighbouring columns. */
function crossings(rows, after, rank) {
    let total = 0;
    for (const row of rows) {
        const pairs = [];
        for (const item of row) {
            for (const entry of after.get(item) ?? []) pairs.push([rank(entry.own), rank(entry.other)]);
        }
        pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        total += inversions(pairs.map((pair) => pair[1]))[0];
    }
    return total;
}

function inversions(values) {
    if (values.length < 2) return [0, values];
    const middle = values.length >> 1;
    const [leftCount, left] = inversions(values.slice(0, middle));
    const [rightCount, right] = inversions(values.slice(middle));
    const merged = [];
    let count = leftCount + rightCount;
    let [i, j] = [0, 0];
    while (i < left.length || j < right.length) {
        if (j >= right.length || (i < left.length && left[i] <= right[j])) merged.push(left[i++]);
        else {
            count += left.length - i;
            merged.push(right[j++]);
        }
    }
    return [count, merged];
}

function gap(upper, lower) {
    return upper.isLane && lower.isLane ? 8 : upper.side && lower.side ? 8 : sizes.rowGap;
}

/** Heights: every item as near to its neighbours as its column's order allows. */
function coordinates(rows, lanes) {
    const { before, after } = neighbours(lanes);
    for (const row of rows) {
        let y = 0;
        for (const [index, item] of row.entries()) {
            item.y = y;
            y += item.height + (index + 1 < row.length ? gap(item, row[index + 1]) : 0);
        }
        for (const item of row) item.y -= y / 2;
    }
    for (let round = 0; round < 14; round += 1) {
        const isForward = round % 2 === 0;
        const indices = [...rows.keys()];
        if (!isForward) indices.reverse();
        for (const index of indices) {
            const row = rows[index];
            const wishes = row.map((item) => {
                const near = round > 10
                    ? [...before.get(item) ?? [], ...after.get(item) ?? []]
                    : (isForward ? before : after).get(item) ?? [];
                if (near.length === 0) return { y: item.y, weight: 0.2 };
                const sum = near.reduce((total, entry) =>
                    total + entry.other.item.y + offset(entry.other) - offset(entry.own), 0);
                return { y: sum / near.length, weight: item.isLane ? 3 : 1 };
            });
            settle(row, wishes);
        }
    }
}

/** Least squares under the order of the column: neighbours that want the same room share it (pool adjacent violators). */
function settle(row, wishes) {
    const base = [];
    let y = 0;
    for (const [index, item] of row.entries()) {
        base.push(y);
        y += item.height + (index + 1 < row.length ? gap(item, row[index + 1]) : 0);
    }
    const blocks = [];
    for (const [index, wish] of wishes.entries()) {
        let block = { sum: (wish.y - base[index]) * wish.weight, weight: wish.weight, count: 1 };
        while (blocks.length > 0) {
            const above = blocks[blocks.length - 1];
            if (above.sum / above.weight <= block.sum / block.weight) break;
            blocks.pop();
            block = {
                sum: above.sum + block.sum, weight: above.weight + block.weight, count: above.count + block.count,
            };
        }
        blocks.push(block);
    }
    let index = 0;
    for (const block of blocks) {
        for (let taken = 0; taken < block.count; taken += 1, index += 1) {
            row[index].y = block.sum / block.weight + base[index];
        }
    }
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
