// Numbers with units, and times as people read them.

const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];

function digits(value) {
    const size = Math.abs(value);
    return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

/** A count in few characters: 950, 1.25k, 36.4k. */
export function short(value) {
    if (!Number.isFinite(value)) return "\u2013";
    for (const [size, unit] of steps) if (Math.abs(value) >= size * 0.9995) return digits(value / size) + unit;
    return digits(value);
}

/** A count in full, digits in groups. */
export function full(value) {
    return Number.isFinite(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 3 }) : "\u2013";
}

/** Per second. */
export function rate(value) {
    if (!Number.isFinite(value)) return "\u2013";
    if (value > 0 && value < 0.01) return "<0.01/s";
    return short(value) + "/s";
}

export function bytes(value) {
    if (!Number.isFinite(value)) return "\u2013";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (Math.abs(value) >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit += 1;
    }
    return digits(unit === 0 ? Math.round(value) : value) + " " + units[unit];
}

/** A time span given in seconds. */
export function span(seconds) {
    if (!Number.isFinite(seconds)) return "\u2013";
    if (seconds < 1e-3) return digits(seconds * 1e6) + " \u00b5s";
    if (seconds < 1) return digits(seconds * 1e3) + " ms";
    if (seconds < 60) return digits(seconds) + " s";
    const whole = Math.floor(seconds);
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor(whole / 3600) % 24} h`;
}

/** Seconds of a Go duration such as 1m30.5s; NaN when it is none. */
export function parseSpan(text) {
    const sizes = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, "\u00b5s": 1e-6, ns: 1e-9 };
    let total = 0;
    let rest = text;
    while (rest !== "") {
        const match = /^([0-9.]+)(h|ms|m|s|us|\u00b5s|ns)/.exec(rest);
        if (!match) return text === "0" ? 0 : NaN;
        total += Number(match[1]) * sizes[match[2]];
        rest = rest.slice(match[0].length);
    }
    return total;
}

/** A moment in full, with its zone. */
export function absolute(milliseconds) {
    return new Date(milliseconds).toLocaleString("en-GB", {
        year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
        timeZoneName: "short",
    });
}

/** How long ago, coarsely. */
export function ago(milliseconds, now = Date.now()) {
    const seconds = (now - milliseconds) / 1000;
    if (seconds < -5) return "in " + span(Math.round(-seconds));
    if (seconds < 1.5) return "just now";
    if (seconds < 60) return `${Math.round(seconds)} s ago`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    return span(Math.floor(seconds)) + " ago";
}

/** What is planned: how long until then. */
export function ahead(milliseconds, now = Date.now()) {
    const seconds = (milliseconds - now) / 1000;
    return seconds < 1 ? "now" : "in " + span(Math.round(seconds));
}

/** `<moment-text at="MILLISECONDS">`: how long ago, or with `ahead` how long until then, kept current; the moment itself in
 * the tooltip. */
class MomentText extends HTMLElement {
    static observedAttributes = ["at"];
    static all = new Set();

    connectedCallback() {
        MomentText.all.add(this);
        this.refresh();
    }

    disconnectedCallback() { MomentText.all.delete(this); }

    attributeChangedCallback() { this.refresh(); }

    refresh() {
        const at = Number(this.getAttribute("at"));
        const text = at > 0 ? (this.hasAttribute("ahead") ? ahead : ago)(at) : "never";
        if (this.textContent !== text) this.textContent = text;
        const title = at > 0 ? absolute(at) : "";
        if (this.title !== title) this.title = title;
    }
}

customElements.define("moment-text", MomentText);
setInterval(() => { for (const element of MomentText.all) element.refresh(); }, 1000);
