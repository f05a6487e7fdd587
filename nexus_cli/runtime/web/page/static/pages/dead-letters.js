// Dead letters: messages that the historian could not store, with their reason.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { age, count, plain, plainBlock, shell, time as moment } from '../lib/format.js';
import { jsonView } from '../lib/json_view.js';
import { markBox, markButtons, Marks } from '../lib/marks.js';
import { Notice, button, closer, lacking } from '../lib/notices.js';
import { jsonOf } from '../lib/payload.js';
import { VirtualRows } from '../lib/virtual_rows.js';
import { confirm } from '../lib/widgets.js';

const EVERY_MS = 10_000;
const LIMIT = 500;
const TYPING_MS = 300;
const narrow = matchMedia('(max-width: 700px)');

class DeadLetters {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx, letters: [], older: [], before: null, reason: ctx.query.get('reason') ?? '', topic: ctx.query.get('topic') ?? '' });
    this.reasonsSeen = new Set();
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.detail = h('section', { class: 'detail', 'aria-label': 'Dead letter', hidden: true });
    this.may = false;
    this.bar = h('div', { class: 'toolbar marks-bar', hidden: true });
    this.lacking = h('div', {});
    this.marks = new Marks({ changed: () => this.marked() });
    this.rows = new VirtualRows(h, {
      label: 'Dead letters, the newest first', height: () => (narrow.matches ? 54 : 32), key: (each) => each.id, draw: drawRow,
      onSelect: (each) => this.show(each), rowClass: () => 'letter-row',
      marked: (id) => this.marks.has(id), onMark: (each) => this.marks.flip(each.id),
    });
    fill(root, h('div', { class: 'page fill' }, this.tools(), this.notice.element, this.said, this.lacking, this.bar, h('div', { class: 'with-detail' }, this.rows.root, this.detail)));
    this.asking = askEvery({
      ask: (signal) => ctx.api('/dead-letters', { signal, query: { limit: LIMIT, reason: this.reason, topic: this.topic } }),
      shown: (found) => this.take(found),
      failed: (error) => this.notice.show(error, this.letters.length ? 'What is below is from before:' : ''), everyMs: EVERY_MS,
    });
    this.permitted();
  }

  close() {
    clearTimeout(this.typing);
    this.asking.stop();
    this.rows.close();
  }

  tools() {
    this.reasons = h('select', { 'aria-label': 'Reason', onchange: () => {
      this.reason = this.reasons.value;
      this.again();
    } });
    const topic = h('input', {
      type: 'search', value: this.topic, placeholder: 'Topic, or what is above topics', 'aria-label': 'Topic', spellcheck: 'false',
      oninput: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => {
          this.topic = topic.value.trim();
          this.again();
        }, TYPING_MS);
      },
    });
    this.more = button('Older ones', () => this.load(), { hidden: true });
    return h('div', { class: 'toolbar' }, topic, this.reasons, this.more);
  }

  again() {
    this.older = [];
    this.ctx.asked = { topic: this.topic, reason: this.reason };
    this.ctx.twinChanged();
    this.asking.now();
  }

  /** The page before the oldest one. */
  async load() {
    try {
      const found = await this.ctx.api('/dead-letters', { query: { limit: LIMIT, reason: this.reason, topic: this.topic, before: this.before } });
      this.older = [...this.older, ...found.dead_letters];
      this.before = found.before;
      await this.asking.now();
    } catch (error) {
      this.notice.show(error);
    }
  }

  take(found) {
    const letters = [...found.dead_letters, ...this.older.filter((each) => !found.dead_letters.some((one) => one.id === each.id))];
    const known = new Map(this.letters.map((each) => [each.id, each]));
    this.letters = letters.map((each) => (sameLetter(known.get(each.id), each) ? known.get(each.id) : each));
    for (const each of letters) this.reasonsSeen.add(each.reason);
    if (this.reason) this.reasonsSeen.add(this.reason);
    const options = [...this.reasonsSeen].sort().map((each) => h('option', { value: each }, each.replaceAll('_', ' ')));
    fill(this.reasons, h('option', { value: '' }, 'every reason'), options);
    this.reasons.value = this.reason;
    this.rows.set(this.letters);
    this.marks.keep(new Set(this.letters.map((each) => each.id)));
    this.marked();
    const folded = letters.reduce((sum, each) => sum + each.count, 0);
    if (!this.older.length) this.before = found.before;
    this.more.hidden = this.before === null || this.before === undefined;
    this.said.textContent = letters.length ? `${count(letters.length)} dead letters of ${count(folded)} messages` : 'No message was refused, of those that you may see.';
  }

  show(letter) {
    this.detail.hidden = letter === null;
    if (letter === null) return;
    const { time, topic, reason, detail, payload, count: times, tries = 0, waiting = false } = letter;
    fill(this.detail, closer(() => this.rows.select(null)), h('h2', { class: 'detail-topic' }, plain(topic)),
      h('p', {}, h('span', { class: 'badge warn' }, plain(reason.replaceAll('_', ' '))), detail ? ` ${plain(detail)}` : ''),
      h('p', { class: 'quiet' }, `${moment(time)}${times > 1 ? ` · ${count(times)} alike, this is the first of them` : ''}${tries ? ` · retried ${count(tries)} times, and not stored` : ''}${waiting ? ' · waits for the historian' : ''}`),
      this.may ? h('div', { class: 'actions' }, this.buttons([letter.id])) : null, shown(payload));
  }

  async permitted() {
    const found = await this.ctx.api('/permissions').catch(() => null);
    this.may = found?.apply.includes('**') ?? false;
    if (found && !this.may) fill(this.lacking, lacking("No buttons: retrying and discarding needs a role with `apply: ['**']`."));
    this.marked();
  }

  marked() {
    this.rows?.draw();
    this.bar.hidden = !this.may || !this.letters.length;
    const ids = [...this.marks.keys];
    const key = `${ids.join()} ${this.reason} ${this.topic} ${this.letters.length > 0}`;
    if (key === this.barKey) return;
    this.barKey = key;
    fill(this.bar, markButtons(this.marks, () => this.letters.map((each) => each.id)), this.marks.said,
      this.letters.length ? this.buttons(ids.length ? ids : null) : null);
  }

  /** Buttons for these, or with null for all that the filter means. */
  buttons(ids) {
    const choice = ids ? { ids } : { all: true, reason: this.reason, topic: this.topic };
    const many = ids ? count(ids.length) : this.reason || this.topic ? 'all of this filter' : 'all';
    const words = ids?.length === 1 ? '' : ` (${many})`;
    return [button(`Retry${words}`, () => this.change('retry', choice, 'stored'), { class: 'primary' }),
      button(`Discard${words}…`, async () => {
        const sure = await confirm({ title: `Discard ${ids?.length === 1 ? 'it' : many}`, body: h('p', {}, 'What they hold is lost. The audit trail keeps a line of it.'), yes: 'Discard', kind: 'danger' });
        if (sure) await this.change('discard', choice, 'gone');
      }, { class: 'danger' })];
  }

  async change(what, choice, word) {
    try {
      const { ids, kept = {}, waiting = [] } = await this.ctx.api(`/dead-letters/${what}`, { method: 'POST', body: choice });
      const [first] = Object.entries(kept);
      const said = [`${count(ids.length)} ${ids.length === 1 ? 'is' : 'are'} ${word}`, waiting.length && `${count(waiting.length)} wait for the historian`,
        first && `${count(Object.keys(kept).length)} stay: ${plain(first[1])}`].filter(Boolean);
      this.ctx.notify(`${said.join('; ')}.`, first ? 'bad' : 'good');
      this.marks.set([]);
      this.older = [];
      this.rows.select(null);
    } catch (error) {
      this.ctx.notify(`${error.message} ${error.hint ?? ''}`, 'bad');
    }
    await this.asking.now();
  }
}

