// What part of the graph the window shows, and how wheels, fingers and keys move it.

/** Moves `scene` within `element`. `onEmptyClick()` is called for a click beside everything and for Escape, `onFocus(id)`
 * when the keyboard reaches a node outside of the window. */
export class Camera {
    /** The width and height of the drawing. */
    size = { width: 0, height: 0 };
    #transform = { x: 0, y: 0, scale: 1 };

    constructor(element, scene, actions) {
        this.element = element;
        this.scene = scene;
        this.#listen(actions);
    }

    #apply() {
        const { x, y, scale } = this.#transform;
        this.scene.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${scale.toFixed(4)})`);
        this.element.classList.toggle("far", scale < 0.42);
    }

    zoom(factor, at) {
        const area = this.element.getBoundingClientRect();
        const point = at ?? { x: area.width / 2, y: area.height / 2 };
        const before = this.#transform;
        const scale = Math.min(2.5, Math.max(0.04, before.scale * factor));
        const ratio = scale / before.scale;
        this.#transform = { scale, x: point.x - (point.x - before.x) * ratio, y: point.y - (point.y - before.y) * ratio };
        this.#apply();
    }

    pan(dx, dy) {
        this.#transform.x += dx;
        this.#transform.y += dy;
        this.#apply();
    }

    /** Shows everything, but not smaller than `least`. */
    fit(least = 0) {
        const area = this.element.getBoundingClientRect();
        if (area.width === 0 || this.size.width === 0) return;
        const margin = area.width < 600 ? 14 : 32;
        const whole = Math.min((area.width - 2 * margin) / this.size.width, (area.height - 2 * margin) / this.size.height);
        const scale = Math.max(least, Math.min(1.15, whole));
        const [width, height] = [this.size.width * scale, this.size.height * scale];
        const isWide = area.width >= 600;
        this.#transform = {
            scale,
            x: width <= area.width - margin ? (area.width - width) / 2 : margin,
            y: height <= area.height - margin && isWide ? (area.height - height) / 2 : margin,
        };
        this.#apply();
    }

    /** Brings a point of the drawing to the middle, at a scale that can be read. */
    center(point) {
        const area = this.element.getBoundingClientRect();
        const scale = Math.max(this.#transform.scale, 0.7);
        this.#transform = { scale, x: area.width / 2 - point.x * scale, y: area.height / 2 - point.y * scale };
        this.#apply();
    }

    #listen({ onEmptyClick, onFocus }) {
        const pointers = new Map();
        let moved = 0;
        this.element.addEventListener("wheel", (event) => {
            event.preventDefault();
            const area = this.element.getBoundingClientRect();
            const step = event.deltaMode === 1 ? event.deltaY * 20 : event.deltaY;
            this.zoom(Math.exp(-step * 0.0016), { x: event.clientX - area.left, y: event.clientY - area.top });
        }, { passive: false });
        this.element.addEventListener("pointerdown", (event) => {
            pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
            moved = 0;
        });
        this.element.addEventListener("pointermove", (event) => {
            const last = pointers.get(event.pointerId);
            if (!last) return;
            const now = { x: event.clientX, y: event.clientY };
            moved += Math.hypot(now.x - last.x, now.y - last.y);
            if (moved < 4) return;
            if (!this.element.hasPointerCapture(event.pointerId)) this.element.setPointerCapture(event.pointerId);
            if (pointers.size === 1) this.pan(now.x - last.x, now.y - last.y);
            if (pointers.size === 2) {
                const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
                const ratio = Math.hypot(now.x - other.x, now.y - other.y) /
                    Math.max(1, Math.hypot(last.x - other.x, last.y - other.y));
                const area = this.element.getBoundingClientRect();
                this.zoom(ratio, { x: (now.x + other.x) / 2 - area.left, y: (now.y + other.y) / 2 - area.top });
            }
            pointers.set(event.pointerId, now);
        });
        for (const name of ["pointerup", "pointercancel"]) {
            this.element.addEventListener(name, (event) => pointers.delete(event.pointerId));
        }
        this.element.addEventListener("click", () => { if (moved < 4) onEmptyClick(); });
        this.element.addEventListener("keydown", (event) => {
            const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
            if (moves[event.key]) this.pan(...moves[event.key]);
            else if (event.key === "+" || event.key === "=") this.zoom(1.25);
            else if (event.key === "-") this.zoom(0.8);
            else if (event.key === "0") this.fit();
            else if (event.key === "Escape") onEmptyClick();
            else return;
            event.preventDefault();
        });
        this.element.addEventListener("focusin", (event) => {
            const node = event.target.closest?.(".node");
            if (!node || !node.matches(":focus-visible")) return;
            const [area, spot] = [this.element.getBoundingClientRect(), node.getBoundingClientRect()];
            if (spot.left < area.left || spot.right > area.right || spot.top < area.top || spot.bottom > area.bottom) {
                onFocus(node.dataset.id);
            }
        });
    }
}
