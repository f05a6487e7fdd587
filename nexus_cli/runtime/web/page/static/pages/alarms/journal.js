// The journal: every change of every alert, and the floods, page by page, the newest first.

import { askEvery } from '../../lib/asking.js';
import { JOURNAL_KINDS, PRIORITIES, kindWords, lookOf, signOf } from '../../lib/alarm_facts.js';
import { fill, h } from '../../lib/elements.js';
import { count, plain, shell, time, value } from '../../lib/format.js';
import { Notice, button } from '../../lib/notices.js';
import { VirtualRows } from '../../lib/virtual_rows.js';

const EVERY_MS = 10_000;
const SOON_MS = 1000;
const PAGE = 200;
const TYPING_MS = 300;
const narrow = matchMedia('(max-width: 900px)');
const keyOf = ({ at, name }) => `${at} ${name}`;

export class AlarmJournal {
  constructor(root, ctx) {
    Object.assign(this, { ctx, lines: [], more: false });
    this.wanted = { name: ctx.query.get('name') ?? '', kind: '', priority: '', group: '' };
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.rows = new VirtualRows(h, { label: 'Journal, the newest first', height: () => (narrow.matches ? 78 : 32), key: keyOf, draw: drawLine, rowClass: () => 'journal-row' });
    fill(root, this.tools(), this.notice.element, this.said, h('div', { class: 'with-detail' }, this.rows.root));
    this.asking = askEvery({
      ask: (signal) => ctx.api(this.path(), { signal }), shown: (found) => this.take(found),
      failed: (error) => this.notice.show(error, this.lines.length ? 'What is below is from before:' : ''), everyMs: EVERY_MS,
    });
    this.end = ctx.socket.events(['alert'], () => this.soon());
  }

  close() {
    clearTimeout(this.timer);
    clearTimeout(this.typing);
    this.end();
    this.asking.stop();
    this.rows.close();
  }

  twin() {
    const { name, kind, priority, group } = this.wanted;
    return `nexus alarms journal${name ? ` ${shell(name)}` : ''} --since 400d${kind ? ` --kind ${kind}` : ''}${priority ? ` --priority ${priority}` : ''}${group ? ` --group ${shell(group)}` : ''}`;
  }

  path(before = null) {
    const query = new URLSearchParams({ limit: String(PAGE) });
    for (const [name, each] of Object.entries(this.wanted)) if (each) query.set(name, each);
    if (before) {
      query.set('before', String(before.at));
      query.set('before_name', before.name);
    }
    return `/alerts/journal?${query}`;
  }

  /** A flood of events asks once. */
  soon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.asking.now();
    }, SOON_MS);
  }

  tools() {
    const again = () => {
      this.lines = [];
      this.asking.now();
      this.ctx.twinChanged();
    };
    const text = (name, label) => h('input', { type: 'search', value: this.wanted[name], placeholder: label, 'aria-label': label, spellcheck: 'false', oninput: (event) => {
      clearTimeout(this.typing);
      const given = event.target.value.trim();
      this.typing = setTimeout(() => {
        this.wanted[name] = given;
        again();
      }, TYPING_MS);
    } });
    const select = (name, label, options) => h('select', { 'aria-label': label, onchange: (event) => {
      this.wanted[name] = event.target.value;
      again();
    } }, h('option', { value: '' }, `every ${label.toLowerCase()}`), options.map(([each, title]) => h('option', { value: each }, title)));
    this.older = button('Older ones', () => this.load(), { hidden: true });
    return h('div', { class: 'toolbar' }, text('name', 'Name of an alarm'), text('group', 'Group'), select('kind', 'Kind', JOURNAL_KINDS),
      select('priority', 'Priority', PRIORITIES.map((each) => [each, each])), this.older);
  }

  /** The newest page joins what is shown; where it does not reach it, it is shown alone: nothing between is left out. */
  take({ lines, truncated }) {
    const known = new Set(this.lines.map(keyOf));
    const added = lines.filter((each) => !known.has(keyOf(each)));
    if (added.length === lines.length) {
      this.more = truncated;
      this.lines = [...lines].reverse();
      this.show(0);
      return;
    }
    if (added.length) this.lines = [...added, ...this.lines].sort((one, other) => other.at - one.at || (one.name < other.name ? 1 : -1));
    this.show(added.length);
  }

  async load() {
    try {
      const { lines, truncated } = await this.ctx.api(this.path(this.lines.at(-1)));
      this.lines = [...this.lines, ...[...lines].reverse()];
      this.more = truncated;
      this.show(0);
    } catch (error) {
      this.notice.show(error);
    }
  }

  show(added) {
    this.rows.set(this.lines, { added });
    this.older.hidden = !this.more;
    this.said.textContent = this.lines.length ? `${count(this.lines.length)} lines${this.more ? ', and older ones' : ''}` : 'Nothing is on record.';
  }
}

function drawLine({ at, name, kind, value: given, priority, group, who, reason, held, first_out: firstOut }) {
  const words = [who ? `by ${plain(who)}` : '', reason ? plain(reason) : '', held && kind === 'active' ? '(not announced)' : ''].filter(Boolean).join(' · ');
  return [
    h('span', { class: 'cell-time journal-time' }, time(at)),
    h('span', { class: `priority-mark ${lookOf(priority)}`, title: priority || null }, priority ? `${signOf(priority)} ${priority}` : ''),
    h('span', { class: 'alarm-name' }, firstOut ? h('span', { class: 'badge first-out' }, '1st out') : null, name ? h('strong', {}, plain(name)) : h('span', { class: 'quiet' }, 'all alarms')),
    h('span', {}, kindWords(kind)),
    h('span', { class: 'num' }, name && kind !== 'cleared' ? value(given) : ''),
    h('span', { class: 'quiet wide-only' }, plain(group)),
    h('span', { class: 'quiet journal-words', title: words || null }, words),
  ];
}
