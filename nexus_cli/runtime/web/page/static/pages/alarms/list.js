// The list of alarms: what waits for an answer first. Rows in view alone are in the document: a flood of thousands scrolls.

import { FILTERS, PRIORITIES, areaOf, chosen, isUnanswered, lookOf, priorityWords, stateLook, stateOf, stateWords } from '../../lib/alarm_facts.js';
import { switches } from '../../lib/alarm_bell.js';
import { fill, h } from '../../lib/elements.js';
import { count, plain, time, value } from '../../lib/format.js';
import { markBox, markButtons, Marks } from '../../lib/marks.js';
import { Notice } from '../../lib/notices.js';
import { VirtualRows } from '../../lib/virtual_rows.js';
import { actButtons } from './acts.js';
import { AlarmPanel } from './panel.js';

const PERMISSIONS_MS = 60_000;
const narrow = matchMedia('(max-width: 900px)');
const HEADS = ['', 'Priority', 'State', 'Alarm', 'Value', 'Group', 'Since'];

export class AlarmList {
  constructor(root, ctx) {
    this.ctx = ctx;
    this.wanted = { state: ctx.query.get('state') || 'open', priority: '', group: '', area: '', search: '' };
    this.mine = new Set();
    this.notice = new Notice();
    this.mayNotice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.bar = h('div', { class: 'toolbar marks-bar' });
    this.marks = new Marks({ changed: () => this.marked() });
    this.panel = new AlarmPanel(ctx, { onClose: () => this.rows.select(null), mayAct: (name) => this.mine.has(name) });
    this.rows = new VirtualRows(h, {
      label: 'Alarms', height: () => (narrow.matches ? 62 : 34), key: (each) => each.name, draw: drawRow, onSelect: (each) => this.select(each),
      rowClass: (each) => `alarm-row${isUnanswered(each) ? ' unanswered' : ''}`, marked: (name) => this.marks.has(name), onMark: (each) => this.marks.flip(each.name),
    });
    const heads = h('div', { class: 'row-heads alarm-row', 'aria-hidden': 'true' }, HEADS.map((each) => h('span', {}, each)));
    fill(root, this.tools(), this.notice.element, this.mayNotice.element, this.said, this.bar,
      h('div', { class: 'with-detail' }, h('div', { class: 'device-table' }, heads, this.rows.root), this.panel.element));
    this.ends = [ctx.board.listen(() => this.show()), ctx.onSite(() => this.askPermissions())];
    this.asking = setInterval(() => this.askPermissions(), PERMISSIONS_MS);
    this.askPermissions();
    this.marked();
    this.show();
  }

  close() {
    clearInterval(this.asking);
    for (const end of this.ends) end();
    this.panel.close();
    this.rows.close();
  }

  twin() {
    if (this.ctx.rest) return null;
    const { state, priority, group, area } = this.wanted;
    const states = { open: '', all: ' --all', unanswered: ' --state active --state returned' }[state] ?? ` --state ${state}`;
    return `nexus alarms list${states}${priority && priority !== 'none' ? ` --priority ${priority}` : ''}${group ? ` --group ${group}` : ''}${area ? ` '${area}/**'` : ''}`;
  }

  async askPermissions() {
    try {
      const { acknowledge } = await this.ctx.api('/permissions');
      this.mine = new Set(acknowledge);
      this.mayNotice.show(null);
    } catch (error) {
      this.mayNotice.show(error, 'What you may do is not known:');
    }
    this.marked();
    this.panel.draw();
  }

  tools() {
    const select = (name, label, options) => h('select', { 'aria-label': label, dataset: { filter: name }, onchange: (event) => {
      this.wanted[name] = event.target.value;
      this.show();
      this.ctx.twinChanged();
    } }, options.map(([each, title]) => h('option', { value: each, selected: each === this.wanted[name] }, title)));
    const search = h('input', { type: 'search', placeholder: 'Filter: name, tag, words', 'aria-label': 'Filter alarms', spellcheck: 'false', oninput: () => {
      this.wanted.search = search.value;
      this.show();
    } });
    this.states = select('state', 'State', FILTERS);
    this.groups = select('group', 'Group', [['', 'every group']]);
    this.areas = select('area', 'Area', [['', 'every area']]);
    const priorities = select('priority', 'Priority', [['', 'every priority'], ...PRIORITIES.map((each) => [each, each]), ['none', 'alerts without one']]);
    return h('div', { class: 'toolbar' }, search, priorities, this.states, this.groups, this.areas, h('span', { class: 'spring' }), switches(this.ctx.notify));
  }

