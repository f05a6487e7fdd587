// One deployment: who, when and why, its plan, its journal while it runs, and its table once it has ended.

import { showConfirmation } from './confirmation_panel.js';
import { foldedTable, endText, progressLine } from './deployment_text.js';
import { fill, h } from './elements.js';
import { duration, plain, time } from './format.js';
import { clock } from './figures.js';
import { Notice } from './notices.js';
import { ReviewView } from './review_view.js';

const WAIT_S = 10;
const LEFT_MS = 5000;
const RETRY_MS = 2000;
export const OUTCOMES = { applied: 'good', running: '', partly: 'warn', failed: 'bad', nothing: '', stopped: 'bad' };
const STATES = { applied: 'good', failed: 'bad', skipped: '', unknown: 'warn' };
const VERIFIED = { verified: 'good', unverified: 'warn', failed: 'bad' };

/** Follows a deployment to its end; `close()` stops that. */
export class DeploymentView {
  constructor(ctx, number, { onEnd = () => {} } = {}) {
    Object.assign(this, { ctx, number, onEnd });
    this.after = 0;
    this.notice = new Notice();
    this.head = h('div', {}, h('h2', {}, `Deployment ${number}`));
    this.said = h('p', { role: 'status', class: 'run-said' });
    this.waiting = h('div', { class: 'confirmation' });
    this.table = h('div', {});
    this.tableHead = h('h3', { hidden: true }, 'Resources');
    this.stopping = new AbortController();
    this.review = new ReviewView(ctx, number, { signal: this.stopping.signal, isSaid: () => !this.found });
    this.journal = h('ol', { class: 'journal', 'aria-label': 'Journal' });
    this.element = h('section', { class: 'card', 'aria-label': `Deployment ${number}` }, this.head, this.said, this.waiting, this.notice.element,
      this.review.element, this.tableHead, this.table, h('h3', {}, 'Journal'), this.journal);
    this.follow();
  }

  close() {
    this.stopping.abort();
  }

  async follow() {
    const { signal } = this.stopping;
    while (!signal.aborted && this.found?.state !== 'ended') {
      try {
        const query = { after: this.after, wait: this.found ? WAIT_S : 0 };
        const found = await this.ctx.api(`/deployments/${this.number}`, { signal, query, timeoutMs: WAIT_S * 1000 + LEFT_MS });
        if (signal.aborted) return;
        this.notice.show(null);
        this.take(found);
      } catch (error) {
        if (signal.aborted) return;
        this.notice.show(error, this.found ? 'What is below is from before:' : '');
        if (error.status === 404) this.review.element.hidden = true; // said once
        if (error.status === 404 || error.status === 403) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  take(found) {
    const wasRunning = this.found?.state === 'running';
    this.found = found;
    for (const line of found.journal ?? []) {
      this.after = Math.max(this.after, line.id);
      this.journal.append(journalLine(line));
    }
    const ended = found.state === 'ended';
    const { number, who, reason, outcome, started, ended: at } = found;
    fill(this.head, h('div', { class: 'head' }, h('h2', {}, `Deployment ${number}`), h('span', { class: `badge ${OUTCOMES[outcome] ?? ''}` }, outcome)),
      h('p', { class: 'quiet' }, `by ${plain(who)} · ${time(started, true)}${at ? ` · took ${duration((at - started) / 1e6)}` : ''}${reason ? ` · ${plain(reason)}` : ''}`),
      found.undoes ? h('p', { class: 'quiet' }, 'Takes back from ', h('a', { href: `#/deployments/${found.undoes}` }, `deployment ${found.undoes}`), ' on.') : null,
      found.rollout ? h('p', {}, `Wave ${plain(found.rollout.wave)} (${found.rollout.position} of ${found.rollout.waves}) of `, h('a', { href: `#/rollouts/${found.rollout.number}` }, `rollout ${found.rollout.number}`), '.') : null,
      found.allow?.length ? h('p', { class: 'quiet' }, `Consents: ${plain(found.allow.join(', '))}`) : null,
      /^https?:/.test(found.run_url ?? '') ? h('p', {}, h('a', { href: found.run_url, rel: 'noreferrer' }, 'CI run')) : null);
    this.said.textContent = ended ? endText(found) : this.progress();
    showConfirmation(this.waiting, this.ctx, found.confirmation, (error) => this.answered(error));
    if (ended) this.showTable(found);
    if (ended && wasRunning) this.onEnd();
  }

  /** What the list says of its confirmation: the time left goes on, and control may have taken it back. */
  confirmed(confirmation) {
    if (this.found?.state === 'ended') showConfirmation(this.waiting, this.ctx, confirmation, (error) => this.answered(error));
  }

  /** After Confirm or Roll back: what became of it is read again. */
  async answered(error) {
    const { signal } = this.stopping;
    try {
      const found = await this.ctx.api(`/deployments/${this.number}`, { signal, query: { after: this.after } });
      if (!signal.aborted) this.take(found);
    } catch {
      // the notice below says why the button could not
    }
    this.notice.show(error);
    this.onEnd();
  }

  progress() {
    const lines = (this.found.journal ?? []).map(progressLine).filter(Boolean);
    this.last = lines.at(-1) ?? this.last ?? 'running …';
    return this.last;
  }

  showTable({ table = [], left_out: leftOut = 0 }) {
    this.tableHead.hidden = table.length === 0;
    const { shown, more } = foldedTable(table, leftOut);
    const heads = ['Resource', 'State', 'Change', 'Verified', 'Detail'].map((each) => h('th', { scope: 'col' }, each));
    const body = shown.map((row) => h('tr', {}, ...rowCells(row)));
    fill(this.table, shown.length ? h('div', { class: 'table-frame' }, h('table', { class: 'stacked' }, h('caption', { class: 'unseen' }, 'Changed resources'),
      h('thead', {}, h('tr', {}, ...heads)), h('tbody', {}, ...body))) : null, more ? h('p', { class: 'quiet' }, more) : null);
  }
}

function rowCells(row) {
  const cell = (title, ...children) => h('td', { dataset: { title } }, children.some(Boolean) ? h('div', {}, children) : null);
  const verified = row.verification === 'failed' ? 'unreachable' : row.verification;
  const address = row.alike ? h('details', {}, h('summary', {}, row.address), row.alike.map((each) => h('div', { class: 'quiet' }, plain(each)))) : h('code', {}, plain(row.address));
  return [
    cell('Resource', address),
    cell('State', h('span', { class: `badge ${STATES[row.state] ?? ''}` }, row.state)),
    cell('Change', row.action ?? ''),
    cell('Verified', verified ? h('span', { class: `badge ${VERIFIED[row.verification] ?? ''}` }, verified) : ''),
    cell('Detail', plain(row.detail ?? '')),
  ];
}

function journalLine(line) {
  const words = progressLine(line);
  const text = words ?? `${line.step}${line.subject ? ` ${line.subject}` : ''}: ${line.state}`;
  return h('li', { class: words ? '' : 'quiet', dataset: { step: line.step, state: line.state } }, h('span', { class: 'cell-time' }, clock(line.at)), h('span', {}, plain(text)));
}
