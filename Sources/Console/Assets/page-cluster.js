// Who shares the work: as long as there is no clustering, this process alone.

import { h, note } from "./dom.js";
import { getJSON } from "./store.js";

export function clusterView(content) {
    const area = h("div", {}, h("p", { class: "waiting" }, "Loading"));
    content.append(h("h1", {}, "Cluster"), area);
    let isGone = false;
    const show = (...parts) => { if (!isGone) area.replaceChildren(...parts); };
    getJSON("api/v0/web/peers").then((peers) => show(
        h("p", {}, "This process works alone. Clustering is not available yet: ", h("code", {}, "clustering { enabled = true }"),
            " in a component changes nothing, and every target is scraped here. Run one process for each set of targets, or "
            + "divide them with ", h("code", {}, "hashmod"), " rules."),
        peers.length === 0 ? note("No peers", "The program names none, not even itself.") : table(peers)),
    (error) => show(note("The peers cannot be read", error.message)));
    return () => { isGone = true; };
}

function table(peers) {
    return h("div", { class: "scroll" }, h("table", { class: "rows" },
        h("thead", {}, h("tr", {}, ["Name", "Address", "State"].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, peers.map((peer) => h("tr", {},
            h("td", { class: "wrap" }, peer.name, peer.isSelf && h("span", { class: "kind" }, " this process")),
            h("td", { class: "wrap" }, h("code", {}, peer.addr)),
            h("td", {}, h("span", { class: `badge ${peer.state === "participant" ? "healthy" : ""}` }, peer.state)))))));
}
