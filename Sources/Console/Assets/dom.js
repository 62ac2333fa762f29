// Elements from data. Text becomes text nodes and nothing is ever parsed as markup, so hostile names stay names.

const svgNamespace = "http://www.w3.org/2000/svg";

function build(element, properties, children) {
    for (const [name, value] of Object.entries(properties ?? {})) {
        if (value === undefined || value === null || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    append(element, children);
    return element;
}

function append(element, children) {
    for (const child of children) {
        if (child === undefined || child === null || child === false) continue;
        if (Array.isArray(child)) append(element, child);
        else element.append(child instanceof Node ? child : String(child));
    }
}

/** An HTML element: h("a", {href, class, onclick}, "text", element, ...). */
export function h(tag, properties, ...children) {
    return build(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function s(tag, properties, ...children) {
    return build(document.createElementNS(svgNamespace, tag), properties, children);
}

/** Sets the text of an element when it differs. */
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute when it differs; null removes it. */
export function setAttribute(element, name, value) {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A link inside the console; main.js takes the click. */
export function link(path, properties, ...children) {
    return h("a", { href: path === "" ? "./" : path, "data-view": true, ...properties }, ...children);
}

/** The path of a component's page. */
export function componentPath(id) {
    return "component/" + id.split("/").map(encodeURIComponent).join("/");
}

/** What stands where there is nothing: what that means and what to do. */
export function note(title, ...explanation) {
    return h("div", { class: "note" }, h("h2", {}, title), h("p", {}, ...explanation));
}
