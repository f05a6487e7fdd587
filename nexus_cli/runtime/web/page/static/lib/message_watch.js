// The message centre's watching: views by priority, filters with their ring buffers, and the messages of those chosen.

import { fill, h, setText } from './elements.js';
import { age, count, plain } from './format.js';
import { clock, rate } from './figures.js';
import { MessageDetail } from './message_detail.js';
import { KEPT, MOST_FILTERS, MessageStore } from './message_store.js';
import { Notice } from './notices.js';
import { VirtualRows } from './virtual_rows.js';

const EVERY_MS = 250;
const RATES_MS = 1000;
const PRIORITIES = 6;
const narrow = matchMedia('(max-width: 700px)');

/** Everything about watching; `close()` ends it. */
export class MessageWatch {
  constructor(ctx, { onTwin }) {
    Object.assign(this, { ctx, onTwin });
    this.store = new MessageStore();
    this.subscriptions = new Map(); // filter -> {stop, change}
    this.entries = new Map(); // filter -> {element, choice, figures}
    this.shown = new Set(); // filters whose messages are listed
    this.paused = null; // the list as it was when it was held
    this.byTopic = false;
    this.search = '';
    this.notice = new Notice();
    this.detail = new MessageDetail({ onClose: () => this.rows.select(null) });
    this.build();
    this.timer = setInterval(() => this.refresh(), EVERY_MS);
  }

  close() {
    clearInterval(this.timer);
    for (const each of this.subscriptions.values()) each.stop();
    this.rows.close();
  }

  // --- what is on the page ---------------------------------------------------------------------------------------------

