// Health: every part of the runtime, what is wrong with it, and how long operations take.

import { askEvery } from '../lib/asking.js';
import { LOOKS } from '../lib/drift_view.js';
import { fill, h } from '../lib/elements.js';
import { age, bytes, count, duration, plain, time } from '../lib/format.js';
import { milliseconds } from '../lib/figures.js';
import { Notice } from '../lib/notices.js';
import { badge, facts, table } from '../lib/widgets.js';

const EVERY_MS = 5000;
const SLOW_MS = 15_000;
const ROLE_LOOK = { running: 'good', waiting: 'warn', stopping: 'warn', lost: 'bad', silent: 'bad' };
const LINK_LOOK = { connected: 'good', connecting: 'warn', idle: 'quiet', backoff: 'bad' };
const SOON_S = 30 * 86_400;

class HealthPage {
  constructor(root, ctx) {
    this.ctx = ctx;
    this.notice = new Notice();
    this.slowNotice = new Notice();
    this.said = h('div', { role: 'status' });
    this.cards = h('div', { class: 'cards' });
    this.latencies = h('section', { class: 'card', 'aria-label': 'Latencies' }, h('h2', {}, 'Latencies'), this.slowNotice.element);
    this.slow = h('div', {});
    this.latencies.append(this.slow);
    fill(root, h('div', { class: 'page' }, this.notice.element, this.said, this.cards, this.latencies));
    const ask = (path, shown, notice, everyMs) => askEvery({
      ask: (signal) => ctx.api(path, { signal }), shown, everyMs,
      failed: (error) => notice.show(error, this.found ? 'What is below is from before:' : ''),
    });
    const health = ask('/health', (found) => this.show(found), this.notice, EVERY_MS);
    const latencies = ask('/latencies', (found) => this.showLatencies(found), this.slowNotice, SLOW_MS);
    const events = ctx.socket.events(['role', 'link'], () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(health.now, 500);
    });
    this.ends = [health.stop, latencies.stop, events, () => clearTimeout(this.timer)];
  }

  close() {
    for (const end of this.ends) end();
  }

  show(found) {
    this.found = found;
    const { state, problems, deployment } = found;
    fill(this.said, h('p', { class: 'run-said' }, badge(state, state === 'up' ? 'good' : 'bad'), ` deployment ${deployment}`),
      problems.length ? h('ul', { class: 'failure problems' }, problems.map((each) => h('li', {}, plain(each)))) : null);
    fill(this.cards, rolesCard(found), serversCard(found), fieldCard(found), outboxCard(found), diskCard(found), certificateCard(found), driftCard(found));
  }

  showLatencies({ rows, missing }) {
    const by = new Map();
    for (const row of rows) {
      const key = `${row.role} ${row.name} ${row.operation}`;
      by.set(key, { ...by.get(key), role: row.role, name: row.name, operation: row.operation, [row.window]: row });
    }
    const figure = (window, field) => (each) => (each[window]?.count ? milliseconds(each[window][field]) : '–');
    const columns = [
      { title: 'Process', cell: (each) => plain(each.name && each.name !== each.role ? `${each.role} ${each.name}` : each.role) },
      { title: 'Operation', cell: (each) => each.operation },
      ...[['1m', '1 min'], ['1h', '1 h']].flatMap(([window, title]) => [
        { title, class: 'num', cell: (each) => count(each[window]?.count ?? 0) },
        ...['p50', 'p95', 'p99', 'max'].map((each) => ({ title: each, class: 'num', cell: figure(window, `${each}_ms`) })),
      ]),
    ];
    fill(this.slow, table(columns, [...by.values()], { caption: 'Latencies', empty: 'No process has said how long its operations take.' }),
      missing.length ? h('p', { class: 'quiet' }, `Nothing said: ${missing.map(plain).join('; ')}`) : null);
  }
}

const card = (title, ...children) => h('section', { class: 'card', 'aria-label': title }, h('h2', {}, title), ...children);

function rolesCard({ roles }) {
  const columns = [
    { title: 'Role', cell: (each) => [plain(each.name && each.name !== each.role ? `${each.role} ${each.name}` : each.role), each.detail ? h('div', { class: 'quiet' }, plain(each.detail)) : null] },
    { title: 'State', cell: (each) => badge(each.state, ROLE_LOOK[each.state] ?? 'warn') },
    { title: 'Said', cell: (each) => (each.time ? age(each.time) : '–') },
    { title: 'Version', cell: (each) => plain(each.version ?? '') },
  ];
  return card('Roles', table(columns, roles, { caption: 'Roles', empty: 'None has reported.' }));
}

