// The targets that rules dropped before they were scraped: which rule, of which component.

import { componentPath, h, link } from "./dom.js";
import { full } from "./format.js";
import { getJSON } from "./store.js";
import { labelList } from "./target-detail.js";

/** A section that asks when it is opened: finding out runs every rule on every target. */
export function droppedTargets() {
    const area = h("div");
    const load = async () => {
        again.disabled = true;
        try {
            area.replaceChildren(...parts(await getJSON("api/v0/console/targets/dropped")));
        } catch (error) {
            area.replaceChildren(h("p", { class: "error" }, `The dropped targets cannot be read: ${error.message}`));
        }
        again.disabled = false;
    };
    const again = h("button", { type: "button", onclick: load }, "Look again");
    const section = h("details", {
        class: "pool dropped", ontoggle: () => { if (section.open && area.children.length === 0) load(); },
    }, h("summary", {}, h("b", {}, "Dropped targets")), h("p", { class: "tools" }, again,
        h("span", { class: "kind" }, "Targets that relabel rules keep from being scraped, as the rules stand now.")), area);
    return section;
}

function parts(answer) {
    if (answer.total === 0) {
        return [h("p", { class: "empty" }, "No rule drops a target now. If one is missing, the discovery has not found it: look at "
            + "the exports of the discovery component.")];
    }
    const shown = answer.sources.reduce((sum, source) => sum + source.items.length, 0);
    return [
        h("p", {}, `${full(answer.total)} dropped`, shown < answer.total && `, the first ${full(shown)} are shown`),
        ...answer.sources.map((source) => h("section", { class: "dropped-by" },
            h("h3", {}, link(componentPath(source.component), {}, source.component), source.job && ` ${source.job}`,
                `: ${full(source.total)}`),
            source.items.length > 0 && h("div", { class: "scroll" }, h("table", { class: "rows targets" },
                h("thead", {}, h("tr", {}, ["Rule", "Labels before the rules"].map((title) => h("th", { scope: "col" }, title)))),
                h("tbody", {}, source.items.map((item) => h("tr", {},
                    h("td", { class: "wrap" }, `rule ${item.number}: `, h("code", {}, item.rule)),
                    h("td", {}, labelList(item.labels))))))))),
    ];
}
