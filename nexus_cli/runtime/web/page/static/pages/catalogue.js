// The catalogue: what there is, whose it is, its class, and what it holds now.

import { fill, h } from '../lib/elements.js';
import { count, plain, reason, shell, unit, value } from '../lib/format.js';
import { classBadge, governance, labelWords, personalBadge } from '../lib/governance.js';
import { lineageTree } from '../lib/lineage_tree.js';
import { Notice, button, closer } from '../lib/notices.js';
import { VirtualRows } from '../lib/virtual_rows.js';
import { facts } from '../lib/widgets.js';

const TYPING_MS = 150;
const PAGE = 100;
const MOST = 1000;
const narrow = matchMedia('(max-width: 900px)');
const HEADS = ['Path', 'Value', 'Owner', 'Class', 'Labels'];

class Catalogue {
  constructor(root, ctx) {
    Object.assign(this, { ctx, hits: [], limit: PAGE, text: ctx.query.get('q') ?? '', values: new Map(), cells: new Map() });
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.detail = h('section', { class: 'detail', 'aria-label': 'Found', hidden: true });
    this.rows = new VirtualRows(h, { label: 'What was found, the best first', height: () => (narrow.matches ? 64 : 48), key: (each) => each.path, draw: (each) => this.drawRow(each), onSelect: (each) => this.show(each), rowClass: () => 'find-row' });
    const heads = h('div', { class: 'row-heads find-row', 'aria-hidden': 'true' }, HEADS.map((each) => h('span', {}, each)));
    fill(root, h('div', { class: 'page fill' }, this.tools(), this.notice.element, this.said,
      h('div', { class: 'with-detail' }, h('div', { class: 'device-table' }, heads, this.rows.root), this.detail)));
    this.watching = ctx.socket.watch([], (rows) => this.take(rows), { everyMs: 1000, onError: () => {} });
    ctx.asked = { q: this.text };
    ctx.onMoved = () => this.moved();
    this.ends = [ctx.onSite(() => this.ask())];
    this.ask();
    this.input.focus();
  }

  close() {
    clearTimeout(this.typing);
    this.asking?.abort();
    for (const end of this.ends) end();
    this.watching.stop();
    this.rows.close();
  }