const sameLetter = (one, other) => one?.count === other.count && one.tries === other.tries && one.waiting === other.waiting;

function drawRow({ time, topic, reason, detail, count: times, waiting = false }) {
  return [
    markBox(),
    h('span', { class: 'cell-time', title: moment(time) }, age(time)),
    h('span', {}, h('span', { class: 'badge warn' }, plain(reason.replaceAll('_', ' '))), times > 1 ? h('span', { class: 'quiet' }, ` ×${count(times)}`) : null, waiting ? h('span', { class: 'quiet' }, ' waits') : null),
    h('span', { class: 'cell-topic' }, plain(topic)),
    h('span', { class: 'cell-brief quiet' }, plain(detail)),
  ];
}

/** JSON as a tree; everything else as it is. */
function shown(text) {
  try {
    const found = jsonOf(text);
    if (typeof found === 'object' && found !== null) return jsonView(h, found);
  } catch {
    // shown as text
  }
  return h('pre', { class: 'payload' }, text ? plainBlock(text) : '(no payload)');
}

export const page = {
  id: 'dead-letters',
  title: 'Dead letters',
  twin: (ctx) => `nexus dead-letters${ctx.asked?.topic ? ` ${shell(ctx.asked.topic)}` : ''}${ctx.asked?.reason ? ` --reason ${shell(ctx.asked.reason)}` : ''}`,
  mount(root, ctx) {
    const made = new DeadLetters(root, ctx);
    return () => made.close();
  },
};
