// The tree on the screen: an ARIA tree that arrow keys walk through, with values that move.

import { fill, h, setText } from '../../lib/elements.js';
import * as format from '../../lib/format.js';
import { VirtualList } from '../../lib/virtual_list.js';

/** A finger needs more room than a pointer. */
const ROW_PX = matchMedia('(pointer: coarse)').matches ? 42 : 32;
const SIGNS = { GOOD: '●', UNCERTAIN: '▲', BAD: '■' };
const TYPED_MS = 700;

export class TreeView {
  /** tree: a `Tree`; live: a `Live`; onSelect(place) when one is chosen. */
  constructor(tree, live, { onSelect, onRange }) {
    Object.assign(this, { tree, live, onSelect });
    this.active = null;
    this.selected = '';
    this.flashed = new Set();
    this.typed = '';
    this.box = h('div', {
      class: 'tree',
      role: 'tree',
      tabIndex: 0,
      style: { '--row': `${ROW_PX}px` },
      'aria-label': 'Namespace',
      onkeydown: (event) => this._key(event),
      onclick: (event) => this._click(event),
      onfocus: () => this._activate(this.active || this.tree.rows[0], false),
    });
    this.list = new VirtualList(this.box, {
      rowHeight: ROW_PX,
      make: (place) => this._row(place),
      keyOf: (place) => place.path,
      onRange,
    });
  }

  destroy() {
    this.list.destroy();
  }

  /** Rows are others now. */
  redraw() {
    if (this.active && !this.tree.known.has(this.active.path)) this.active = null;
    this.list.set(this.tree.rows);
    this._describeActive();
  }

  select(path, { scroll = true } = {}) {
    this.selected = path;
    const place = this.tree.known.get(path);
    if (place) {
      this.active = place;
      const at = this.tree.rows.indexOf(place);
      this.list.set(this.tree.rows);
      if (scroll && at >= 0) this.list.show(at, { centred: true });
    } else this.list.set(this.tree.rows);
    this._describeActive();
  }

  focus() {
    this.box.focus();
  }

  /** New values: what changed is marked until the next batch. */
  values(rows) {
    for (const each of this.flashed) each.classList.remove('changed');
    this.flashed.clear();
    for (const row of rows) {
      const shown = this.list.row(row[0]);
      if (shown && shown.value(row)) {
        shown.cell.classList.add('changed');
        this.flashed.add(shown.cell);
      }
    }
    clearTimeout(this.unflash);
    this.unflash = setTimeout(() => {
      for (const each of this.flashed) each.classList.remove('changed');
      this.flashed.clear();
    }, 400);
  }

  counts(counts) {
    for (const [path, [good, uncertain, bad]] of Object.entries(counts)) {
      const place = this.tree.known.get(path);
      if (place) place.counts = { GOOD: good, UNCERTAIN: uncertain, BAD: bad };
      const shown = this.list.row(path);
      if (shown && shown.counts) shown.counts(place);
    }
  }

  _row(place) {
    return place.leaf ? this._tagRow(place) : this._branchRow(place);
  }

  _shell(place, ...content) {
    const element = h(
      'div',
      {
        class: `place ${place.kind}`,
        role: 'treeitem',
        id: `tree-${place.path}`,
        dataset: { path: place.path },
        'aria-level': place.depth + 1,
        'aria-posinset': place.position,
        'aria-setsize': place.size,
        title: place.description ? format.plain(place.description) : null,
        style: { '--depth': place.depth },
      },
      content,
    );
    const update = (now) => {
      element.setAttribute('aria-selected', String(now.path === this.selected));
      if (!now.leaf) element.setAttribute('aria-expanded', String(now.open));
      element.classList.toggle('active', now === this.active);
      element.classList.toggle('off', now.enabled === false);
      element.classList.toggle('loading', Boolean(now.loading));
    };
    update(place);
    return { element, update };
  }

  _tagRow(place) {
    const text = h('span', { class: 'row-value' });
    const sign = h('span', { class: 'row-sign', 'aria-hidden': 'true' });
    const word = h('span', { class: 'unseen' });
    const cell = h('span', { class: 'row-cell' }, text, sign, word);
    const shell = this._shell(place, h('span', { class: 'twisty' }), h('span', { class: 'row-name' }, format.plain(place.name)), cell);
    let last = '';
    const value = (row) => {
      const [, given, quality, , reason, label] = row;
      const unit = place.unit && given !== null ? ` ${format.unit(place.unit)}` : '';
      const shown = format.value(given, label) + unit;
      const now = `${shown}\t${quality}`;
      if (now === last) return false;
      const first = last === '';
      last = now;
      setText(text, shown);
      setText(sign, SIGNS[quality] || '?');
      setText(word, ` ${quality}`);
      cell.className = `row-cell ${quality.toLowerCase()}`;
      cell.title = quality === 'GOOD' ? '' : `${quality}: ${format.reason(reason)}`;
      return !first;
    };
    const known = this.live.values.get(place.path);
    if (known) value(known);
    return { ...shell, cell, value };
  }

