// The measures of a drawing, and the heights of its items: as near to their neighbours as the order of each column
// allows, by isotonic regression.

export const sizes = { width: 216, height: 66, rowGap: 22, columnGap: 76, padding: 18, title: 32 };

/** Where an edge meets an item, from the item's top. */
export function offset(stop) {
    return stop.item.ports?.get(stop.port) ?? stop.item.height / 2;
}

/** Neighbours in the columns before and after, with where the edge meets them. */
export function neighbours(lanes) {
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

function gap(upper, lower) {
    return upper.isLane && lower.isLane ? 8 : upper.side && lower.side ? 8 : sizes.rowGap;
}

/** Heights: every item as near to its neighbours as its column's order allows. */
export function coordinates(rows, lanes) {
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
