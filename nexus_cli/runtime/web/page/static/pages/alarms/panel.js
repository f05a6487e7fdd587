// One alarm: what it is, what to do about it, why it is as it is, and the buttons of who may.

import { askEvery } from '../../lib/asking.js';
import { kindWords, lookOf, priorityWords, stateLook, stateWords } from '../../lib/alarm_facts.js';
import { fill, h } from '../../lib/elements.js';
import { duration, plain, reason, time, value } from '../../lib/format.js';
import { Notice, closer, lacking } from '../../lib/notices.js';
import { facts } from '../../lib/widgets.js';
import { actButtons } from './acts.js';

const EVERY_MS = 5000;

export class AlarmPanel {
  constructor(ctx, { onClose, mayAct }) {
    Object.assign(this, { ctx, onClose, mayAct });
    this.now = h('span', {});
    this.element = h('section', { class: 'detail', 'aria-label': 'Alarm', hidden: true });
    this.notice = new Notice();
    this.facts = h('div', {});
    this.why = h('div', {});
  }

  close() {
    this.asking?.stop();
    this.watching?.stop();
    this.asking = this.watching = null;
  }

  /** Shows an alert; null hides the panel. */
  show(alert, name = alert?.name ?? null) {
    this.element.hidden = name === null;
    if (name !== this.name) {
      this.close();
      this.name = name;
      this.alert = undefined;
      if (name === null) return;
      this.notice.show(null);
      fill(this.why, h('p', { class: 'quiet' }, 'Reading…'));
      fill(this.element, closer(this.onClose), h('h2', { class: 'detail-topic' }, plain(name)), this.facts, h('h3', {}, 'Why'), this.notice.element, this.why);
      this.asking = askEvery({
        ask: (signal) => this.ctx.api(`/alerts/${encodeURIComponent(name)}/why`, { signal }),
        shown: (found) => this.showWhy(found),
        failed: (error) => this.notice.show(error),
        everyMs: EVERY_MS,
      });
      this.watch(alert);
    }
    if (name === null || (alert && this.alert === alert)) return;
    const changed = Boolean(this.alert && alert);
    this.alert = alert;
    if (!this.watching) this.watch(alert);
    this.draw();
    if (changed) this.asking?.now();
  }

  watch(alert) {
    this.now.textContent = '–';
    if (!alert?.tag) return;
    this.watching = this.ctx.socket.watch([alert.tag], (rows) => {
      const [, given, quality, , why, label] = rows[rows.length - 1];
      this.now.textContent = `${value(given, label)}${quality === 'GOOD' ? '' : ` (${quality}: ${reason(why)})`}`;
    }, { everyMs: 1000, onError: () => {} });
  }

  draw() {
    const { alert } = this;
    if (!alert) {
      fill(this.facts, this.name && this.ctx.board.ready ? h('p', { class: 'quiet' }, 'There is no such alert that you may see.') : null);
      return;
    }
    const focused = document.activeElement?.dataset?.act;
    const by = (who, why) => [who ? `by ${plain(who)}` : '', why ? h('span', {}, `: ${plain(why)}`) : ''];
    const may = this.mayAct(alert.name);
    fill(this.facts,
      h('p', {}, h('span', { class: `badge ${stateLook(alert)}`, dataset: { state: alert.state } }, stateWords(alert)), ' ', h('span', { class: `priority-mark ${lookOf(alert.priority)}` }, priorityWords(alert)), ' ',
        alert.first_out ? h('span', { class: 'badge first-out' }, '1st out') : null),
      alert.description ? h('p', {}, plain(alert.description)) : null,
      facts([['Response', alert.response ? h('strong', {}, plain(alert.response)) : ''], ['Consequence', plain(alert.consequence)]]),
      may ? h('div', { class: 'actions' }, actButtons(this.ctx, [alert])) : lacking(`No buttons: no role of yours has 'acknowledge: [${alert.name}]'.`),
      facts([
        ['Tag', alert.tag ? h('a', { href: `#/namespace/${this.ctx.pathOf(alert.tag)}` }, plain(alert.tag)) : ''],
        ['Value', alert.state === 'cleared' ? '' : value(alert.value)],
        ['Now', alert.tag ? this.now : ''],
        ['Group', plain(alert.group)],
        ['Since', time(alert.since)],
        ['Acknowledged', alert.acknowledged_by ? `by ${plain(alert.acknowledged_by)}` : ''],
        ['Shelved until', alert.shelved_until ? [time(alert.shelved_until, true), ' ', ...by(alert.shelved_by, alert.shelved_reason)] : ''],
        ['Out of service since', alert.out_of_service ? [time(alert.out_of_service, true), ' ', ...by(alert.out_of_service_by, alert.out_of_service_reason)] : ''],
        ['Suppressed by', alert.suppressed_by ? h('a', { href: `#/alarms/${this.ctx.pathOf(alert.suppressed_by)}` }, plain(alert.suppressed_by)) : ''],
      ]));
    if (focused && !document.activeElement?.dataset?.act) this.facts.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  showWhy({ condition, holds, problem, watched = [], running = [], suppressors = {}, journal = [], notified = [] }) {
    const words = holds === null || holds === undefined ? `it can't be said: ${problem || 'no value yet'}` : holds ? 'holds' : 'does not hold';
    const last = [...journal].reverse();
    fill(this.why,
      h('p', { class: 'verdict' }, `${plain(condition)} – ${plain(words)}`),
      facts([
        ...watched.map((each) => [plain(each.path), `${value(each.value, each.label)} ${each.quality || 'no value yet'}${each.out_of_service ? ', out of service' : ''}`]),
        ...running.map((each) => [plain(each.what), `${duration(each.left_s)} left`]),
        ...notified.map((each) => [`${each.state === 'sent' ? 'told' : each.state} ${plain(each.channel)}`, [time(each.at), each.step, each.tries > 1 && `${each.tries} tries`, each.state !== 'sent' && plain(each.detail)].filter(Boolean).join(', ')]),
        ...Object.entries(suppressors).map(([name, state]) => [`suppressed by ${plain(name)}`, `while it is active; it is ${state}`]),
      ]),
      last.length ? [h('h3', {}, 'Last changes'), h('ol', { class: 'journal' }, last.map(journalLine)),
        h('p', {}, h('a', { href: `#/alarms?view=journal&name=${encodeURIComponent(this.name)}` }, 'All of its journal'))] : h('p', { class: 'quiet' }, 'No change is on record.'));
  }
}

function journalLine({ at, kind, value: given, who, reason: why, held }) {
  return h('li', {}, h('span', { class: 'cell-time' }, time(at)), h('strong', {}, kindWords(kind)),
    h('span', {}, `value ${value(given)}${who ? `, by ${plain(who)}` : ''}${why ? `: ${plain(why)}` : ''}${held && kind === 'active' ? ' (not announced)' : ''}`));
}