  tools() {
    this.input = h('input', {
      type: 'search', value: this.text, placeholder: 'Words: path, description, unit, address, label, owner, class, pii', 'aria-label': 'Search the catalogue', spellcheck: 'false',
      oninput: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.search(this.input.value.trim()), TYPING_MS);
      },
      onkeydown: (event) => {
        if (event.key !== 'ArrowDown' || !this.hits.length) return;
        event.preventDefault();
        this.rows.root.focus();
        this.rows.select(this.rows.selected ?? this.hits[0].path);
      },
    });
    this.more = button('More', () => {
      this.limit = MOST;
      return this.ask();
    }, { hidden: true });
    return h('div', { class: 'toolbar' }, this.input, this.more);
  }

  search(text) {
    this.text = text;
    this.limit = PAGE;
    history.replaceState(null, '', text ? `#/catalogue?q=${encodeURIComponent(text)}` : '#/catalogue');
    this.ctx.asked = { q: text };
    this.ctx.twinChanged();
    return this.ask();
  }

  moved() {
    const text = this.ctx.query.get('q') ?? '';
    if (text === this.text) return;
    this.input.value = text;
    this.search(text);
  }

  async ask() {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    if (!this.text) {
      this.found({ hits: [], total: 0 });
      this.said.textContent = 'Type what you look for; all words must be found.';
      return;
    }
    try {
      const found = await this.ctx.api('/search', { query: { q: this.text, limit: this.limit }, signal: asking.signal });
      if (asking.signal.aborted) return;
      this.notice.show(null);
      this.found(found);
    } catch (error) {
      if (!asking.signal.aborted) this.notice.show(error, this.hits.length ? 'What is below is from before:' : '');
    }
  }

  found({ hits, total }) {
    this.hits = hits;
    this.cells.clear();
    this.rows.set(hits);
    this.more.hidden = hits.length >= total || this.limit >= MOST;
    this.said.textContent = total > hits.length ? `the best ${count(hits.length)} of ${count(total)}` : total ? `${count(total)} found` : 'Nothing found.';
    this.watching.paths(hits.filter((each) => each.kind === 'tag').map((each) => each.path));
    if (this.rows.selected !== null && !hits.some((each) => each.path === this.rows.selected)) this.rows.select(null);
  }

  take(rows) {
    for (const row of rows) {
      this.values.set(row[0], row);
      const cell = this.cells.get(row[0]);
      if (cell?.isConnected) showValue(cell, row, cell.dataset.unit);
      if (row[0] === this.rows.selected && this.now) showValue(this.now, row, this.now.dataset.unit);
    }
  }

  drawRow(hit) {
    const { path, kind, description, address, lineage, owner, classification, pii, labels } = hit;
    const cell = h('span', { class: 'find-value', dataset: { unit: hit.unit } });
    this.cells.set(path, cell);
    if (this.values.has(path)) showValue(cell, this.values.get(path), hit.unit);
    return [
      h('span', { class: 'find-path' }, h('strong', {}, plain(path)), h('span', { class: 'quiet find-more' }, plain([kind === 'tag' ? '' : kind, description, address || lineage].filter(Boolean).join(' · ')))),
      cell,
      h('span', { class: 'wide-only' }, plain(owner)),
      h('span', {}, classBadge(classification), personalBadge(pii)),
      h('span', { class: 'quiet wide-only' }, plain(labelWords(labels))),
    ];
  }

  show(hit) {
    this.reading?.abort();
    this.now = null;
    this.detail.hidden = hit === null;
    if (hit === null) return;
    const { path, kind, type, description, address, lineage, used_by: users = [] } = hit;
    this.now = kind === 'tag' ? h('span', { class: 'find-value', dataset: { unit: hit.unit } }) : null;
    if (this.now && this.values.has(path)) showValue(this.now, this.values.get(path), hit.unit);
    const more = h('div', {});
    fill(this.detail, closer(() => this.rows.select(null)), h('h2', { class: 'detail-topic' }, plain(path)), description ? h('p', {}, plain(description)) : null,
      facts([['Value', this.now], ['Type', plain(type)], ['Unit', unit(hit.unit)], ...governance(hit), ['Address', plain(address)], ['Comes from', plain(lineage)]]),
      users.length ? [h('h3', {}, 'Used by'), h('ul', {}, users.map((each) => h('li', {}, this.user(each))))] : null, more,
      h('p', {}, h('a', { href: `#/namespace/${this.ctx.pathOf(path)}` }, 'Open in the namespace')));
    if (kind === 'tag') this.readMore(path, more);
  }

  user(text) {
    const [kind, ...names] = text.split(' ');
    const name = names.join(' ');
    const where = { tag: `#/namespace/${this.ctx.pathOf(name)}`, alert: `#/alarms/${this.ctx.pathOf(name)}`, sequence: `#/sequences/of/${this.ctx.pathOf(name)}` }[kind];
    return [`${plain(kind)} `, where ? h('a', { href: where }, plain(name)) : plain(name)];
  }

  /** Its way from registers, who reads it, and its rules. */
  async readMore(path, into) {
    const reading = (this.reading = new AbortController());
    const ask = (where, query) => this.ctx.api(`/${where}/${this.ctx.pathOf(path)}`, { query, signal: reading.signal });
    try {
      const [card, events] = await Promise.all([ask('tags'), ask('lineage', { format: 'openlineage' })]);
      fill(into, facts([['Rules of quality', plain(card.quality)], ['Who reads it', card.readers.map(plain).join(', ')]]), h('h3', {}, 'Lineage'), lineageTree(this.ctx, events, path));
    } catch (error) {
      if (!reading.signal.aborted) fill(into, h('p', { class: 'failure' }, plain(error.message)));
    }
  }
}

function showValue(cell, [, given, quality, , why, label], itsUnit) {
  cell.textContent = value(given, label) + (itsUnit && given !== null ? ` ${unit(itsUnit)}` : '') + (quality === 'GOOD' ? '' : quality === 'BAD' ? ' ■' : ' ▲');
  cell.className = `find-value ${quality.toLowerCase()}`;
  cell.title = quality === 'GOOD' ? '' : `${quality}: ${reason(why)}`;
}

export const page = {
  id: 'catalogue',
  title: 'Catalogue',
  twin: ({ asked }) => `nexus find ${asked?.q ? shell(asked.q) : 'TEXT'}`,
  mount(root, ctx) {
    const made = new Catalogue(root, ctx);
    return () => made.close();
  },
};
