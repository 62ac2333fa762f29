// What the graph shows: components with modules folded or unfolded, and the ways data takes between what is visible.

const targetSources = ["discovery.", "local.file_match", "prometheus.exporter.", "prometheus.operator."];

/** The signal a component most likely passes, for edges nothing has passed yet. */
export function signalOf(name) {
    if (targetSources.some((prefix) => name.startsWith(prefix))) return "targets";
    if (name.startsWith("loki.") || name.startsWith("faro.")) return "logs";
    if (name.startsWith("prometheus.") || name.startsWith("mimir.")) return "metrics";
    if (name.startsWith("pyroscope.")) return "profiles";
    if (name.startsWith("otelcol.")) return "otlp";
    return "targets";
}

/**
 * The visible nodes, groups and edges.
 *
 * `components` and `books` are maps by ID; `folded` says of a component with modules whether they are hidden.
 */
export function buildModel(components, books, folded) {
    const owners = new Map();
    for (const component of components.values()) {
        for (const module of component.modules) owners.set(module, component.id);
    }
    const parentOf = (component) => owners.get(component.module) ?? null;
    const shown = new Map();
    const representative = (id) => {
        if (shown.has(id)) return shown.get(id);
        const component = components.get(id);
        if (!component) return null;
        let result = id;
        for (let parent = parentOf(component), depth = 0; parent && depth < 64; depth += 1) {
            if (folded(parent)) result = parent;
            parent = parentOf(components.get(parent) ?? {});
        }
        shown.set(id, result);
        return result;
    };
    const inside = new Map();
    for (const component of components.values()) {
        for (let parent = parentOf(component), depth = 0; parent && depth < 64; depth += 1) {
            if (!inside.has(parent)) inside.set(parent, []);
            inside.get(parent).push(component.id);
            parent = parentOf(components.get(parent) ?? {});
        }
    }

    const nodes = [];
    const groups = [];
    for (const component of components.values()) {
        if (representative(component.id) !== component.id) continue;
        const parent = parentOf(component);
        const members = inside.get(component.id) ?? [];
        if (members.length > 0 && !folded(component.id)) groups.push({ id: component.id, parent, component, members });
        else nodes.push({ id: component.id, parent, component, members });
    }

    const edges = new Map();
    const add = (from, to, signal, part) => {
        if (!from || !to || from === to) return;
        const key = from + "\n" + to;
        let edge = edges.get(key);
        if (!edge) edges.set(key, edge = { id: key, from, to, signals: new Set(), parts: [] });
        edge.signals.add(signal);
        if (part) edge.parts.push(part);
    };
    for (const [id, statement] of books) {
        if (!components.has(id)) continue;
        for (const entry of statement.edges) {
            if (!components.has(entry.to)) continue;
            add(representative(id), representative(entry.to), entry.signal,
                { from: id, to: entry.to, signal: entry.signal });
        }
    }
    const groupIDs = new Set(groups.map((group) => group.id));
    const linked = new Set([...edges.values()].map((edge) => edge.id));
    const belongs = (id, owner) => id === owner || (inside.get(owner) ?? []).includes(id);
    for (const component of components.values()) {
        for (const target of component.flowsTo) {
            const [from, to] = [representative(component.id), representative(target)];
            if (!from || !to || linked.has(from + "\n" + to)) continue;
            if (!groupIDs.has(from) && !groupIDs.has(to)) {
                add(from, to, signalOf(component.name));
                continue;
            }
            // The end is an unfolded module: the books say which of its components it is, unless nothing passed yet.
            const known = [...edges.values()].some((edge) =>
                edge.parts.length > 0 && belongs(edge.from, from) && belongs(edge.to, to));
            if (known) continue;
            const starts = groupIDs.has(from) ? ends(from, inside, components, "flowsTo") : [from];
            const stops = groupIDs.has(to) ? ends(to, inside, components, "referencedBy") : [to];
            for (const start of starts) {
                for (const stop of stops) {
                    add(representative(start), representative(stop), signalOf(components.get(start).name));
                }
            }
        }
    }
    return { nodes, groups, edges: [...edges.values()] };
}

/** The components inside a module that nothing inside continues. */
function ends(owner, inside, components, direction) {
    const members = inside.get(owner) ?? [];
    const found = members.filter((id) => {
        const component = components.get(id);
        return component.modules.length === 0 && component[direction].length === 0;
    });
    return found.length > 0 ? found : members.slice(0, 1);
}
