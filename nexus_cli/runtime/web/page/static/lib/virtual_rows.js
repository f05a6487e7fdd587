// A list of any length that has elements for its visible rows alone.

const EXTRA = 6; // rows above and below the visible ones

/**
 * Rows of one height in a box that scrolls; a listbox for the keyboard.
 *
 * `draw(item)` gives a row's children. Items are compared by identity: an item that is the same object is not drawn again.
 */
export class VirtualRows {
  /**
   * @param {Function} h The page's maker of elements.
   * @param {object} options `{label, height, key(item), draw(item), onSelect(item | null), rowClass?(item), marked?(key), onMark?(item)}`; `height` in px.
   *   With `marked` rows can be marked: by Space, and by a click on `.mark` in a row; call `draw` after `marked` says something else.
   */
  constructor(h, options) {
    this.options = options;
    this.items = [];
    this.selected = null; // key
    this.pool = new Map(); // index -> {row, item, chosen}
    this.h = h;
    this.inner = h('div', { class: 'rows-inner' });
    this.root = h('div', { class: 'rows', role: 'listbox', tabindex: '0', 'aria-label': options.label }, this.inner);
    this.id = `rows-${Math.random().toString(36).slice(2, 8)}`;
    this.root.addEventListener('scroll', () => this.soon(), { passive: true });
    this.root.addEventListener('keydown', (event) => this.onKey(event));
    this.root.addEventListener('click', (event) => this.onClick(event));
    this.observer = new ResizeObserver(() => this.soon());
    this.observer.observe(this.root);
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame ?? 0);
  }

  /** Show items; `added` of them came in front, and what is looked at stays where it is. */
  set(items, { added = 0 } = {}) {
    this.items = items;
    this.inner.style.height = `${items.length * this.height}px`;
    if (added && this.root.scrollTop > this.height) this.root.scrollTop += added * this.height;
    this.draw();
  }

  get height() {
    return typeof this.options.height === 'function' ? this.options.height() : this.options.height;
  }

  soon() {
    cancelAnimationFrame(this.frame ?? 0);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const height = this.height;
    if (height !== this.drawnHeight) this.inner.style.height = `${this.items.length * height}px`;
    const first = Math.max(0, Math.floor(this.root.scrollTop / height) - EXTRA);
    const last = Math.min(this.items.length, Math.ceil((this.root.scrollTop + this.root.clientHeight) / height) + EXTRA);
    for (const [index, kept] of this.pool) {
      if (index < first || index >= last) {
        kept.row.remove();
        this.pool.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) this.drawRow(index, height);
    this.drawnHeight = height;
    this.activate();
  }

  drawRow(index, height) {
    const item = this.items[index];
    const chosen = this.options.key(item) === this.selected;
    let kept = this.pool.get(index);
    if (!kept) {
      kept = { row: this.h('div', { class: 'row', role: 'option', id: `${this.id}-${index}` }), item: null };
      this.pool.set(index, kept);
      this.inner.append(kept.row);
    }
    const { row } = kept;
    row.style.transform = `translateY(${index * height}px)`;
    row.style.height = `${height}px`;
    row.setAttribute('aria-posinset', String(index + 1));
    row.setAttribute('aria-setsize', String(this.items.length));
    if (kept.item !== item) {
      row.replaceChildren(...this.options.draw(item));
      row.className = `row ${this.options.rowClass?.(item) ?? ''}`;
    }
    row.setAttribute('aria-selected', String(chosen));
    if (this.options.marked) row.setAttribute('aria-checked', String(this.options.marked(this.options.key(item))));
    kept.item = item;
  }

  activate() {
    const index = this.indexOfSelected();
    if (index >= 0 && this.pool.has(index)) this.root.setAttribute('aria-activedescendant', `${this.id}-${index}`);
    else this.root.removeAttribute('aria-activedescendant');
  }

  indexOfSelected() {
    return this.selected === null ? -1 : this.items.findIndex((item) => this.options.key(item) === this.selected);
  }

  /** Choose an item by its key; null chooses none. */
  select(key, { show = true } = {}) {
    this.selected = key;
    const index = this.indexOfSelected();
    if (index >= 0 && show) this.reveal(index);
    this.draw();
    this.options.onSelect?.(index >= 0 ? this.items[index] : null);
  }

  reveal(index) {
    const { height, root } = this;
    if (index * height < root.scrollTop) root.scrollTop = index * height;
    else if ((index + 1) * height > root.scrollTop + root.clientHeight) {
      root.scrollTop = (index + 1) * height - root.clientHeight;
    }
  }

  onClick(event) {
    const row = event.target.closest('.row');
    if (!row || event.target.closest('button, a, input, select')) return;
    const index = Number(row.getAttribute('aria-posinset')) - 1;
    if (this.items[index] === undefined) return;
    if (event.target.closest('.mark')) this.options.onMark?.(this.items[index]);
    else this.select(this.options.key(this.items[index]), { show: false });
  }

  onKey(event) {
    if (event.key === 'Escape' && this.selected !== null) {
      this.select(null);
      return;
    }
    if (event.key === ' ' && event.target === this.root && this.options.onMark && this.indexOfSelected() >= 0) {
      event.preventDefault();
      this.options.onMark(this.items[this.indexOfSelected()]);
      return;
    }
    const page = Math.max(1, Math.floor(this.root.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.target !== this.root || !(event.key in moves) || !this.items.length) return;
    event.preventDefault();
    const from = this.indexOfSelected();
    const wanted = from < 0 ? 0 : Math.min(this.items.length - 1, Math.max(0, from + moves[event.key]));
    this.select(this.options.key(this.items[wanted]));
  }
}
