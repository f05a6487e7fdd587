// Alarms: the site's alerts with their state, who acknowledged them, and their changes.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { age, plain, shell, time, value } from '../lib/format.js';
import { Notice, button, lacking } from '../lib/notices.js';

const EVERY_MS = 5000;
const STATES = ['active', 'acknowledged', 'cleared'];
const SEVERITIES = ['critical', 'warning', 'info'];
const LOOK = { critical: 'bad', warning: 'warn', info: '' };

class Alarms {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx });
    this.alerts = [];
    this.may = null;
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.body = h('tbody', {});
    this.changes = h('section', { class: 'card', 'aria-label': 'Changes', hidden: true });
    fill(root, h('div', { class: 'page' }, this.notice.element, this.said, this.table(), this.changes));
    this.asking = askEvery({
      ask: (signal) => Promise.all([ctx.api('/alerts', { signal }), ctx.api('/permissions', { signal })]),
      shown: ([{ alerts }, may]) => this.show(alerts, may),
      failed: (error) => this.notice.show(error, this.alerts.length ? 'The states below are from before:' : ''),
      everyMs: EVERY_MS,
    });
    this.ends = [this.asking.stop, ctx.socket.events(['alert'], () => this.asking.now())];
    ctx.onMoved = () => this.open();
  }

  close() {
    for (const end of this.ends) end();
    this.journal?.stop();
  }

  table() {
    const heads = ['State', 'Severity', 'Alert', 'Value', 'Since', ''].map((each) => h('th', { scope: 'col' }, each));
    return h('div', { class: 'table-frame' }, h('table', { class: 'stacked' }, h('caption', { class: 'unseen' }, 'Alerts'), h('thead', {}, h('tr', {}, ...heads)), this.body));
  }

  show(alerts, may) {
    const place = (list, each) => (list.indexOf(each) + list.length + 1) % (list.length + 1);
    const order = (one, other) => place(STATES, one.state) - place(STATES, other.state) ||
      place(SEVERITIES, one.severity) - place(SEVERITIES, other.severity) || other.since - one.since || one.name.localeCompare(other.name);
    this.alerts = [...alerts].sort(order);
    this.may = may;
    const focused = document.activeElement?.dataset?.alert;
    fill(this.body, this.alerts.map((each) => this.row(each)));
    if (focused) this.body.querySelector(`[data-alert="${CSS.escape(focused)}"]`)?.focus();
    const active = alerts.filter((each) => each.state === 'active').length;
    const acknowledged = alerts.filter((each) => each.state === 'acknowledged').length;
    const nothing = 'The site declares no alerts that you may see (alerts:).';
    this.said.textContent = alerts.length ? `${active} active · ${acknowledged} acknowledged · ${alerts.length} declared` : nothing;
    this.open();
  }

  row(alert) {
    const { name, state, severity, tag } = alert;
    const look = state === 'cleared' ? '' : LOOK[severity] ?? '';
    const cell = (title, ...children) => h('td', { dataset: { title } }, children.some(Boolean) ? h('div', {}, children) : null);
    return h('tr', { dataset: { state } },
      cell('State', h('span', { class: `badge ${state === 'active' ? look : ''}` }, state)),
      cell('Severity', severity),
      cell('Alert', h('a', { href: `#/alarms/${this.ctx.pathOf(name)}`, dataset: { alert: name } }, plain(name)),
        h('div', { class: 'quiet' }, h('a', { href: `#/namespace/${this.ctx.pathOf(tag)}` }, plain(tag))),
        alert.description ? h('div', {}, plain(alert.description)) : null),
      cell('Value', value(alert.value)),
      cell('Since', h('span', { title: time(alert.since) }, age(alert.since)),
        alert.acknowledged_by ? h('div', { class: 'quiet' }, `by ${plain(alert.acknowledged_by)}`) : null),
      cell('', this.action(alert)));
  }

  action({ name, state }) {
    if (state !== 'active') return null;
    if (!this.may.acknowledge.includes(name)) return lacking(`No button: no role of yours has 'acknowledge: [${name}]'.`);
    return button('Acknowledge', () => this.acknowledge(name), { 'aria-label': `Acknowledge ${name}` });
  }

  async acknowledge(name) {
    try {
      await this.ctx.api(`/alerts/${encodeURIComponent(name)}/acknowledge`, { method: 'POST' });
      this.ctx.notify(`${name} is acknowledged.`, 'good');
    } catch (error) {
      this.notice.show(error);
    }
    await this.asking.now();
  }

  /** The changes of the alert that the address names. */
  open() {
    const name = this.ctx.rest;
    this.changes.hidden = !name;
    if (name === this.shown) return;
    this.shown = name;
    this.journal?.stop();
    this.journal = null;
    this.ctx.twinChanged();
    if (!name) return;
    const list = h('ol', { class: 'journal' });
    const notice = new Notice();
    fill(this.changes, h('div', { class: 'head' }, h('h2', {}, `Changes of ${plain(name)}`), h('span', { class: 'spring' }), h('a', { href: '#/alarms' }, 'Close')),
      notice.element, list);
    this.journal = askEvery({
      ask: (signal) => this.ctx.api(`/alerts/${encodeURIComponent(name)}/changes`, { signal, query: { limit: 100 } }),
      shown: ({ changes }) => fill(list, changes.length ? [...changes].reverse().map(change) : h('li', { class: 'quiet' }, 'No change is on record.')),
      failed: (error) => notice.show(error),
      everyMs: EVERY_MS,
    });
    this.changes.scrollIntoView({ block: 'nearest' });
  }
}

function change({ at, state, value: given, severity, acknowledged_by: by }) {
  return h('li', {}, h('span', { class: 'cell-time' }, time(at)), h('strong', {}, state),
    h('span', {}, `${severity}, value ${value(given)}${by ? `, by ${plain(by)}` : ''}`));
}

export const page = {
  id: 'alarms',
  title: 'Alarms',
  twin: (ctx) => (ctx.rest ? `nexus audit ${shell(ctx.rest)} --kind alert` : 'nexus audit --kind alert'),
  mount(root, ctx) {
    const alarms = new Alarms(root, ctx);
    return () => alarms.close();
  },
};
