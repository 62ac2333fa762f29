// The program itself: what it loaded, how it was started, what it uses, and what to send along with a question.

import { h, link, note, setText } from "./dom.js";
import { absolute, bytes, full, short, span } from "./format.js";
import { Plot } from "./plot.js";
import { getJSON } from "./store.js";

/** Loads `path` now and every few seconds, for as long as the view is shown. */
function follow(path, seconds, draw, fail) {
    let isGone = false;
    let timer = null;
    const load = async () => {
        if (!document.hidden) {
            try {
                const answer = await getJSON(path);
                if (isGone) return;
                draw(answer);
            } catch (error) {
                if (isGone) return;
                fail(error);
            }
        }
        timer = setTimeout(load, seconds * 1000);
    };
    load();
    return () => {
        isGone = true;
        clearTimeout(timer);
    };
}

// MARK: Configuration

export function configurationView(content) {
    const answer = h("div", { role: "status" });
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    const button = h("button", { type: "button", class: "button" }, "Reload configuration");
    let last = "";
    const draw = (report) => {
        const text = JSON.stringify(report);
        if (text === last) return;
        last = text;
        area.replaceChildren(...configuration(report));
    };
    button.addEventListener("click", async () => {
        button.disabled = true;
        answer.replaceChildren(h("p", {}, "Reloading"));
        try {
            const response = await fetch(new URL("/-/reload", location.href), { method: "POST" });
            const text = (await response.text()).trim();
            answer.replaceChildren(response.ok
                ? h("p", { class: "good" }, "The configuration was reloaded.")
                : h("div", { class: "bad" }, h("p", {}, "The configuration has errors."), h("pre", {}, text)));
            draw(await getJSON("api/v0/console/configuration"));
        } catch (error) {
            answer.replaceChildren(h("p", { class: "bad" }, `No answer: ${error.message}`));
        }
        button.disabled = false;
    });
    content.append(h("header", { class: "title" }, h("h1", {}, "Configuration"), h("p", { class: "actions" }, button)), answer, area);
    return follow("api/v0/console/configuration", 5, draw,
        (error) => { if (last === "") area.replaceChildren(note("The configuration cannot be read", error.message)); });
}

function configuration(report) {
    if (!report) return [note("Nothing was loaded yet", "The program is starting. This page follows.")];
    const errors = report.diagnostics.filter((item) => item.severity === "error").length;
    const warnings = report.diagnostics.length - errors;
    const state = report.problem || errors > 0 ? "unhealthy" : "healthy";
    const words = report.problem ? "could not be read" : errors > 0
        ? report.applied ? "applied with errors" : "not applied" : "applied";
    return [
        h("p", { class: "health-line" }, h("span", { class: `badge ${state}` }, words), h("moment-text", { at: report.time }),
            errors > 0 && h("span", {}, `${errors} errors`), warnings > 0 && h("span", {}, `${warnings} warnings`)),
        report.problem && note("The configuration could not be read", report.problem,
            ". The program goes on with the one before. Correct it and reload."),
        errors > 0 && h("p", {}, report.applied
            ? "Components that could not be evaluated keep the arguments they had."
            : "The configuration before it still runs. Correct these places and reload."),
        report.diagnostics.length > 0 && h("section", {}, h("h2", {}, "Diagnostics"),
            h("ul", { class: "diagnostics" }, report.diagnostics.map((item) => h("li", { class: item.severity },
                h("span", { class: `badge ${item.severity === "error" ? "unhealthy" : "unknown"}` }, item.severity),
                item.file && h("code", {}, `${item.file}:${item.line}:${item.column}`),
                h("p", {}, item.message), item.notes.map((text) => h("p", { class: "kind" }, text)))))),
        h("section", {}, h("h2", {}, "Files"), report.files.length === 0
            ? h("p", { class: "empty" }, "No file was read.")
            : h("div", { class: "scroll" }, h("table", { class: "rows" }, h("thead", {}, h("tr", {}, h("th", {}, "File"),
                h("th", { class: "number" }, "Lines"), h("th", { class: "number" }, "Size"))),
            h("tbody", {}, report.files.map((file) => h("tr", {}, h("td", { class: "wrap" }, h("code", {}, file.name)),
                h("td", { class: "number" }, full(file.lines)), h("td", { class: "number" }, bytes(file.bytes)))))))),
        h("p", { class: "kind" }, "The texts stay on the machine: they may hold secrets. What was made of them is on the ",
            link("components", {}, "components' pages"), "."),
        h("section", {}, h("h2", {}, "Digest"), h("dl", { class: "pairs" },
            h("dt", {}, "loaded last"), h("dd", {}, h("code", {}, report.digest || "none")),
            h("dt", {}, "running"), h("dd", {}, h("code", {}, report.running ?? "none")),
            h("dt", {}, "at"), h("dd", {}, absolute(report.time)))),
    ].filter((part) => part instanceof Node);
}