  /** The choices of a filter are what is there. */
  offer(select, names, any) {
    const wanted = [...new Set(names.filter(Boolean))].sort();
    if (select.value && !wanted.includes(select.value)) wanted.push(select.value);
    const key = wanted.join('\n');
    if (select.dataset.offered === key) return;
    const value = select.value;
    select.dataset.offered = key;
    fill(select, h('option', { value: '' }, any), wanted.map((each) => h('option', { value: each }, plain(each))));
    select.value = value;
    select.hidden = wanted.length === 0;
  }

  show() {
    const { board } = this.ctx;
    const all = board.list();
    this.notice.show(board.error, all.length ? 'The states below are from before:' : '');
    this.offer(this.groups, all.map((each) => each.group), 'every group');
    this.offer(this.areas, all.map(areaOf), 'every area');
    this.shown = chosen(all, this.wanted);
    this.rows.set(this.shown);
    this.marks.keep(board.alerts);
    const unanswered = all.filter(isUnanswered).length;
    this.said.textContent = all.length ? `${count(this.shown.length)} shown · ${count(unanswered)} unacknowledged · ${count(all.length)} declared`
      : board.ready ? 'The site declares no alerts that you may see (alerts:).' : 'Reading…';
    this.open();
    if (this.marks.keys.size) this.marked();
  }

  marked() {
    this.rows?.draw();
    const marked = [...this.marks.keys].map((name) => this.ctx.board.alerts.get(name)).filter(Boolean);
    const mine = marked.filter((each) => this.mine.has(each.name));
    const key = `${marked.length} ${mine.map((each) => `${each.name} ${each.changed}`).join()}`;
    if (key === this.barKey) return;
    this.barKey = key;
    const focused = document.activeElement?.dataset?.act;
    const shown = () => this.shown.filter((each) => this.mine.has(each.name)).map((each) => each.name);
    fill(this.bar, markButtons(this.marks, shown), this.marks.said, mine.length ? actButtons(this.ctx, mine, { acted: () => this.marks.set([]) }) : null,
      marked.length > mine.length ? h('span', { class: 'quiet' }, `${count(marked.length - mine.length)} of them you may not answer`) : null);
    if (focused) this.bar.querySelector(`[data-act="${focused}"]`)?.focus();
    this.bar.hidden = this.mine.size === 0;
  }

  select(alert) {
    const name = alert?.name ?? '';
    if (!alert && this.ctx.rest && this.rows.selected === this.ctx.rest) {
      this.panel.show(this.ctx.board.alerts.get(this.ctx.rest) ?? null, this.ctx.rest); // filtered out, and still looked at
      return;
    }
    this.panel.show(alert);
    if (name !== this.ctx.rest) history.replaceState(null, '', name ? `#/alarms/${this.ctx.pathOf(name)}` : '#/alarms');
    this.ctx.rest = name;
    this.ctx.twinChanged();
  }

  /** The alarm that the address names. */
  open() {
    const name = this.ctx.rest;
    if (name && this.rows.selected !== name) {
      this.rows.select(name);
      return;
    }
    this.panel.show(name ? this.ctx.board.alerts.get(name) ?? null : null, name || null);
  }

  moved() {
    const state = this.ctx.query.get('state');
    if (state && state !== this.wanted.state) {
      this.wanted.state = this.states.value = state;
      this.show();
    }
    if (!this.ctx.rest && this.rows.selected !== null) this.rows.select(null);
    else this.open();
  }
}

function drawRow(alert) {
  const { name, tag, description, first_out: firstOut, group, since } = alert;
  return [
    markBox(),
    h('span', { class: `priority-mark ${lookOf(alert.priority)}` }, priorityWords(alert)),
    h('span', {}, h('span', { class: `badge ${stateLook(alert)}`, dataset: { state: stateOf(alert) } }, stateWords(alert))),
    h('span', { class: 'alarm-name', title: [name, description, tag].filter(Boolean).map(plain).join('\n') }, firstOut ? h('span', { class: 'badge first-out', title: 'The first of its cascade' }, '1st out') : null,
      h('strong', {}, plain(name)), h('span', { class: 'quiet' }, ` ${plain(description || tag)}`)),
    h('span', { class: 'num' }, alert.state === 'cleared' ? '' : value(alert.value)),
    h('span', { class: 'wide-only' }, plain(group)),
    h('span', { class: 'quiet alarm-since' }, time(since, true)),
  ];
}
