// The items that pass a component, as they pass.

import { h, link, note, setText } from "./dom.js";
import { getJSON, store } from "./store.js";

const delimiter = "|;|";
/** Items kept on the page; older ones go. */
const most = 500;
/** At most this many milliseconds between drawings. */
const pace = 250;

/** Whether the configuration lets nobody look. */
async function isOff() {
    try {
        return !(await getJSON("api/v0/console/status")).liveDebugging;
    } catch {
        return false;
    }
}

function switchedOff() {
    return note("Live data is switched off", "Add ", h("code", {}, "livedebugging { enabled = true }"),
        " to the configuration and reload it.");
}

export function liveView(content, { go, query }) {
    let id = query.get("component") ?? "";
    let controller = null;
    let isPaused = false;
    let items = [];
    let waiting = [];
    let passed = 0;
    let hidden = 0;
    let timer = null;

    const choice = h("select", {
        "aria-label": "Component", onchange: () => {
            id = choice.value;
            go(`live?component=${encodeURIComponent(id)}`, { replace: true });
            restart();
        },
    });
    const share = h("select", { "aria-label": "Share", onchange: () => restart() },
        [[1, "every item"], [0.1, "one in 10"], [0.01, "one in 100"]].map(([value, text]) => h("option", { value }, text)));
    const filter = h("input", {
        type: "search", placeholder: "Filter: text, or /expression/", "aria-label": "Filter", oninput: () => draw(true),
    });
    const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => setPaused(!isPaused) }, "Pause");
    const clear = h("button", {
        type: "button", onclick: () => {
            items = [];
            waiting = [];
            draw(true);
        },
    }, "Clear");
    const count = h("p", { class: "summary", role: "status" });
    const problem = h("div");
    const list = h("ol", { class: "stream", tabindex: 0, "aria-label": "Items, newest first" });
    content.append(h("h1", {}, "Live data"),
        h("div", { class: "tools" }, choice, share, filter, pause, clear), count, problem, list);

    function setPaused(next) {
        isPaused = next;
        pause.setAttribute("aria-pressed", String(isPaused));
        setText(pause, isPaused ? "Go on" : "Pause");
        if (!isPaused) draw(true);
        else describe();
    }

    function offer() {
        const ids = [...store.components.values()].filter((one) => one.live).map((one) => one.id);
        const known = [...choice.options].map((option) => option.value).filter((value) => value !== "");
        if (known.join("\n") === ids.join("\n")) return;
        choice.replaceChildren(h("option", { value: "" }, "Choose a component"),
            ...ids.map((one) => h("option", { value: one, selected: one === id }, one)));
        choice.value = ids.includes(id) ? id : "";
    }

    function test() {
        const text = filter.value.trim();
        if (text === "") return () => true;
        const match = /^\/(.+)\/$/.exec(text);
        if (match) {
            try {
                const expression = new RegExp(match[1], "i");
                return (item) => expression.test(item.text);
            } catch {
                return () => true;
            }
        }
        const wanted = text.toLowerCase();
        return (item) => item.text.toLowerCase().includes(wanted);
    }

    function row(item) {
        const match = /^\[(IN|OUT)\]:? ?/.exec(item.text);
        const text = match ? item.text.slice(match[0].length) : item.text;
        return h("li", {}, h("time", { title: new Date(item.time).toString() }, new Date(item.time).toISOString().slice(11, 23)),
            match && h("span", { class: `way ${match[1].toLowerCase()}` }, match[1] === "IN" ? "in" : "out"),
            h("span", { class: "text" }, text));
    }

    function describe() {
        const parts = [`${passed} items seen`];
        if (isPaused && waiting.length > 0) parts.push(`${waiting.length} came while paused`);
        if (hidden > 0) parts.push(`${hidden} left out, too many to show`);
        setText(count, id === "" ? "" : parts.join(", "));
    }

    function draw(isWhole = false) {
        describe();
        if (isPaused && !isWhole) return;
        const fits = test();
        const fresh = waiting;
        if (!isPaused) {
            waiting = [];
            items = [...fresh.reverse(), ...items].slice(0, most);
        }
        if (isWhole) list.replaceChildren(...items.filter(fits).map(row));
        else {
            list.prepend(...fresh.filter(fits).map(row));
            while (list.children.length > most) list.lastChild.remove();
        }
    }

    function take(text) {
        passed += 1;
        waiting.push({ time: Date.now(), text });
        if (waiting.length > most) {
            hidden += waiting.length - most;
            waiting.splice(0, waiting.length - most);
        }
        timer ??= setTimeout(() => {
            timer = null;
            draw();
        }, pace);
    }

    async function restart() {
        controller?.abort();
        problem.replaceChildren();
        items = [];
        waiting = [];
        passed = 0;
        hidden = 0;
        draw(true);
        if (id === "") {
            if (await isOff()) {
                problem.append(switchedOff());
                return;
            }
            if (id !== "") return;
            problem.append(note("Choose a component", "What passes it appears here as it passes. Looking costs the program "
                + "a little while you look, and nothing when you leave."));
            return;
        }
        const mine = controller = new AbortController();
        try {
            const path = "api/v0/web/debug/" + id.split("/").map(encodeURIComponent).join("/");
            const response = await fetch(`${path}?sampleProb=${share.value}`, { signal: mine.signal });
            if (!response.ok) {
                problem.append(response.status === 503
                    ? switchedOff()
                    : note("Nothing can be shown", (await response.text()).trim()));
                return;
            }
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            for (let rest = ""; ;) {
                const { value, done } = await reader.read();
                if (done) break;
                const parts = (rest + value).split(delimiter);
                rest = parts.pop();
                if (rest.length > 1 << 20) rest = "";
                for (const part of parts) take(part);
            }
            if (mine === controller) problem.append(note("The stream ended", "The program stopped or the component left. ",
                link(`live?component=${encodeURIComponent(id)}`, {}, "Look again")));
        } catch (error) {
            if (mine.signal.aborted) return;
            problem.append(note("The stream broke off", error.message, ". ",
                link(`live?component=${encodeURIComponent(id)}`, {}, "Look again")));
        }
    }

    store.addEventListener("structure", offer);
    offer();
    restart();
    return () => {
        controller?.abort();
        clearTimeout(timer);
        store.removeEventListener("structure", offer);
    };
}