// MARK: Flags

export function flagsView(content) {
    const search = h("input", { type: "search", placeholder: "Filter flags", "aria-label": "Filter flags" });
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    let flags = null;
    const draw = () => {
        if (!flags) return;
        const wanted = search.value.trim().toLowerCase();
        const found = flags.filter((flag) => `${flag.name} ${flag.value}`.toLowerCase().includes(wanted));
        area.replaceChildren(found.length === 0 ? note("No flag fits", "Change the filter to see others.")
            : h("table", { class: "rows" }, h("thead", {}, h("tr", {}, h("th", {}, "Flag"), h("th", {}, "Value"))),
                h("tbody", {}, found.map((flag) => h("tr", {}, h("td", { class: "wrap" }, h("code", {}, `--${flag.name}`)),
                    h("td", { class: "wrap" }, h("code", {}, flag.value === "" ? "\u2013" : flag.value)))))));
    };
    search.addEventListener("input", draw);
    content.append(h("h1", {}, "Flags"), h("div", { class: "tools" }, search), area);
    return follow("api/v0/console/status", 60, (status) => {
        flags = status.flags;
        draw();
    }, (error) => area.replaceChildren(note("The flags cannot be read", error.message)));
}

// MARK: Runtime

export function runtimeView(content) {
    const cpu = new Plot("CPU, cores in use", (value) => value.toFixed(value < 1 ? 3 : 2));
    const resident = new Plot("resident memory", bytes);
    const buffers = new Plot("memory of buffers", bytes);
    const files = new Plot("open files", short);
    const facts = h("dl", { class: "facts wide" });
    const budget = h("section", {});
    const problem = h("div");
    content.append(h("h1", {}, "Runtime"), problem, facts,
        h("div", { class: "plots" }, cpu.element, resident.element, buffers.element, files.element), budget);
    const points = { cpu: [], resident: [], buffers: [], files: [] };
    let last = null;
    const draw = (status) => {
        problem.replaceChildren();
        const add = (name, value) => {
            points[name].push([status.time, value]);
            if (points[name].length > 300) points[name].shift();
        };
        if (last && status.time > last.time) add("cpu", (status.cpuSeconds - last.cpuSeconds) / ((status.time - last.time) / 1000));
        add("resident", status.residentBytes);
        add("buffers", status.memoryUsed);
        add("files", status.openFiles);
        last = status;
        cpu.update([{ name: "cores", kind: "main", points: points.cpu }]);
        resident.update([{ name: "resident", kind: "main", points: points.resident }]);
        buffers.update([{ name: "buffers", kind: "main", points: points.buffers }]);
        files.update([{ name: "open files", kind: "main", points: points.files }]);
        const age = status.time / 1000 - status.startSeconds;
        facts.replaceChildren(...[
            ["version", status.version], ["host", status.host], ["process", String(status.pid)],
            ["up for", span(Math.floor(age))], ["CPU used", span(status.cpuSeconds)],
            ["cores", String(status.cores)], ["resident", bytes(status.residentBytes)],
            ["open files", `${short(status.openFiles)} of ${short(status.maximumFiles)}`],
            ["listens on", status.listenAddress],
        ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
        const started = facts.children[3].lastChild;
        started.title = `since ${absolute(status.startSeconds * 1000)}`;
        budget.replaceChildren(...memory(status));
    };
    return follow("api/v0/console/status", 2, draw, (error) => problem.replaceChildren(note("No current numbers", error.message)));
}

function memory(status) {
    const share = status.memoryLimit > 0 ? status.memoryUsed / status.memoryLimit : 0;
    const words = { normal: "normal", high: "high: sources are slowed down", exhausted: "exhausted: items are refused" };
    const largest = Math.max(1, ...status.holdings.map((one) => one.bytes));
    return [
        h("h2", {}, "Memory budget"),
        h("p", {}, h("b", {}, bytes(status.memoryUsed)), ` of ${bytes(status.memoryLimit)} is held by buffers, pressure `,
            h("span", { class: `badge ${status.pressure === "normal" ? "healthy" : "unhealthy"}` }, words[status.pressure] ?? status.pressure)),
        h("meter", { min: 0, max: 1, high: 0.875, value: share.toFixed(4), "aria-label": "Share of the budget in use" }, `${(share * 100).toFixed(1)} %`),
        status.holdings.length === 0 ? h("p", { class: "empty" }, "No buffer is open.")
            : h("table", { class: "rows holdings" }, h("thead", {}, h("tr", {}, h("th", {}, "Buffer"), h("th", { class: "number" }, "Holds"), h("th", {}, ""))),
                h("tbody", {}, status.holdings.map((one) => h("tr", {}, h("td", { class: "wrap" }, one.name),
                    h("td", { class: "number" }, bytes(one.bytes)),
                    h("td", { class: "share" }, h("progress", { max: largest, value: one.bytes, "aria-label": `${one.name}: ${bytes(one.bytes)}` })))))),
    ];
}

// MARK: Support

export function supportView(content) {
    const seconds = h("select", { "aria-label": "Observe for" },
        [1, 10, 30, 60].map((value) => h("option", { value, selected: value === 10 }, `${value} s`)));
    const progress = h("p", { role: "status" });
    const button = h("button", { type: "button", class: "button" }, "Make support bundle");
    const area = h("div", {},
        h("p", {}, "An archive with the version, flags, components and their health, the books, metrics at the start and the end "
            + "of the time chosen, and the last log lines. Secrets are masked; host names, addresses and label values are not: "
            + "look at it before you pass it on."),
        h("p", { class: "tools" }, seconds, button), progress);
    content.append(h("h1", {}, "Support bundle"), area);
    button.addEventListener("click", async () => {
        button.disabled = true;
        let left = Number(seconds.value);
        const tick = setInterval(() => {
            left -= 1;
            setText(progress, left > 0 ? `Observing, ${left} s left` : "Packing");
        }, 1000);
        setText(progress, `Observing, ${left} s left`);
        try {
            const response = await fetch(new URL(`/-/support?duration=${left}`, location.href));
            if (!response.ok) throw new Error((await response.text()).trim());
            const archive = await response.blob();
            const anchor = h("a", {
                href: URL.createObjectURL(archive), download: "alloy-support-bundle.zip", "data-bytes": archive.size,
            }, `Download the support bundle (${bytes(archive.size)})`);
            progress.replaceChildren(anchor);
            anchor.click();
        } catch (error) {
            setText(progress, `No bundle: ${error.message}`);
        }
        clearInterval(tick);
        button.disabled = false;
    });
    let isGone = false;
    getJSON("api/v0/console/status").then((status) => {
        if (!isGone && !status.supportBundle) {
            area.replaceChildren(note("Support bundles are switched off", "Start the program without ",
                h("code", {}, "--server.http.disable-support-bundle"), " to make one."));
        }
    }, () => {});
    return () => { isGone = true; };
}