  build() {
    this.rows = new VirtualRows(h, {
      label: 'Messages, the newest first', height: () => (narrow.matches ? 52 : 30), key: (item) => item.key,
      draw: (item) => this.drawRow(item), onSelect: (item) => this.show(item?.last ?? item),
    });
    this.views = h('div', { class: 'views' });
    this.list = h('ul', { class: 'filters', 'aria-label': 'Watched filters' });
    this.facts = h('p', { class: 'quiet said', role: 'status' });
    this.hold = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => this.pause() }, 'Pause');
    this.element = h('div', { class: 'centre' },
      h('aside', { class: 'centre-side', 'aria-label': 'What is watched' }, this.views, this.adder(), this.list),
      h('div', { class: 'centre-main' }, this.tools(), this.notice.element, this.facts, this.rows.root),
      this.detail.element);
  }

  show(message) {
    this.detail.show(message);
    if (message && narrow.matches) this.detail.element.scrollIntoView({ block: 'nearest' });
  }

  adder() {
    const input = h('input', {
      type: 'text', name: 'filter', placeholder: `${this.ctx.site}/#`, 'aria-label': 'MQTT filter', autocomplete: 'off', spellcheck: 'false',
    });
    const add = (event) => {
      event.preventDefault();
      const filter = input.value.trim();
      if (filter && this.watch(filter)) this.choose([filter]);
      input.value = '';
    };
    return h('form', { class: 'adder', onsubmit: add }, input, h('button', { type: 'submit' }, 'Watch'));
  }

  tools() {
    const search = h('input', {
      type: 'search', placeholder: 'Search topic and payload', 'aria-label': 'Search messages', spellcheck: 'false',
      oninput: () => this.find(search.value),
    });
    const mode = (title, byTopic) => h('button', {
      type: 'button', class: 'choice', 'aria-pressed': String(this.byTopic === byTopic), dataset: { mode: title },
      onclick: () => this.swap(byTopic),
    }, title);
    this.modes = [mode('Messages', false), mode('Topics', true)];
    return h('div', { class: 'toolbar' }, h('div', { class: 'choices', role: 'group', 'aria-label': 'Show' }, ...this.modes), search, this.hold);
  }

  drawRow(item) {
    if (this.byTopic) {
      return [h('span', { class: 'cell-topic' }, plain(item.topic)), h('span', { class: 'cell-number' }, rate(item.rate)),
        h('span', { class: 'cell-number' }, count(item.count)), h('span', { class: 'cell-time' }, age(item.last.receivedUs)),
        h('span', { class: 'cell-brief' }, item.last.retained ? badge('retained') : null, plain(item.last.brief))];
    }
    return [h('span', { class: 'cell-time' }, clock(item.receivedUs)), h('span', { class: 'cell-topic' }, plain(item.topic)),
      h('span', { class: 'cell-brief' }, item.retained ? badge('retained') : null, plain(item.brief))];
  }

  // --- views and filters -----------------------------------------------------------------------------------------------

  /** The site's views; those of the first priority are watched at once. */
  offer(views) {
    const groups = [];
    for (let priority = 1; priority <= PRIORITIES; priority += 1) {
      const mine = views.filter((each) => each.priority === priority);
      if (mine.length) groups.push(this.group(priority, mine));
    }
    fill(this.views, h('h2', {}, 'Views'),
      groups.length ? groups : [h('p', { class: 'quiet' }, 'The site declares none (', h('code', {}, 'views:'), ').'), this.everything()]);
    const first = views.length ? Math.min(...views.map((each) => each.priority)) : 0;
    const begin = views.filter((each) => each.priority === first);
    if (begin.length && !this.shown.size) for (const each of begin) this.open(each, begin);
  }

  everything() {
    const all = `${this.ctx.site}/#`;
    return h('button', { type: 'button', onclick: () => this.watch(all) && this.choose([all]) }, 'Watch the whole site');
  }

  group(priority, views) {
    const buttons = views.map((view) => h('button', {
      type: 'button', class: 'view', title: plain([view.description, ...view.filters].filter(Boolean).join('\n')),
      dataset: { view: view.name }, onclick: () => this.open(view),
    }, plain(view.name)));
    return h('div', { class: 'priority' }, h('span', { class: 'priority-number', title: `Priority ${priority}` }, String(priority)), ...buttons);
  }

  open(view, together = [view]) {
    for (const filter of view.filters) this.watch(filter);
    this.choose(together.flatMap((each) => each.filters));
  }

  /** Begin to watch a filter. */
  watch(filter) {
    if (this.store.filters.has(filter)) return true;
    if (!this.store.open(filter)) {
      this.notice.show(`${MOST_FILTERS} filters are watched already; end one of them.`);
      return false;
    }
    this.subscriptions.set(filter, this.ctx.socket.topics(filter, (answer) => this.store.take(filter, answer), {
      everyMs: EVERY_MS, keep: KEPT, onError: (error) => this.failed(filter, error),
    }));
    this.shown.add(filter);
    return true;
  }

  failed(filter, error) {
    const kept = this.store.filters.get(filter);
    if (kept) kept.error = error;
    this.store.changes += 1;
    this.notice.show(error, `${plain(filter)}:`);
  }

  choose(filters) {
    this.shown = new Set(filters.filter((each) => this.store.filters.has(each)));
    this.begin();
  }

  drop(filter) {
    this.subscriptions.get(filter)?.stop();
    this.subscriptions.delete(filter);
    this.shown.delete(filter);
    this.store.close(filter);
    this.notice.show(null);
    this.begin();
  }

  // --- searching, pausing, showing --------------------------------------------------------------------------------------

  find(text) {
    this.search = text.trim();
    this.begin();
  }

  swap(byTopic) {
    this.byTopic = byTopic;
    for (const each of this.modes) each.setAttribute('aria-pressed', String((each.dataset.mode === 'Topics') === byTopic));
    this.rows.select(null);
    this.begin();
  }

  pause() {
    this.paused = this.paused === null ? this.items() : null;
    this.hold.setAttribute('aria-pressed', String(this.paused !== null));
    this.hold.textContent = this.paused === null ? 'Pause' : 'Go on';
    this.begin();
  }

  items() {
    const filters = [...this.shown];
    return this.byTopic ? this.store.topics(filters, this.search) : this.store.messages(filters, this.search);
  }

  /** Show everything anew: another choice of what is shown. */
  begin() {
    if (this.paused !== null && !this.byTopic) this.paused = this.items();
    this.drawn = -1;
    this.refresh();
    const filters = [...this.shown];
    this.onTwin(filters.length ? `nexus tail ${filters.map((each) => this.ctx.format.shell(each)).join(' ')} --json` : 'nexus tail');
  }

  refresh() {
    if (document.hidden) return;
    if (this.drawn === this.store.changes) {
      this.refreshRates();
      return;
    }
    this.drawn = this.store.changes;
    const items = this.paused ?? this.items();
    const top = this.rows.items[0];
    const added = this.byTopic || top === undefined || this.paused ? 0 : Math.max(0, items.indexOf(top));
    this.rows.set(items, { added });
    this.sayFacts(items.length);
    this.listFilters();
  }

  /** Rates fall while nothing comes. */
  refreshRates() {
    if (Date.now() - this.saidAt < RATES_MS) return;
    this.sayFacts(this.rows.items.length);
    this.listFilters();
    if (this.byTopic && this.paused === null) this.rows.set(this.items());
  }

  sayFacts(length) {
    this.saidAt = Date.now();
    const kept = [...this.shown].map((each) => this.store.filters.get(each)).filter(Boolean);
    const dropped = kept.reduce((sum, each) => sum + each.dropped, 0);
    const speed = kept.reduce((sum, each) => sum + this.store.rate(each.filter), 0);
    const parts = [`${count(length)} ${this.byTopic ? 'topics' : 'messages'}`, rate(speed)];
    if (dropped) parts.push(`${count(dropped)} left out: more came than is kept`);
    if (this.paused) parts.push('held; the buffers fill on');
    if (!kept.length) parts.splice(0, 9, 'Choose a view, or watch a filter.');
    const text = parts.join(' · ');
    setText(this.facts, text);
  }

  listFilters() {
    for (const [filter, entry] of this.entries) {
      if (this.store.filters.has(filter)) continue;
      entry.element.remove();
      this.entries.delete(filter);
    }
    for (const kept of this.store.filters.values()) {
      if (!this.entries.has(kept.filter)) this.entries.set(kept.filter, this.entry(kept.filter));
      const { element, choice, figures } = this.entries.get(kept.filter);
      element.classList.toggle('filter-failed', kept.error !== null);
      choice.setAttribute('aria-pressed', String(this.shown.has(kept.filter)));
      choice.title = plain(kept.error?.message ?? kept.filter);
      setText(figures, `${count(kept.ring.size)} · ${rate(this.store.rate(kept.filter))}`);
    }
  }

  /** The line of a filter; it stays, so that the keyboard's place in the list does. */
  entry(filter) {
    const figures = h('span', { class: 'quiet' });
    const choice = h('button', { type: 'button', class: 'filter', dataset: { filter }, onclick: () => this.choose([filter]) },
      h('span', { class: 'filter-name' }, plain(filter)), figures);
    const end = h('button', { type: 'button', class: 'plain', 'aria-label': `Stop watching ${plain(filter)}`, onclick: () => this.drop(filter) }, '×');
    const element = h('li', {}, choice, end);
    this.list.append(element);
    return { element, choice, figures };
  }
}

const badge = (text) => h('span', { class: 'badge' }, text);
