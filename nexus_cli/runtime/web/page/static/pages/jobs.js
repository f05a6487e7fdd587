// Jobs: what waits, runs and failed, how long each kind takes; failed ones are retried or discarded.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { age, count, duration, plain, shell, time } from '../lib/format.js';
import { milliseconds } from '../lib/figures.js';
import { jsonView } from '../lib/json_view.js';
import { markBox, markButtons, Marks } from '../lib/marks.js';
import { Notice, button, closer, lacking } from '../lib/notices.js';
import { VirtualRows } from '../lib/virtual_rows.js';
import { confirm, facts, table } from '../lib/widgets.js';

const EVERY_MS = 5000;
const PAGE = 200;
const LOOK = { failed: 'bad', running: 'warn', queued: '' };
const narrow = matchMedia('(max-width: 700px)');

class JobsPage {
  constructor(root, ctx) {
    Object.assign(this, { ctx, jobs: [], older: [], state: ctx.query.get('state') ?? '', kind: ctx.query.get('kind') ?? '', may: false });
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.stats = h('div', {});
    this.bar = h('div', { class: 'toolbar marks-bar', hidden: true });
    this.lacking = h('div', {});
    this.detail = h('section', { class: 'detail', 'aria-label': 'Job', hidden: true });
    this.marks = new Marks({ changed: () => this.marked() });
    this.rows = new VirtualRows(h, {
      label: 'Jobs, the newest first', height: () => (narrow.matches ? 54 : 32), key: (each) => each.id, draw: drawRow, onSelect: (each) => this.show(each),
      rowClass: () => 'job-row', marked: (id) => this.marks.has(id), onMark: (each) => this.marks.flip(each.id),
    });
    fill(root, h('div', { class: 'page fill' }, this.notice.element, this.stats, this.tools(), this.said, this.lacking, this.bar,
      h('div', { class: 'with-detail' }, this.rows.root, this.detail)));
    this.asking = askEvery({
      ask: (signal) => Promise.all([ctx.api('/jobs/stats', { signal }), ctx.api('/jobs', { signal, query: this.query() })]),
      shown: ([stats, { jobs }]) => this.take(stats, jobs), everyMs: EVERY_MS,
      failed: (error) => this.notice.show(error, this.stats.children.length ? 'What is below is from before:' : ''),
    });
    this.permitted();
  }

  close() {
    this.asking.stop();
    this.rows.close();
  }

  query(before) {
    return { state: this.state, kind: this.kind, limit: PAGE, before };
  }

  async permitted() {
    const found = await this.ctx.api('/permissions').catch(() => null);
    this.may = found?.apply.includes('**') ?? false;
    if (found && !this.may) fill(this.lacking, lacking("No buttons: retrying and discarding needs a role with `apply: ['**']`."));
    this.marked();
    this.show(this.shown ?? null);
  }

  tools() {
    const again = () => {
      this.older = [];
      this.ctx.asked = { state: this.state, kind: this.kind };
      this.ctx.twinChanged();
      this.asking.now();
    };
    const states = h('select', { 'aria-label': 'State', onchange: () => {
      this.state = states.value;
      again();
    } }, [['', 'every state'], ['queued', 'queued'], ['running', 'running'], ['failed', 'failed']].map(([each, title]) => h('option', { value: each, selected: each === this.state }, title)));
    this.kinds = h('select', { 'aria-label': 'Kind', onchange: () => {
      this.kind = this.kinds.value;
      again();
    } });
    this.more = button('Older ones', () => this.load(), { hidden: true });
    return h('div', { class: 'toolbar' }, states, this.kinds, this.more);
  }

  async load() {
    try {
      const { jobs } = await this.ctx.api('/jobs', { query: this.query(this.jobs.at(-1)?.id) });
      this.older = [...this.older, ...jobs];
      this.full = jobs.length === PAGE;
      this.draw();
    } catch (error) {
      this.notice.show(error);
    }
  }

  take(stats, jobs) {
    this.showStats(stats);
    this.newest = jobs;
    if (!this.older.length) this.full = jobs.length === PAGE;
    this.draw();
  }

  draw() {
    const known = new Map(this.jobs.map((each) => [each.id, each]));
    const there = new Set(this.newest.map((each) => each.id));
    const last = this.newest.at(-1)?.id ?? -1;
    const found = [...this.newest, ...this.older.filter((each) => !there.has(each.id) && each.id < last)];
    this.jobs = found.map((each) => (same(known.get(each.id), each) ? known.get(each.id) : each));
    this.rows.set(this.jobs);
    this.marks.keep(new Set(this.jobs.map((each) => each.id)));
    this.more.hidden = !this.full;
    this.said.textContent = this.jobs.length ? `${count(this.jobs.length)} jobs${this.full ? ', and older ones' : ''}` : 'No job waits, runs or failed.';
    if (this.shown) this.show(this.jobs.find((each) => each.id === this.shown.id) ?? null);
  }

