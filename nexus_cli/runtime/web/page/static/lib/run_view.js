// One run of a sequence, followed live: its order id, the step it is at, what each step did, and the button that aborts it.

import { fill, h } from './elements.js';
import { plain, time, value } from './format.js';
import { clock } from './figures.js';
import { Notice, button, lacking } from './notices.js';
import { BRANCHES } from './sequence_steps.js';

const WAIT_S = 10; // control answers as soon as there is a new line
const LEFT_MS = 5000; // for the way there and back
const RETRY_MS = 2000;
const LOOK = { done: 'good', running: '', begun: '', waiting: 'warn', refused: 'bad', failed: 'bad', unknown: 'bad', aborted: 'warn', interrupted: 'bad' };

/** Follows a run until it has ended; `close()` stops following, and never the run. */
export class RunView {
  /** `mayRun(name)` says whether the caller may abort it; `onEnd()` is called once when it has ended. */
  constructor(ctx, id, { mayRun, onEnd = () => {} }) {
    Object.assign(this, { ctx, id, mayRun, onEnd });
    this.after = 0;
    this.steps = new Map(); // number -> its newest line
    this.notice = new Notice();
    this.head = h('div', {});
    this.progress = h('progress', { 'aria-label': 'Steps done' });
    this.said = h('p', { role: 'status', class: 'run-said' });
    this.list = h('ol', { class: 'run-steps', 'aria-label': 'Steps' });
    this.element = h('section', { class: 'card run', 'aria-label': 'Run' }, this.head, this.progress, this.said, this.notice.element, this.list);
    this.ended = false;
    this.stopping = new AbortController();
    this.follow();
  }

  close() {
    this.stopping.abort();
  }

  async follow() {
    const { signal } = this.stopping;
    while (!signal.aborted && !this.ended) {
      try {
        const query = { after: this.after, wait: this.found ? WAIT_S : 0 };
        const found = await this.ctx.api(`/runs/${encodeURIComponent(this.id)}`, { signal, query, timeoutMs: WAIT_S * 1000 + LEFT_MS });
        if (signal.aborted) return;
        this.notice.show(null);
        this.take(found);
      } catch (error) {
        if (signal.aborted) return;
        this.notice.show(error, this.found ? 'The steps below are from before:' : '');
        if (error.status === 404 || error.status === 403) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  take(found) {
    this.found = found;
    for (const each of found.journal ?? []) {
      this.after = Math.max(this.after, each.id);
      this.step(each);
    }
    this.ended = found.state !== 'running';
    this.show();
    if (this.ended) this.onEnd();
  }

  step(line) {
    if (!this.steps.has(line.step)) {
      const element = h('li', { value: String(line.step), dataset: { step: String(line.step) } });
      this.steps.set(line.step, { element });
      const later = [...this.steps.entries()].filter(([number]) => number > line.step).sort(([one], [other]) => one - other)[0];
      this.list.insertBefore(element, later ? later[1].element : null);
    }
    const known = this.steps.get(line.step);
    known.line = line;
    const { detail = {} } = line;
    const facts = [];
    if (detail.read_back !== undefined && detail.read_back !== null) facts.push(`${value(detail.old)} → ${value(detail.read_back)}`);
    if (detail.topic) facts.push(`on ${plain(detail.topic)}`);
    if (detail.detail) facts.push(`${detail.code ? `[${detail.code}] ` : ''}${plain(detail.detail)}`);
    fill(known.element, h('span', { class: 'step-line' }, h('span', { class: `badge ${LOOK[line.state] ?? ''}` }, line.state), ' ', plain(line.text),
      line.branch === 'steps' ? null : h('span', { class: 'quiet' }, ` (${BRANCHES[line.branch] ?? line.branch})`)),
      h('span', { class: 'quiet step-facts' }, [clock(line.at), ...facts].join(' · ')));
    known.element.dataset.state = line.state;
  }

  show() {
    const { name, id, who, reason, state, detail = {}, steps, set = {}, started, ended } = this.found;
    const given = Object.entries(set).map(([key, each]) => `${plain(key)}=${value(each)}`).join(' ');
    const running = state === 'running';
    const abort = !running ? null : this.mayRun(name) ? button('Abort', () => this.abort(), { class: 'danger' })
      : lacking(`No button to abort: no role of yours has 'run: [${plain(name)}]'.`);
    const focused = this.head.contains(document.activeElement);
    fill(this.head, h('div', { class: 'head' }, h('h2', {}, plain(name)), h('span', { class: `badge ${LOOK[state] ?? ''}`, dataset: { run: state } }, state),
      h('span', { class: 'spring' }), abort),
      h('p', { class: 'quiet' }, 'order ', h('code', {}, plain(id)), ` · by ${plain(who)} · ${time(started, true)}${ended ? ` – ${clock(ended)}` : ''}`,
        given ? ` · ${given}` : '', reason ? ` · ${plain(reason)}` : ''));
    if (focused) this.head.querySelector('button')?.focus();
    const own = [...this.steps.values()].filter(({ line }) => line.branch === 'steps');
    const done = own.filter(({ line }) => line.state === 'done').length;
    this.progress.max = Math.max(1, steps);
    this.progress.value = state === 'done' ? this.progress.max : done;
    const at = Math.max(0, ...own.map(({ line }) => line.step)) - this.before();
    const words = running ? `step ${Math.max(at, 0)} of ${steps}` : state === 'done' ? `all ${steps} steps are done` : `${state} after ${done} of ${steps} steps`;
    const why = [detail.detail && `${detail.code ? `[${detail.code}] ` : ''}${detail.detail}`, detail.aborted_by && `aborted by ${detail.aborted_by}`,
      detail.abort_branch && `abort branch: ${detail.abort_branch}`].filter(Boolean);
    this.said.textContent = plain([words, ...why].join(' · '));
  }

  /** Lines before the first step: the conditions are numbered too. */
  before() {
    return [...this.steps.values()].filter(({ line }) => line.branch === 'requires').length;
  }

  async abort() {
    try {
      const found = await this.ctx.api(`/runs/${encodeURIComponent(this.id)}/abort`, { method: 'POST' });
      this.ctx.notify(found.again ? 'It is being aborted already.' : 'It is being aborted; its abort branch follows.');
    } catch (error) {
      this.notice.show(error);
    }
  }
}
