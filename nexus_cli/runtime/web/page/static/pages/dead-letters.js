// Dead letters: messages that the historian could not store, with their reason.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { age, count, plain, plainBlock, shell, time as moment } from '../lib/format.js';
import { jsonView } from '../lib/json_view.js';
import { Notice, button, closer } from '../lib/notices.js';
import { jsonOf } from '../lib/payload.js';
import { VirtualRows } from '../lib/virtual_rows.js';

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
    this.rows = new VirtualRows(h, {
      label: 'Dead letters, the newest first', height: () => (narrow.matches ? 54 : 32), key: (each) => each.id, draw: drawRow,
      onSelect: (each) => this.show(each), rowClass: () => 'letter-row',
    });
    fill(root, h('div', { class: 'page fill' }, this.tools(), this.notice.element, this.said, h('div', { class: 'with-detail' }, this.rows.root, this.detail)));
    this.asking = askEvery({
      ask: (signal) => ctx.api('/dead-letters', { signal, query: { limit: LIMIT, reason: this.reason, topic: this.topic } }),
      shown: (found) => this.take(found),
      failed: (error) => this.notice.show(error, this.letters.length ? 'What is below is from before:' : ''), everyMs: EVERY_MS,
    });
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
    this.letters = letters.map((each) => (known.get(each.id)?.count === each.count ? known.get(each.id) : each));
    for (const each of letters) this.reasonsSeen.add(each.reason);
    if (this.reason) this.reasonsSeen.add(this.reason);
    const options = [...this.reasonsSeen].sort().map((each) => h('option', { value: each }, each.replaceAll('_', ' ')));
    fill(this.reasons, h('option', { value: '' }, 'every reason'), options);
    this.reasons.value = this.reason;
    this.rows.set(this.letters);
    const folded = letters.reduce((sum, each) => sum + each.count, 0);
    if (!this.older.length) this.before = found.before;
    this.more.hidden = this.before === null || this.before === undefined;
    this.said.textContent = letters.length ? `${count(letters.length)} dead letters of ${count(folded)} messages` : 'No message was refused, of those that you may see.';
  }

  show(letter) {
    this.detail.hidden = letter === null;
    if (letter === null) return;
    const { time, topic, reason, detail, payload, count: times } = letter;
    fill(this.detail, closer(() => this.rows.select(null)), h('h2', { class: 'detail-topic' }, plain(topic)),
      h('p', {}, h('span', { class: 'badge warn' }, plain(reason.replaceAll('_', ' '))), detail ? ` ${plain(detail)}` : ''),
      h('p', { class: 'quiet' }, `${moment(time)}${times > 1 ? ` · ${count(times)} alike, this is the first of them` : ''}`),
      shown(payload));
  }
}

function drawRow({ time, topic, reason, detail, count: times }) {
  return [
    h('span', { class: 'cell-time', title: moment(time) }, age(time)),
    h('span', {}, h('span', { class: 'badge warn' }, plain(reason.replaceAll('_', ' '))), times > 1 ? h('span', { class: 'quiet' }, ` ×${count(times)}`) : null),
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
