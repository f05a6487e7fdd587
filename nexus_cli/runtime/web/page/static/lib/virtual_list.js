// A list of which only the rows in view are in the document.

const SPARE = 6;

/** rowHeight: in px. make(item) -> {element, update?()}; keyOf(item): equal for the same row. */
export class VirtualList {
  constructor(box, { rowHeight, make, keyOf, onRange = () => {} }) {
    Object.assign(this, { box, rowHeight, make, keyOf, onRange });
    this.items = [];
    this.shown = new Map();
    this.space = document.createElement('div');
    this.space.className = 'virtual-space';
    this.space.setAttribute('role', 'presentation');
    box.append(this.space);
    this.first = 0;
    this.last = 0;
    this.scrolled = () => this._draw();
    box.addEventListener('scroll', this.scrolled, { passive: true });
    this.sized = new ResizeObserver(() => this._draw());
    this.sized.observe(box);
  }

  destroy() {
    this.box.removeEventListener('scroll', this.scrolled);
    this.sized.disconnect();
  }

  set(items) {
    this.items = items;
    this.space.style.height = `${items.length * this.rowHeight}px`;
    this._draw(true);
  }

  /** The items in view, without the spare ones. */
  visible() {
    const from = Math.floor(this.box.scrollTop / this.rowHeight);
    const count = Math.ceil(this.box.clientHeight / this.rowHeight) + 1;
    return this.items.slice(from, from + count);
  }

  /** Scrolls so far that a row is in view; `centred`: into the middle, unless it is in view already. */
  show(index, { centred = false } = {}) {
    const top = index * this.rowHeight;
    const height = this.box.clientHeight;
    const outside = top < this.box.scrollTop || top + this.rowHeight > this.box.scrollTop + height;
    if (centred && outside) this.box.scrollTop = top - height / 2;
    else if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + this.rowHeight > this.box.scrollTop + height) this.box.scrollTop = top + this.rowHeight - height;
    this._draw();
  }

  row(key) {
    return this.shown.get(key);
  }

  _draw(refresh = false) {
    const height = this.box.clientHeight;
    if (!height) return;
    const first = Math.max(0, Math.floor(this.box.scrollTop / this.rowHeight) - SPARE);
    const last = Math.min(this.items.length, Math.ceil((this.box.scrollTop + height) / this.rowHeight) + SPARE);
    if (!refresh && first === this.first && last === this.last) return;
    this.first = first;
    this.last = last;
    const wanted = new Set();
    for (let at = first; at < last; at += 1) wanted.add(this.keyOf(this.items[at]));
    for (const [key, row] of this.shown) {
      if (!wanted.has(key)) {
        row.element.remove();
        this.shown.delete(key);
      }
    }
    for (let at = first; at < last; at += 1) {
      const item = this.items[at];
      const key = this.keyOf(item);
      let row = this.shown.get(key);
      if (!row) {
        row = this.make(item);
        this.shown.set(key, row);
        this.space.append(row.element);
      } else if (refresh && row.update) row.update(item);
      row.element.style.transform = `translateY(${at * this.rowHeight}px)`;
    }
    this.onRange();
  }
}
