// The columns of a drawing: which item is in which, and the order within each with few crossings (by barycentres).

import { neighbours, offset } from "./graph-geometry.js";

/** Gives every item its column. */
export function layers(cluster) {
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
export function withLanes(cluster, items) {
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

/** Sorts each column so that few edges cross. */
export function order(rows, lanes) {
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
