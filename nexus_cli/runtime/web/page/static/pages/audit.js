// The audit trail: who did what, when and how it ended; and whether it is what was written.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { count, plain, shell, time, value } from '../lib/format.js';
import { stringify } from '../lib/json.js';
import { Notice, button, closer } from '../lib/notices.js';
import { VirtualRows } from '../lib/virtual_rows.js';
import { facts, table } from '../lib/widgets.js';

const EVERY_MS = 10_000;
const PAGE = 500;
const TYPING_MS = 300;
const LINKS = 10_000;
const MOST_NAMED = 1000;
const ZEROS = '0'.repeat(64);
const ANCHOR = /(\d{1,15}):([0-9a-f]{64})\s*$/;
const KINDS = ['command', 'sequence', 'deployment', 'rollout', 'alert', 'message', 'device', 'retained', 'job', 'history', 'drift', 'dead-letter', 'export', 'signature', 'access'];
const SPANS = [['', 'all that is kept'], ['3600', 'last hour'], ['86400', 'last day'], ['604800', 'last 7 days'], ['2592000', 'last 30 days']];
const BAD = ['failed', 'refused', 'unknown', 'aborted'];
const narrow = matchMedia('(max-width: 700px)');

class AuditPage {
  constructor(root, ctx) {
    Object.assign(this, { ctx, entries: [], wanted: { path: ctx.query.get('path') ?? '', who: '', kind: ctx.query.get('kind') ?? '', span: '' } });
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.detail = h('section', { class: 'detail', 'aria-label': 'Entry', hidden: true });
    this.chain = new ChainCheck(ctx);
    this.rows = new VirtualRows(h, { label: 'Audit trail, the newest first', height: () => (narrow.matches ? 54 : 32), key: keyOf, draw: drawRow, onSelect: (each) => this.show(each), rowClass: () => 'audit-row' });
    fill(root, h('div', { class: 'page fill' }, this.tools(), this.chain.element, this.notice.element, this.said, h('div', { class: 'with-detail' }, this.rows.root, this.detail)));
    this.asking = askEvery({
      ask: (signal) => ctx.api('/audit', { signal, query: this.query() }), shown: (found) => this.take(found),
      failed: (error) => this.notice.show(error, this.entries.length ? 'What is below is from before:' : ''), everyMs: EVERY_MS,
    });
    ctx.asked = this.wanted;
  }

  close() {
    clearTimeout(this.typing);
    this.chain.stop();
    this.asking.stop();
    this.rows.close();
  }

  query(until) {
    const { path, who, kind, span } = this.wanted;
    return { path, who, kind, since: span ? Math.round((Date.now() - Number(span) * 1000) * 1000) : '', until, limit: PAGE };
  }

  tools() {
    const again = () => {
      this.entries = [];
      this.ctx.twinChanged();
      this.asking.now();
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
    } }, options.map(([each, title]) => h('option', { value: each, selected: each === this.wanted[name] }, title)));
    this.older = button('Older ones', () => this.load(), { hidden: true });
    return h('div', { class: 'toolbar' }, text('who', 'Who'), text('path', 'Path, name or glob'), select('kind', 'Kind', [['', 'every kind'], ...KINDS.map((each) => [each, each])]),
      select('span', 'Span', SPANS), this.older);
  }

  /** The newest page joins what is shown; where it does not reach it, it is shown alone. */
  take({ entries, truncated }) {
    const known = new Set(this.entries.map(keyOf));
    const added = entries.filter((each) => !known.has(keyOf(each)));
    const apart = added.length === entries.length;
    if (apart) this.more = truncated;
    this.entries = apart ? [...entries].reverse() : [...added.reverse(), ...this.entries];
    this.draw(apart ? 0 : added.length);
  }

  async load() {
    try {
      const known = new Set(this.entries.map(keyOf));
      const { entries, truncated } = await this.ctx.api('/audit', { query: this.query(this.entries.at(-1).at) });
      const found = [...entries].reverse().filter((each) => !known.has(keyOf(each)));
      this.entries = [...this.entries, ...found];
      this.more = truncated && found.length > 0;
      this.draw(0);
    } catch (error) {
      this.notice.show(error);
    }
  }

  draw(added) {
    this.rows.set(this.entries, { added });
    this.older.hidden = !this.more;
    this.said.textContent = this.entries.length ? `${count(this.entries.length)} ${this.entries.length === 1 ? 'entry' : 'entries'}${this.more ? ', and older ones' : ''}` : 'Nothing is on record.';
  }

  show(entry) {
    this.detail.hidden = entry === null;
    if (entry === null) return;
    const { at, kind, what, who, subject, ...more } = entry;
    const pairs = Object.entries(more).map(([name, each]) => [name.replaceAll('_', ' '), shown(name, each)]);
    fill(this.detail, closer(() => this.rows.select(null)), h('h2', { class: 'detail-topic' }, plain(subject || what)),
      facts([['When', time(at)], ['Who', plain(who)], ['What', plain(what)], ['Kind', kind], ...pairs]));
  }
}

const keyOf = (entry) => stringify(entry);
const shown = (name, each) => (name === 'until' && typeof each === 'number' ? time(each, true) : value(each));

