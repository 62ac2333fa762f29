// The pipeline as the program tells it: components, their books, and what the books were a while ago.

/** Distance of updates asked for, and how far back rates and plots reach, in milliseconds. */
const interval = 1000;
const reach = 5 * 60_000;

/** One component's books at one moment, reduced to what is plotted. */
function moment(time, books) {
    const dropped = new Map();
    for (const entry of books.dropped) {
        dropped.set(entry.reason, (dropped.get(entry.reason) ?? 0) + entry.items);
    }
    const edges = new Map();
    for (const edge of books.edges) edges.set(edge.to + "\n" + edge.signal, edge.accepted);
    return {
        time, in: books.in, out: books.out, created: books.created, merged: books.merged,
        dropped, edges,
        droppedItems: books.dropped.reduce((sum, entry) => sum + entry.items, 0),
        held: books.held.reduce((sum, entry) => sum + entry.items, 0),
    };
}

class Store extends EventTarget {
    components = new Map();
    books = new Map();
    history = new Map();
    memory = { limit: 0, used: 0 };
    /** Over how many milliseconds rates are taken. */
    window = 30_000;
    /** "connecting", "live", "lost" */
    state = "connecting";
    time = 0;
    /** Grows when components come, go or change. */
    version = 0;

    start() {
        document.addEventListener("visibilitychange", () => {
            if (document.hidden) this.#close();
            else this.#open();
        });
        this.#open();
    }

    #source = null;

    #open() {
        if (this.#source) return;
        const source = new EventSource(`api/v0/console/stream?interval=${interval}`);
        source.addEventListener("structure", (event) => {
            this.components = new Map(JSON.parse(event.data).map((component) => [component.id, component]));
            this.version += 1;
            this.dispatchEvent(new Event("structure"));
        });
        source.addEventListener("books", (event) => this.#take(JSON.parse(event.data)));
        source.addEventListener("open", () => this.#turn("live"));
        source.addEventListener("error", () => {
            this.#turn("lost");
            if (source.readyState === EventSource.CLOSED) {
                this.#close();
                setTimeout(() => { if (!document.hidden) this.#open(); }, 3000);
            }
        });
        this.#source = source;
    }

    #close() {
        this.#source?.close();
        this.#source = null;
    }

    #turn(state) {
        if (this.state === state) return;
        this.state = state;
        this.dispatchEvent(new Event("state"));
    }

    #take(update) {
        // A program that was started anew counts from zero: what was before says nothing about it.
        const restarted = update.ledger.some((books) => {
            const before = this.books.get(books.componentID);
            return before && (books.in < before.in || books.out < before.out);
        });
        if (restarted) {
            this.books.clear();
            this.history.clear();
        }
        this.time = update.time;
        this.memory = { limit: update.memoryLimit, used: update.memoryUsed };
        for (const books of update.ledger) this.books.set(books.componentID, books);
        for (const [id, books] of this.books) {
            let moments = this.history.get(id);
            if (!moments) this.history.set(id, moments = []);
            moments.push(moment(update.time, books));
            while (moments.length > 2 && moments[0].time < update.time - reach) moments.shift();
        }
        this.#turn("live");
        this.dispatchEvent(new Event("books"));
    }

    /** The first and the last moment of the window rates are taken over; null before there are two. */
    between(id) {
        const moments = this.history.get(id);
        if (!moments || moments.length < 2) return null;
        const last = moments[moments.length - 1];
        let first = moments[0];
        for (let index = moments.length - 2; index >= 0; index -= 1) {
            first = moments[index];
            if (last.time - first.time >= this.window) break;
        }
        return last.time > first.time ? [first, last, (last.time - first.time) / 1000] : null;
    }

    /** What a component does per second, what it holds and what it has dropped, by reason. */
    flow(id) {
        const moments = this.history.get(id);
        const now = moments?.[moments.length - 1];
        const flow = {
            in: 0, out: 0, dropped: 0, held: now?.held ?? 0, drops: [], droppedItems: now?.droppedItems ?? 0,
            isKnown: false,
        };
        if (!now) return flow;
        const pair = this.between(id);
        if (pair) {
            const [first, last, seconds] = pair;
            flow.isKnown = true;
            flow.in = (last.in - first.in) / seconds;
            flow.out = (last.out - first.out) / seconds;
            flow.dropped = (last.droppedItems - first.droppedItems) / seconds;
        }
        for (const [reason, items] of now.dropped) {
            if (items === 0) continue;
            const before = pair ? pair[0].dropped.get(reason) ?? 0 : items;
            flow.drops.push({ reason, items, rate: pair ? (items - before) / pair[2] : 0 });
        }
        flow.drops.sort((a, b) => b.rate - a.rate || b.items - a.items);
        return flow;
    }

    /** Items per second on an edge of the books. */
    edgeRate(from, to, signal) {
        const pair = this.between(from);
        if (!pair) return 0;
        const key = to + "\n" + signal;
        return ((pair[1].edges.get(key) ?? 0) - (pair[0].edges.get(key) ?? 0)) / pair[2];
    }
}

export const store = new Store();

/** Fetches JSON of the program; throws with what it said. */
export async function getJSON(path) {
    const response = await fetch(path, { headers: { accept: "application/json" } });
    if (!response.ok) throw new Error((await response.text()).trim() || `${response.status} ${response.statusText}`);
    return response.json();
}