  showStats({ kinds, span_s: span }) {
    const figure = (name, title, look = '') => ({ title, class: 'num', cell: (each) => (look && each[name] ? h('span', { class: `badge ${look}` }, count(each[name])) : count(each[name])) });
    const columns = [
      { title: 'Kind', cell: (each) => h('strong', {}, plain(each.kind)) }, figure('queued', 'Due'), figure('planned', 'Planned'), figure('running', 'Running'), figure('failed', 'Failed', 'bad'),
      { title: 'Waits', class: 'num', cell: (each) => (each.oldest_s ? duration(each.oldest_s) : '–') },
      figure('done', 'Done'), figure('tried_again', 'Tried again'), figure('given_up', 'Given up', 'bad'),
      { title: 'p50', class: 'num', cell: (each) => milliseconds(each.p50_ms) }, { title: 'p95', class: 'num', cell: (each) => milliseconds(each.p95_ms) },
    ];
    const top = this.stats.querySelector('.table-frame')?.scrollLeft ?? 0;
    fill(this.stats, table(columns, kinds, { caption: 'Jobs by kind', empty: 'No job was put in yet.' }), kinds.length ? h('p', { class: 'quiet' }, `Done, tried again and given up: in the last ${duration(span)}.`) : null);
    if (top) this.stats.querySelector('.table-frame').scrollLeft = top;
    const names = kinds.map((each) => each.kind);
    if (this.kind && !names.includes(this.kind)) names.push(this.kind);
    if (names.join() !== this.offered) {
      this.offered = names.join();
      fill(this.kinds, h('option', { value: '' }, 'every kind'), names.map((each) => h('option', { value: each }, plain(each))));
      this.kinds.value = this.kind;
    }
    this.failed = kinds.reduce((sum, each) => sum + (this.kind && each.kind !== this.kind ? 0 : each.failed), 0);
    this.marked();
  }

  marked() {
    this.rows?.draw();
    this.bar.hidden = !this.may;
    const marked = this.jobs.filter((each) => this.marks.has(each.id));
    const failed = marked.filter((each) => each.state === 'failed').map((each) => each.id);
    const still = marked.filter((each) => each.state !== 'running').map((each) => each.id);
    const key = `${failed.join()} ${still.join()} ${this.failed ?? 0} ${this.kind}`;
    if (key === this.barKey) return;
    this.barKey = key;
    const ofKind = this.kind ? ` of ${this.kind}` : '';
    fill(this.bar, markButtons(this.marks, () => this.jobs.map((each) => each.id)), this.marks.said,
      failed.length ? button(`Retry (${count(failed.length)})`, () => this.retry({ ids: failed }), { class: 'primary' }) : null,
      still.length ? button(`Discard (${count(still.length)})…`, () => this.discard({ ids: still }), { class: 'danger' }) : null,
      !marked.length && this.failed ? [button(`Retry all failed${ofKind}`, () => this.retry({ all: true, kind: this.kind })),
        button(`Discard all failed${ofKind}…`, () => this.discard({ all: true, kind: this.kind }), { class: 'danger' })] : null);
  }

  retry(choice) {
    return this.change('retry', choice, (many) => `${count(many)} begin again.`);
  }

  async discard(choice) {
    const many = choice.all ? this.failed : choice.ids.length;
    const sure = await confirm({ title: `Discard ${count(many)} jobs`, body: h('p', {}, 'What they were for is not done. The audit trail keeps a line of it.'), yes: 'Discard them', kind: 'danger' });
    if (sure) await this.change('discard', choice, (gone) => `${count(gone)} are gone.`);
  }

  async change(what, choice, words) {
    try {
      const { ids } = await this.ctx.api(`/jobs/${what}`, { method: 'POST', body: choice });
      this.ctx.notify(words(ids.length), 'good');
      this.marks.set([]);
    } catch (error) {
      this.ctx.notify(`${error.message} ${error.hint ?? ''}`, 'bad');
    }
    await this.asking.now();
  }

  show(job) {
    this.shown = job;
    this.detail.hidden = job === null;
    if (job === null) return;
    const { id, kind, state, priority, attempts, created, due, changed, key, reason, payload } = job;
    fill(this.detail, closer(() => this.rows.select(null)), h('h2', { class: 'detail-topic' }, `${plain(kind)} ${id}`),
      h('p', {}, h('span', { class: `badge ${LOOK[state] ?? ''}` }, state), reason ? ` ${plain(reason)}` : ''),
      facts([['Put in', time(created, true)], ['Due', time(due, true)], ['Changed', time(changed, true)], ['Priority', String(priority)], ['Tries', count(attempts)], ['Key', plain(key)]]),
      this.may && state !== 'running' ? h('div', { class: 'actions' }, state === 'failed' ? button('Retry', () => this.retry({ ids: [id] }), { class: 'primary' }) : null,
        button('Discard…', () => this.discard({ ids: [id] }), { class: 'danger' })) : null,
      h('h3', {}, 'About'), typeof payload === 'object' && payload !== null ? jsonView(h, payload) : h('pre', { class: 'payload' }, plain(payload ?? '(nothing)')));
  }
}

const same = (one, other) => one && one.state === other.state && one.changed === other.changed && one.attempts === other.attempts;

function drawRow({ id, kind, state, attempts, due, changed, reason }) {
  return [
    markBox(),
    h('span', { class: 'job-id' }, String(id)),
    h('span', { class: 'job-kind' }, plain(kind)),
    h('span', { class: 'job-state' }, h('span', { class: `badge ${LOOK[state] ?? ''}` }, state)),
    h('span', { class: 'num', title: 'Tries' }, count(attempts)),
    h('span', { class: 'cell-time', title: time(changed) }, state === 'queued' && due / 1000 > Date.now() ? `at ${time(due, true).slice(11)}` : age(changed)),
    h('span', { class: 'cell-brief quiet' }, plain(reason)),
  ];
}

export const page = {
  id: 'jobs',
  title: 'Jobs',
  twin: (ctx) => `nexus jobs list${ctx.asked?.state ? ` --state ${ctx.asked.state}` : ''}${ctx.asked?.kind ? ` --kind ${shell(ctx.asked.kind)}` : ''}`,
  mount(root, ctx) {
    if (!ctx.may('state:read')) {
      fill(root, h('p', { class: 'note' }, "Jobs are not shown: no role of yours has 'apply' or 'admin'."));
      return () => {};
    }
    const made = new JobsPage(root, ctx);
    return () => made.close();
  },
};