function drawRow(entry) {
  const { at, what, who, subject, state, outcome, reason, detail, code } = entry;
  const ended = state ?? outcome ?? '';
  const words = [reason, detail, code && `[${code}]`].filter(Boolean).join(' · ');
  return [
    h('span', { class: 'cell-time audit-time' }, time(at, true)),
    h('span', { class: 'audit-who' }, h('strong', {}, plain(who))),
    h('span', { class: 'audit-what' }, plain(what.replaceAll('-', ' '))),
    h('span', { class: 'audit-subject' }, plain(subject)),
    h('span', { class: 'audit-end' }, ended ? h('span', { class: `badge ${BAD.includes(ended) ? 'bad' : ''}` }, plain(ended)) : null),
    h('span', { class: 'cell-brief quiet', title: words ? plain(words) : null }, plain(words)),
  ];
}

const within = (anchors, number) => Object.fromEntries(Object.entries(anchors).filter(([at]) => Number(at) > number && Number(at) <= number + LINKS));

/** The check of the digest chain, page by page, against an anchor where one is given. */
class ChainCheck {
  constructor(ctx) {
    this.ctx = ctx;
    this.anchor = h('input', { type: 'text', placeholder: 'NUMBER:DIGEST', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Anchor that was kept elsewhere (may be empty)', title: 'Of the file audit-anchors.log, or where you keep anchors' });
    this.result = h('div', { role: 'status', class: 'chain-result' });
    this.element = h('details', { class: 'card chain-check' }, h('summary', {}, 'Is the trail what was written?'),
      h('div', { class: 'toolbar' }, this.anchor, button('Verify', () => this.verify(), { class: 'primary' })),
      h('p', { class: 'quiet' }, 'Each row has the digest of the row before it. Without an anchor that was kept elsewhere, somebody with all rights at the database can write a whole chain anew.'), this.result);
  }

  stop() {
    this.stopped = true;
  }

  async verify() {
    const given = this.anchor.value.trim();
    const found = ANCHOR.exec(given);
    if (given && !found) {
      fill(this.result, h('p', { class: 'failure' }, 'An anchor is NUMBER:DIGEST, a number and 64 hexadecimal digits.'));
      return;
    }
    const anchors = found ? { [String(Number(found[1]))]: found[2] } : {};
    const [newest = 0] = Object.keys(anchors).map(Number);
    try {
      const end = await this.pages(anchors);
      if (!end) return;
      const { number, head, damages } = end;
      if (newest > Math.max(number, head?.number ?? 0) && !damages.some((each) => each.kind === 'cut' && each.last >= newest)) {
        damages.push({ kind: 'cut', number: number + 1, last: newest, detail: `the chain ends at link ${number}; the anchor names link ${newest}: the newest rows were removed` });
        end.total += 1;
      }
      this.show(end, Boolean(found));
    } catch (error) {
      fill(this.result, h('p', { class: 'failure' }, plain(`${error.message} ${error.hint ?? ''}`)));
    }
  }

  async pages(anchors) {
    let place = { number: 0, digest: ZEROS };
    let head = null;
    let total = 0;
    const damages = [];
    for (;;) {
      const page = await this.ctx.api('/audit/verify', { method: 'POST', body: { number: place.number, digest: place.digest, limit: LINKS, anchors: within(anchors, place.number) } });
      if (this.stopped) return null;
      const found = page.damages ?? [];
      total += found.length;
      damages.push(...found.slice(0, Math.max(0, MOST_NAMED - damages.length)));
      head = page.head ?? head;
      place = page;
      if (page.end) return { number: page.number, head, damages, total };
      fill(this.result, h('p', { class: 'quiet' }, `${count(page.number)}${head ? ` of ${count(head.number)}` : ''} links …`));
    }
  }

  show({ number, head, damages, total }, anchored) {
    const links = `${count(number)} links${anchored ? ', one of them against the anchor' : ''}`;
    const columns = [
      { title: 'Damage', cell: (each) => h('span', { class: 'badge bad' }, each.kind) },
      { title: 'Link', class: 'num', cell: (each) => (each.number ? (each.last > each.number ? `${each.number} to ${each.last}` : String(each.number)) : '–') },
      { title: 'Row', cell: (each) => [each.at ? `${time(each.at)} ` : '', plain([each.who, each.what, each.subject].filter(Boolean).join(' '))] },
      { title: 'Detail', cell: (each) => plain(each.detail) },
    ];
    fill(this.result,
      total ? h('p', { class: 'failure' }, h('strong', {}, `✗ ${count(total)} damaged ${total === 1 ? 'place' : 'places'}`), ` in ${links}.`) : h('p', { class: 'done' }, `✓ Nothing was changed: ${links}.`),
      damages.length ? table(columns, damages, { caption: 'Damages' }) : null,
      total > damages.length ? h('p', { class: 'quiet' }, `The first ${count(damages.length)} are named.`) : null,
      head?.number ? facts([['Newest link', h('code', {}, `${head.number}:${head.digest}`)], ['Made', time(head.at)], ['Rows before the chain', head.adopted ? count(head.adopted) : '']]) : null);
  }
}

export const page = {
  id: 'audit',
  title: 'Audit',
  twin: ({ asked }) => `nexus audit${asked?.path ? ` ${shell(asked.path)}` : ''}${asked?.kind ? ` --kind ${asked.kind}` : ''}${asked?.who ? ` --who ${shell(asked.who)}` : ''}`,
  mount(root, ctx) {
    if (!ctx.may('audit:read')) {
      fill(root, h('p', { class: 'note' }, "The audit trail is not shown: no role of yours has 'apply' or 'admin'."));
      return () => {};
    }
    const made = new AuditPage(root, ctx);
    return () => made.close();
  },
};
