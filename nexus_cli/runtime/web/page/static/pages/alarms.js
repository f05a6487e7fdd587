// Alarms: what waits for an answer, the journal, and the key figures.

import { fill, h } from '../lib/elements.js';
import { shell } from '../lib/format.js';
import { AlarmFigures } from './alarms/figures.js';
import { AlarmJournal } from './alarms/journal.js';
import { AlarmList } from './alarms/list.js';

const VIEWS = [['', 'List', AlarmList], ['journal', 'Journal', AlarmJournal], ['figures', 'Key figures', AlarmFigures]];

class Alarms {
  constructor(root, ctx) {
    this.ctx = ctx;
    ctx.alarmsTwin = () => this.view?.twin();
    this.tabs = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Alarms', onkeydown: (event) => this.key(event) },
      VIEWS.map(([id, title]) => h('button', { type: 'button', role: 'tab', dataset: { view: id || 'list' }, onclick: () => this.go(id) }, title)));
    this.body = h('div', { class: 'page fill alarms-body', role: 'tabpanel' });
    fill(root, h('div', { class: 'page fill' }, this.tabs, this.body));
    ctx.onMoved = () => this.moved();
    this.open();
  }

  get wanted() {
    const asked = this.ctx.query.get('view') ?? '';
    return this.ctx.rest ? '' : VIEWS.some(([id]) => id === asked) ? asked : '';
  }

  go(id) {
    if (id !== this.id) location.hash = id ? `#/alarms?view=${id}` : '#/alarms';
  }

  key(event) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const at = VIEWS.findIndex(([id]) => id === this.id);
    this.go(VIEWS[(at + by + VIEWS.length) % VIEWS.length][0]);
    this.focusTab = true;
  }

  moved() {
    if (this.wanted === this.id && this.view.moved) this.view.moved();
    else this.open();
  }

  open() {
    this.view?.close();
    this.id = this.wanted;
    for (const each of this.tabs.children) {
      const chosen = each.dataset.view === (this.id || 'list');
      each.setAttribute('aria-selected', String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      if (chosen && this.focusTab) each.focus();
    }
    this.focusTab = false;
    fill(this.body);
    const View = VIEWS.find(([id]) => id === this.id)[2];
    this.view = new View(this.body, this.ctx);
    this.ctx.twinChanged();
  }

  close() {
    this.view.close();
  }
}

export const page = {
  id: 'alarms',
  title: 'Alarms',
  twin: (ctx) => (ctx.rest ? `nexus alarms why ${shell(ctx.rest)}` : ctx.alarmsTwin?.() ?? 'nexus alarms list'),
  mount(root, ctx) {
    if (!ctx.may('alerts:read')) {
      fill(root, h('p', { class: 'note' }, "Alarms are not shown: no role of yours has 'alerts' or 'acknowledge'."));
      return () => {};
    }
    const alarms = new Alarms(root, ctx);
    return () => alarms.close();
  },
};