function serversCard({ broker, database }) {
  const server = (each) => [badge(each.state, each.state === 'up' ? 'good' : 'bad'), each.detail ? ` ${plain(each.detail)}` : ''];
  const size = database.size_bytes === null || database.size_bytes === undefined ? '' : bytes(database.size_bytes);
  return card('Broker and database', facts([['Broker', h('span', {}, server(broker))], ['Database', h('span', {}, server(database))], ['Size', size]]));
}

function fieldCard({ links, silent_devices: silent, counts }) {
  const shown = (given, look) => Object.entries(given).map(([name, each]) => [badge(`${count(each)} ${name.replaceAll('_', ' ')}`, look[name] ?? 'warn'), ' ']);
  return card('Field', facts([
    ['Links', Object.keys(links).length ? h('span', {}, shown(links, LINK_LOOK)) : 'none known'],
    ['Silent devices', Object.keys(silent).length ? h('span', {}, shown(silent, {})) : 'none'],
    ['Tags', `${count(counts.GOOD)} good, ${count(counts.UNCERTAIN)} uncertain, ${count(counts.BAD)} bad`],
  ]), h('p', {}, h('a', { href: '#/devices' }, 'The devices')));
}

function outboxCard({ outboxes }) {
  const lost = (each) => Object.entries(each.lost).filter(([, many]) => many).map(([name, many]) => `${count(many)} ${plain(name).replaceAll('_', ' ')}`).join(', ');
  const columns = [
    { title: 'Gateway', cell: (each) => [plain(each.gateway), each.failing ? h('div', { class: 'problem' }, plain(each.failing)) : null] },
    { title: 'Size', class: 'num', cell: (each) => bytes(each.size_bytes) },
    { title: 'Free', class: 'num', cell: (each) => (each.free_bytes === null ? '–' : bytes(each.free_bytes)) },
    { title: 'Not committed', class: 'num', cell: (each) => count(each.uncommitted) },
    { title: 'Lost', cell: (each) => (lost(each) ? h('span', { class: 'problem' }, lost(each)) : 'nothing') },
  ];
  return card('Outboxes', table(columns, outboxes, { caption: 'Outboxes', empty: 'No gateway has reported.' }));
}

function diskCard({ disks }) {
  const row = ({ where, total_bytes: total, free_bytes: free }) => {
    const meter = h('meter', { min: '0', max: String(total), low: String(total * 0.8), high: String(total * 0.9), optimum: '0', value: String(total - free), 'aria-label': `Used of ${plain(where)}` });
    return [plain(where), h('span', { class: 'gauge' }, meter, `${bytes(free)} free of ${bytes(total)}`)];
  };
  return card('Disks', disks.length ? facts(disks.map(row)) : h('p', { class: 'quiet' }, 'Not known.'));
}

function certificateCard({ certificates }) {
  const left = (each) => each.not_after / 1e6 - Date.now() / 1000;
  const columns = [
    { title: 'Certificate', cell: (each) => [plain(each.name), each.doubt ? h('div', { class: 'problem' }, plain(each.doubt)) : null] },
    { title: 'Ends', cell: (each) => time(each.not_after, true) },
    { title: 'In', cell: (each) => (left(each) > 0 ? badge(duration(left(each)), left(each) < SOON_S ? 'warn' : 'good') : badge('over', 'bad')) },
  ];
  return card('Certificates', table(columns, certificates, { caption: 'Certificates', empty: 'This runtime has none: without TLS.' }));
}

function driftCard({ drift }) {
  if (!drift) return null;
  const { findings, unknown, looked, problem } = drift;
  const shown = Object.entries(findings).filter(([, many]) => many).map(([severity, many]) => [badge(`${count(many)} ${severity}`, LOOKS[severity] ?? 'warn'), ' ']);
  return card('Drift', facts([
    ['Findings', !looked ? 'not looked for yet' : shown.length ? h('span', {}, shown) : 'none'],
    ['Not known', count(unknown)],
    ['Looked', looked ? age(looked) : '–'],
  ]), problem ? h('p', { class: 'problem' }, plain(problem)) : null, h('p', {}, h('a', { href: '#/drift' }, 'What differs')));
}

export const page = {
  id: 'health',
  title: 'Health',
  twin: () => 'nexus status',
  mount(root, ctx) {
    const made = new HealthPage(root, ctx);
    return () => made.close();
  },
};
