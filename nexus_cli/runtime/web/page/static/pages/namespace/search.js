// Search over everything that is declared: path, description, unit, PLC address, labels, names of codes.

import { fill, h, uniqueId } from '../../lib/elements.js';
import * as format from '../../lib/format.js';

const WAIT_MS = 70;
const LIMIT = 50;

/** What is more than internal, and what is about persons. */
const classWords = ({ classification, pii }) => [classification && classification !== 'internal' && classification, pii && 'personal data'];

/** A search field with its results. onOpen(path) when one is chosen; onActive(true) while results are shown. */
export class Search {
  constructor(ctx, { onOpen, onActive, onRange }) {
    Object.assign(this, { ctx, onOpen, onActive, onRange });
    const listId = uniqueId('hits');
    this.at = -1;
    this.hits = [];
    this.rows = new Map();
    this.input = h('input', {
      type: 'search',
      id: uniqueId('search'),
      placeholder: 'Search everything  ( / )',
      title: 'Path, description, unit, PLC address, labels and names of codes',
      autocomplete: 'off',
      spellcheck: 'false',
      role: 'combobox',
      'aria-expanded': 'false',
      'aria-controls': listId,
      'aria-label': 'Search tags and devices',
      'aria-keyshortcuts': '/',
      oninput: () => this._later(),
      onkeydown: (event) => this._key(event),
    });
    this.list = h('div', { class: 'hits', id: listId, role: 'listbox', 'aria-label': 'Search results', hidden: true, onclick: (event) => this._click(event) });
    this.said = h('p', { class: 'quiet hits-said', role: 'status', hidden: true });
    this.shortcut = (event) => {
      const tag = event.target.tagName;
      if (event.key !== '/' || event.ctrlKey || event.metaKey || tag === 'INPUT' || tag === 'TEXTAREA' || tag === 'SELECT') return;
      if (document.querySelector('dialog[open]')) return;
      event.preventDefault();
      this.input.focus();
      this.input.select();
    };
    document.addEventListener('keydown', this.shortcut);
  }

  destroy() {
    clearTimeout(this.timer);
    if (this.asking) this.asking.abort();
    document.removeEventListener('keydown', this.shortcut);
  }

  clear() {
    this.input.value = '';
    this._show(null);
  }

  /** Paths of the tags among the hits: they are watched. */
  get tags() {
    return this.hits.filter((each) => each.kind === 'tag').map((each) => each.path);
  }

  values(rows) {
    for (const row of rows) {
      const found = this.rows.get(row[0]);
      if (found) found(row);
    }
  }

  _later() {
    clearTimeout(this.timer);
    const text = this.input.value.trim();
    if (!text) {
      this._show(null);
      return;
    }
    this.timer = setTimeout(() => this._ask(text), WAIT_MS);
  }

  async _ask(text) {
    if (this.asking) this.asking.abort();
    const asking = new AbortController();
    this.asking = asking;
    try {
      const found = await this.ctx.api('/search', { query: { q: text, limit: LIMIT }, signal: asking.signal });
      if (!asking.signal.aborted) this._show(found);
    } catch (error) {
      if (asking.signal.aborted) return;
      this._show({ hits: [], total: 0 });
      this.said.textContent = format.plain(error.message);
    }
  }

  _show(found) {
    const open = found !== null;
    this.hits = open ? found.hits : [];
    this.at = -1;
    this.rows.clear();
    this.list.hidden = !open;
    this.said.hidden = !open;
    this.input.setAttribute('aria-expanded', String(open));
    this.input.removeAttribute('aria-activedescendant');
    fill(this.list, this.hits.map((hit, index) => this._hit(hit, index)));
    if (open) {
      const more = found.total > this.hits.length ? `the best ${this.hits.length} of ${format.count(found.total)}` : `${found.total} found`;
      this.said.textContent = found.total ? more : 'Nothing found.';
    }
    this.onActive(open);
    this.onRange();
  }

  _hit(hit, index) {
    const value = h('span', { class: 'hit-value' });
    if (hit.kind === 'tag') {
      this.rows.set(hit.path, ([, given, quality, , reason, label]) => {
        value.textContent = format.value(given, label) + (hit.unit && given !== null ? ` ${format.unit(hit.unit)}` : '');
        value.className = `hit-value ${quality.toLowerCase()}`;
        value.title = quality === 'GOOD' ? '' : `${quality}: ${format.reason(reason)}`;
      });
    }
    const labels = Object.entries(hit.labels || {}).map(([name, each]) => `${name}=${each}`);
    const where = hit.where || [];
    const more = [hit.description, hit.address, ...(where.includes('labels') ? labels : []), where.includes('owner') && `owner: ${hit.owner}`, ...classWords(hit)].filter(Boolean);
    return h(
      'div',
      { class: 'hit', role: 'option', id: `${this.list.id}-${index}`, 'aria-selected': 'false', dataset: { index } },
      h('div', { class: 'hit-path' }, format.plain(hit.path)),
      value,
      h('div', { class: 'hit-more quiet' }, hit.kind === 'tag' ? '' : `${hit.kind} · `, format.plain(more.join(' · '))),
    );
  }

  _click(event) {
    const element = event.target.closest('.hit');
    if (element) this.onOpen(this.hits[Number(element.dataset.index)].path);
  }

  _key(event) {
    if (event.key === 'Escape' && this.input.value) {
      event.preventDefault();
      this.clear();
      return;
    }
    if (this.list.hidden || !this.hits.length) return;
    if (event.key === 'ArrowDown') this._move(Math.min(this.hits.length - 1, this.at + 1));
    else if (event.key === 'ArrowUp') this._move(Math.max(0, this.at - 1));
    else if (event.key === 'Enter') this.onOpen(this.hits[Math.max(0, this.at)].path);
    else return;
    event.preventDefault();
  }

  _move(index) {
    if (this.at >= 0) this.list.children[this.at].setAttribute('aria-selected', 'false');
    this.at = index;
    const element = this.list.children[index];
    element.setAttribute('aria-selected', 'true');
    element.scrollIntoView({ block: 'nearest' });
    this.input.setAttribute('aria-activedescendant', element.id);
  }
}
