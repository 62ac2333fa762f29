// How the health of a component has changed.

import { componentPath, h } from "./dom.js";
import { absolute } from "./format.js";
import { getJSON } from "./store.js";

/** A section; `load()` brings it up to date. */
export function healthHistory(id) {
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    const element = h("section", { "data-part": "health" }, h("h2", {}, "Health so far"), area);
    let drawn = "";
    const load = async () => {
        let changes;
        try {
            changes = await getJSON("api/v0/console/" + componentPath(id).replace("component/", "health/"));
        } catch (error) {
            if (drawn === "") area.replaceChildren(h("p", { class: "empty" }, `It cannot be read: ${error.message}`));
            return;
        }
        const text = JSON.stringify(changes);
        if (text === drawn) return;
        drawn = text;
        area.replaceChildren(changes.length === 0 ? h("p", { class: "empty" }, "Nothing was said of its health yet.")
            : h("div", { class: "scroll" }, h("table", { class: "rows health-history" },
                h("thead", {}, h("tr", {}, ["When", "State", "What it says"].map((title) => h("th", { scope: "col" }, title)))),
                h("tbody", {}, changes.map((change) => h("tr", {},
                    h("td", {}, h("moment-text", { at: change.time }), h("span", { class: "kind" }, ` ${absolute(change.time)}`)),
                    h("td", {}, h("span", { class: `badge ${change.state}` }, change.state)),
                    h("td", { class: "wrap" }, change.message)))))));
    };
    return { element, load };
}
