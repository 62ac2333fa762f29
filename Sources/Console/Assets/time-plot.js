// A plot of several lines over time, with axes and a readout under the pointer.

import { h, s } from "./dom.js";
import { short } from "./format.js";

const width = 1000;
const height = 320;
const left = 64;
const bottom = 26;
const colours = 8;

/** The class that colours the line at `place`. */
export function colourClass(place) { return `line-${place % colours}`; }

/** Round steps: about `count` of them from `low` to `high`. */
function steps(low, high, count) {
    const rough = (high - low) / count || 1;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * size).find((one) => one >= rough) ?? rough;
    const values = [];
    for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) values.push(value);
    return values;
}

function clock(time) { return new Date(time).toTimeString().slice(0, 8); }

export class TimePlot {
    #lines = [];
    #start = 0;
    #end = 1;
    #low = 0;
    #high = 1;
    #unit = "";

    constructor() {
        this.grid = s("g", { class: "grid" });
        this.paths = s("g", {});
        this.cursor = s("line", { class: "cursor", y1: 0, y2: height - bottom, visibility: "hidden" });
        this.chart = s("svg", {
            viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Plot of the series below",
            onpointermove: (event) => this.#point(event), onpointerleave: () => this.#leave(),
        }, this.grid, this.paths, this.cursor);
        this.readout = h("p", { class: "readout", "aria-live": "off" }, "\u00a0");
        this.element = h("figure", { class: "time-plot" }, this.chart, this.readout);
    }

    #x(time) { return left + (time - this.#start) / (this.#end - this.#start) * (width - left); }

    #y(value) { return height - bottom - (value - this.#low) / (this.#high - this.#low) * (height - bottom - 8); }

    /** Draws lines of {name, place, points: [[time, value or null], ...]} between two moments. */
    draw(lines, start, end, unit) {
        [this.#lines, this.#start, this.#end, this.#unit] = [lines, start, end, unit];
        const values = lines.flatMap((line) => line.points.map((point) => point[1])).filter((value) => value !== null);
        this.#low = values.reduce((low, value) => Math.min(low, value), 0);
        this.#high = values.reduce((high, value) => Math.max(high, value), this.#low);
        if (this.#high === this.#low) this.#high = this.#low + 1;
        this.#drawGrid();
        this.paths.replaceChildren(...lines.map((line) => s("path", {
            class: `plot-line ${colourClass(line.place)}`, d: this.#path(line.points),
        }, s("title", {}, line.name))));
    }

    #path(points) {
        let d = "";
        let isDown = false;
        for (const [time, value] of points) {
            if (value === null) {
                isDown = false;
                continue;
            }
            d += `${isDown ? "L" : "M"}${this.#x(time).toFixed(1)} ${this.#y(value).toFixed(1)}`;
            // A sample alone is a dot.
            if (!isDown) d += "h0.1";
            isDown = true;
        }
        return d;
    }

    #drawGrid() {
        const parts = [];
        for (const value of steps(this.#low, this.#high, 5)) {
            const y = this.#y(value);
            parts.push(s("line", { x1: left, x2: width, y1: y, y2: y }),
                s("text", { x: left - 8, y: y + 4, class: "value" }, short(value) + this.#unit));
        }
        for (let index = 0; index <= 4; index += 1) {
            const time = this.#start + (this.#end - this.#start) * index / 4;
            const anchor = index === 4 ? "last" : index === 0 ? "first" : "middle";
            parts.push(s("text", { x: this.#x(time), y: height - 6, class: anchor }, clock(time)));
        }
        this.grid.replaceChildren(...parts);
    }

    #point(event) {
        const box = this.chart.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width * width;
        const time = this.#start + (x - left) / (width - left) * (this.#end - this.#start);
        const near = this.#lines.map((line) => {
            const point = line.points.reduce((best, one) => one[1] !== null
                && (!best || Math.abs(one[0] - time) < Math.abs(best[0] - time)) ? one : best, null);
            return { line, point };
        }).filter((one) => one.point);
        if (near.length === 0 || x < left) return this.#leave();
        this.cursor.setAttribute("x1", x);
        this.cursor.setAttribute("x2", x);
        this.cursor.setAttribute("visibility", "visible");
        near.sort((a, b) => b.point[1] - a.point[1]);
        const parts = near.slice(0, 6).map(({ line, point }) => `${line.name} ${short(point[1])}${this.#unit}`);
        if (near.length > 6) parts.push(`${near.length - 6} more`);
        this.readout.textContent = `${clock(time)}  ${parts.join("   ")}`;
    }

    #leave() {
        this.cursor.setAttribute("visibility", "hidden");
        this.readout.textContent = "\u00a0";
    }
}