  _branchRow(place) {
    const cell = h('span', { class: 'row-counts' });
    const shell = this._shell(
      place,
      h('span', { class: 'twisty', 'aria-hidden': 'true' }),
      h('span', { class: 'row-name' }, format.plain(place.name), place.enabled === false ? h('span', { class: 'quiet' }, ' (off)') : null),
      cell,
    );
    const counts = (now) => fill(cell, countParts(now));
    counts(place);
    return { ...shell, counts, update: shell.update };
  }

  _click(event) {
    const element = event.target.closest('.place');
    if (!element) return;
    const place = this.tree.known.get(element.dataset.path);
    if (!place) return;
    this._activate(place);
    if (event.target.closest('.twisty') && !place.leaf) this._toggle(place);
    else {
      if (!place.leaf && !place.open) this.tree.open(place);
      else if (!place.leaf && place.path === this.selected) this.tree.close(place);
      this.onSelect(place);
    }
  }

  _toggle(place) {
    if (place.open) this.tree.close(place);
    else this.tree.open(place);
  }

  _activate(place, scroll = true) {
    if (!place) return;
    this.active = place;
    const at = this.tree.rows.indexOf(place);
    if (scroll && at >= 0) this.list.show(at);
    for (const row of this.list.shown.values()) row.element.classList.toggle('active', row.element.dataset.path === place.path);
    this._describeActive();
  }

  _describeActive() {
    if (this.active) this.box.setAttribute('aria-activedescendant', `tree-${this.active.path}`);
    else this.box.removeAttribute('aria-activedescendant');
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = this.tree.rows;
    const at = this.active ? rows.indexOf(this.active) : -1;
    const to = (index) => this._activate(rows[Math.max(0, Math.min(rows.length - 1, index))]);
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
    const moves = {
      ArrowDown: () => to(at + 1),
      ArrowUp: () => to(at - 1),
      Home: () => to(0),
      End: () => to(rows.length - 1),
      PageDown: () => to(at + page),
      PageUp: () => to(at - page),
      ArrowRight: () => {
        if (!this.active || this.active.leaf) return;
        if (!this.active.open) this.tree.open(this.active);
        else to(at + 1);
      },
      ArrowLeft: () => {
        if (!this.active) return;
        if (this.active.open && !this.active.leaf) this.tree.close(this.active);
        else if (this.active.parent && this.active.parent.depth >= 0) this._activate(this.active.parent);
      },
      Enter: () => this.active && this.onSelect(this.active),
      ' ': () => this.active && this.onSelect(this.active),
    };
    const move = moves[event.key];
    if (move) {
      event.preventDefault();
      this.typed = '';
      move();
    } else if (event.key.length === 1 && event.key !== '/') this._typeAhead(event.key, at);
  }

  _typeAhead(sign, at) {
    const now = performance.now();
    this.typed = now - (this.typedAt || 0) > TYPED_MS ? sign : this.typed + sign;
    this.typedAt = now;
    if (this._jump(this.typed, at) || this.typed.length === 1) return;
    this.typed = sign;
    this._jump(sign, at);
  }

  /** Goes to the next name that begins so; one sign goes on from the row behind. */
  _jump(typed, at) {
    const rows = this.tree.rows;
    const from = Math.max(0, typed.length > 1 ? at : at + 1);
    for (let step = 0; step < rows.length; step += 1) {
      const place = rows[(from + step) % rows.length];
      if (place.name.toLowerCase().startsWith(typed.toLowerCase())) {
        this._activate(place);
        return true;
      }
    }
    return false;
  }
}

function countParts(place) {
  const counts = place.counts || {};
  const parts = [];
  if (counts.BAD) parts.push(h('span', { class: 'count bad', title: 'BAD or without a value' }, '■ ', format.count(counts.BAD), h('span', { class: 'unseen' }, ' BAD')));
  if (counts.UNCERTAIN) parts.push(h('span', { class: 'count uncertain', title: 'UNCERTAIN' }, '▲ ', format.count(counts.UNCERTAIN), h('span', { class: 'unseen' }, ' UNCERTAIN')));
  parts.push(h('span', { class: 'count total', title: 'tags' }, format.count(place.tags || 0), h('span', { class: 'unseen' }, ' tags')));
  return parts;
}
