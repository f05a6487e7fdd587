// Devices: the overview of every module, what is wrong with it, and taking it out of service.

import { askEvery } from '../lib/asking.js';
import { LOOK, SORTS, STATES, chosen, isWell, stateOf, whyOf, withPauses, words } from '../lib/device_facts.js';
import { DevicePanel } from '../lib/device_panel.js';
import { fill, h } from '../lib/elements.js';
import { age, count, plain, shell } from '../lib/format.js';
import { milliseconds } from '../lib/figures.js';
import { Notice } from '../lib/notices.js';
import { VirtualRows } from '../lib/virtual_rows.js';

const EVERY_MS = 5000;
const MOST = 5000;
const narrow = matchMedia('(max-width: 900px)');
const NUMBERS = ['polls', 'missed', 'errors', 'read time', 'last answer'];

class DevicesPage {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx, devices: [], search: '', only: 'all', sort: 'state', reverse: false });
    this.notice = new Notice();
    this.said = h('p', { class: 'quiet said', role: 'status' });
    this.panel = new DevicePanel(ctx, { onChanged: () => this.asking.now(), onClose: () => this.rows.select(null) });
    this.rows = new VirtualRows(h, {
      label: 'Devices', height: () => (narrow.matches ? 54 : 34), key: (each) => each.path, draw: (each) => drawRow(each),
      onSelect: (each) => this.select(each), rowClass: () => 'device-row',
    });
    this.heads = h('div', { class: 'row-heads device-row' });
    const table = h('div', { class: 'device-table' }, this.heads, this.rows.root);
    fill(root, h('div', { class: 'page fill' }, this.tools(), this.notice.element, this.said, h('div', { class: 'with-detail' }, table, this.panel.element)));
    this.drawHeads();
    this.asking = askEvery({
      ask: (signal) => Promise.all([ctx.api('/devices', { signal, query: { limit: MOST } }), this.pauses(signal)]),
      shown: ([{ devices, total }, { devices: pauses }]) => this.show(withPauses(devices, pauses), total),
      failed: (error) => this.notice.show(error, this.devices.length ? 'What is below is from before:' : ''), everyMs: EVERY_MS,
    });
    this.ends = [this.asking.stop, ctx.socket.events(['device', 'link'], () => this.soon())];
    ctx.onMoved = () => this.open();
  }

  close() {
    clearTimeout(this.timer);
    for (const end of this.ends) end();
    this.rows.close();
  }

  /** Who may not see what is out of service, or while control is away: none is shown so. */
  pauses(signal) {
    if (!this.ctx.may('devices:service') && !this.ctx.may('state:read')) return { devices: [] };
    return this.ctx.api('/out-of-service', { signal }).catch(() => ({ devices: [] }));
  }

  /** A flood of events asks once. */
  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.asking.now(), 500);
  }

  tools() {
    const search = h('input', {
      type: 'search', placeholder: 'Filter: path, protocol, gateway, reason', 'aria-label': 'Filter devices', spellcheck: 'false',
      oninput: () => {
        this.search = search.value;
        this.draw();
      },
    });
    this.states = h('select', { 'aria-label': 'State', onchange: () => {
      this.only = this.states.value;
      this.draw();
    } });
    const sorts = h('select', { class: 'narrow-only', 'aria-label': 'Sort by', onchange: () => this.sortBy(sorts.value) },
      ...Object.keys(SORTS).map((each) => h('option', { value: each }, `sort: ${each}`)));
    return h('div', { class: 'toolbar' }, search, this.states, sorts);
  }

  drawHeads() {
    fill(this.heads, Object.keys(SORTS).map((each) => h('button', {
      type: 'button', class: `plain ${NUMBERS.includes(each) ? 'num' : ''}`, dataset: { sort: each },
      'aria-label': `Sort by ${each}${this.sort === each ? (this.reverse ? ', turned round' : ', sorted') : ''}`, onclick: () => this.sortBy(each),
    }, each, this.sort === each ? (this.reverse ? ' ▲' : ' ▼') : '')));
  }

  sortBy(sort) {
    this.reverse = this.sort === sort && !this.reverse;
    this.sort = sort;
    this.drawHeads();
    this.heads.querySelector(`[data-sort="${sort}"]`)?.focus({ preventScroll: true });
    this.draw();
  }

  show(devices, total) {
    this.devices = devices;
    this.total = total;
    const counts = new Map();
    for (const each of devices) counts.set(stateOf(each), (counts.get(stateOf(each)) ?? 0) + 1);
    const problems = devices.filter((each) => !isWell(each)).length;
    const options = [['all', `all (${count(devices.length)})`], ['problems', `not well (${count(problems)})`],
      ...STATES.filter((each) => counts.has(each)).map((each) => [each, `${words(each)} (${count(counts.get(each))})`])];
    if (!options.some(([each]) => each === this.only)) options.push([this.only, `${this.only} (0)`]);
    fill(this.states, options.map(([each, title]) => h('option', { value: each }, title)));
    this.states.value = this.only;
    this.draw();
    this.open();
  }

  draw() {
    const shown = chosen(this.devices, this);
    this.rows.set(shown);
    const errors = shown.reduce((sum, each) => sum + (each.errors ?? 0), 0);
    const missed = shown.reduce((sum, each) => sum + (each.missed ?? 0), 0);
    this.said.textContent = `${count(shown.length)} of ${count(this.total ?? 0)} devices · ${count(missed)} missed · ${count(errors)} errors`;
  }

  select(device) {
    this.panel.show(device);
    const path = device?.path ?? '';
    if (path !== this.ctx.rest) history.replaceState(null, '', path ? `#/devices/${this.ctx.pathOf(path)}` : '#/devices');
    this.ctx.rest = path;
    this.ctx.twinChanged();
  }

  /** The device that the address names. */
  open() {
    const path = this.ctx.rest;
    if (path && this.rows.selected !== path) {
      this.rows.select(path);
      return;
    }
    const found = this.devices.find((each) => each.path === path) ?? null;
    this.panel.show(found);
  }
}

const known = (given) => (given === null || given === undefined ? '–' : count(given));

function drawRow(device) {
  const state = stateOf(device);
  const why = whyOf(device);
  return [
    h('span', {}, h('span', { class: `badge ${LOOK[state] ?? ''}` }, words(state))),
    h('span', { class: 'cell-path' }, plain(device.path), why ? h('span', { class: 'quiet' }, ` ${plain(why)}`) : null),
    h('span', { class: 'wide-only' }, plain(device.protocol ?? '')),
    h('span', { class: 'wide-only' }, plain(device.gateway ?? '')),
    h('span', { class: 'num' }, device.last_answer ? age(device.last_answer) : '–'),
    h('span', { class: 'num wide-only' }, known(device.polls)),
    h('span', { class: 'num wide-only' }, known(device.missed)),
    h('span', { class: 'num' }, known(device.errors)),
    h('span', { class: 'num wide-only' }, milliseconds(device.read_ms)),
  ];
}

export const page = {
  id: 'devices',
  title: 'Devices',
  twin: (ctx) => (ctx.rest ? `nexus tail ${shell(ctx.rest)}` : 'nexus status'),
  mount(root, ctx) {
    const made = new DevicesPage(root, ctx);
    return () => made.close();
  },
};
