// Small plots: lines over the last minutes, drawn anew at every update.

import { h, s, setAttribute, setText } from "./dom.js";

const width = 260;
const height = 64;

/** A plot with its title; `update(lines)` takes [{name, kind, points: [[time, value], ...]}]. */
export class Plot {
    #lines = [];

    constructor(title, format, { help = "" } = {}) {
        this.format = format;
        this.now = h("b");
        this.top = h("span", { class: "plot-top" });
        this.chart = s("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
            s("line", { class: "plot-base", x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }));
        this.element = h("figure", { class: "plot", title: help },
            h("figcaption", {}, h("span", {}, title), this.now), this.chart, this.top);
    }

    update(lines) {
        const all = lines.flatMap((line) => line.points).filter((point) => Number.isFinite(point[1]));
        const [start, stop] = [Math.min(...all.map((point) => point[0])), Math.max(...all.map((point) => point[0]))];
        const most = Math.max(0, ...all.map((point) => point[1]));
        const lowest = Math.min(0, ...all.map((point) => point[1]));
        const range = most - lowest || 1;
        while (this.#lines.length < lines.length) {
            const path = s("path", {});
            const title = s("title", {});
            path.append(title);
            this.chart.append(path);
            this.#lines.push({ path, title });
        }
        for (const [index, { path, title }] of this.#lines.entries()) {
            const line = lines[index];
            if (!line) {
                path.setAttribute("d", "");
                continue;
            }
            setAttribute(path, "class", `plot-line ${line.kind ?? ""}`);
            setText(title, line.name);
            let d = "";
            for (const [time, value] of line.points) {
                if (!Number.isFinite(value)) continue;
                const x = stop > start ? (time - start) / (stop - start) * width : width;
                const y = height - 2 - (value - lowest) / range * (height - 6);
                d += `${d === "" ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
            }
            path.setAttribute("d", d);
        }
        const latest = lines.map((line) => line.points[line.points.length - 1]?.[1]).filter(Number.isFinite);
        setText(this.now, latest.length === 0 ? "\u2013" : latest.slice(0, 2).map(this.format).join(" / "));
        setText(this.top, all.length > 1 ? `max ${this.format(most)}, ${Math.round((stop - start) / 1000)} s` : "");
    }
}
