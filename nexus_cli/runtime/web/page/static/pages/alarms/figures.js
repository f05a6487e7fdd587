// Key figures of ISA-18.2 beside their targets: load of an operator, floods, priorities, and which alarms to mend first.

import { askEvery } from '../../lib/asking.js';
import { PRIORITIES, lookOf, signOf } from '../../lib/alarm_facts.js';
import { fill, h } from '../../lib/elements.js';
import { count, duration, number, plain, time } from '../../lib/format.js';
import { Notice } from '../../lib/notices.js';
import { badge, field, table } from '../../lib/widgets.js';

const EVERY_MS = 60_000;
const SPANS = [['8h', 8], ['1d', 24], ['7d', 168], ['30d', 720], ['90d', 2160]];
const FLOOD_ABOVE = 10; // of one operator in 10 minutes
const NAMES = {
  'per-day': 'Alarms a day of one operator', 'per-hour': 'Alarms an hour', 'per-10-minutes': 'Alarms in 10 minutes', 'flood-share': 'Share of 10 minutes above 10 alarms',
  'share-low': 'Share of low', 'share-medium': 'Share of medium', 'share-high': 'Share of high', 'share-critical': 'Share of critical',
};
const percent = (given) => `${number(Math.round(given * 1000) / 10)} %`;

export class AlarmFigures {
  constructor(root, ctx) {
    Object.assign(this, { ctx, span: '7d', operators: 1 });
    this.notice = new Notice();
    this.body = h('div', { class: 'cards' });
    const span = h('select', { onchange: () => this.ask((this.span = span.value)) }, SPANS.map(([each]) => h('option', { value: each, selected: each === this.span }, `last ${each}`)));
    const operators = h('input', { type: 'number', min: '1', max: '1000', value: '1', onchange: () => {
      this.operators = Math.min(1000, Math.max(1, Math.round(Number(operators.value)) || 1));
      operators.value = String(this.operators);
      this.ask();
    } });
    fill(root, h('div', { class: 'toolbar figures-tools' }, field('Span', span), field('Operators', operators)), this.notice.element, this.body);
    this.asking = askEvery({
      ask: (signal) => ctx.api('/alerts/kpi', { signal, query: this.query(), timeoutMs: 120_000 }), shown: (found) => this.show(found),
      failed: (error) => this.notice.show(error), everyMs: EVERY_MS,
    });
  }

  close() {
    this.asking.stop();
  }

  twin() {
    return `nexus alarms kpi --since ${this.span} --operators ${this.operators}`;
  }

  query() {
    const until = Date.now() * 1000;
    return { since: until - SPANS.find(([each]) => each === this.span)[1] * 3_600_000_000, until, operators: this.operators };
  }

  ask() {
    this.asking.now();
    this.ctx.twinChanged();
  }

  show(found) {
    fill(this.body, loadCard(found), floodCard(found), priorityCard(found), actorCard(found), chatterCard(found), staleCard(found), firstOutCard(found));
  }
}

const card = (title, ...children) => h('section', { class: 'card', 'aria-label': title }, h('h2', {}, title), ...children);
const alarm = (name) => h('a', { href: `#/alarms/${encodeURIComponent(name)}` }, plain(name));

function loadCard({ figures, alarms, operators }) {
  const shown = (name, given) => (name.includes('share') ? percent(given) : number(Math.round(given * 100) / 100));
  const columns = [
    { title: 'Figure', cell: (each) => NAMES[each.name] ?? plain(each.name) },
    { title: 'Value', class: 'num', cell: (each) => h('strong', {}, shown(each.name, each.value)) },
    { title: 'Target', class: 'num', cell: (each) => `${each.name === 'share-low' ? 'about ' : each.name === 'share-medium' ? 'about ' : '≤ '}${shown(each.name, each.target)}` },
    { title: 'Worst', class: 'num', cell: (each) => (each.worst ? number(Math.round(each.worst * 100) / 100) : '') },
    { title: '', cell: (each) => badge(each.ok ? '✓ within' : '✗ outside', each.ok ? 'good' : 'bad') },
  ];
  return card('Load', h('p', { class: 'quiet' }, `${count(alarms)} alarms of ${count(operators)} ${operators === 1 ? 'operator' : 'operators'}`), table(columns, figures, { caption: 'Figures beside their targets' }));
}

const WIDE = 600;
const HIGH = 120;

/** A bar a piece of the span; a line where a flood begins. */
function bars({ bars: given, bar_us: width, operators }) {
  const limit = FLOOD_ABOVE * operators;
  const most = Math.max(limit * 1.3, ...given);
  const step = WIDE / given.length;
  const of = (wanted) => given.map((many, place) => (many && many > limit === wanted ? `M${(place * step).toFixed(2)} ${HIGH}v${(-HIGH * many / most).toFixed(2)}h${Math.max(step * 0.9, 0.4).toFixed(2)}V${HIGH}z` : '')).join('');
  const above = given.filter((many) => many > limit).length;
  const words = `Alarms in 10 minutes, a bar for ${duration(width / 1e6)}: at most ${count(Math.max(0, ...given))}; ${count(above)} bars are above the limit of ${count(limit)}.`;
  const y = HIGH - HIGH * limit / most;
  return [h('svg', { class: 'flood-bars', viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': words },
    h('path', { class: 'bar', d: of(false) }), h('path', { class: 'bar above', d: of(true) }), h('line', { class: 'bar-limit', x1: '0', x2: String(WIDE), y1: String(y), y2: String(y) })),
  h('p', { class: 'quiet' }, words)];
}

function floodCard(found) {
  const columns = [
    { title: 'Began', cell: (each) => time(each.begin, true) },
    { title: 'Ended', cell: (each) => (each.end ? time(each.end, true) : badge('it lasts', 'bad')) },
    { title: 'Peak in 10 min', class: 'num', cell: (each) => count(each.peak) },
    { title: 'Alarms', class: 'num', cell: (each) => count(each.alarms) },
  ];
  return card(`Floods: ${count(found.flood_count)}`, found.bars?.length ? bars(found) : null, table(columns, [...found.floods].reverse(), { caption: 'Floods', empty: 'None in this span.' }));
}

function priorityCard({ priorities, figures, alarms }) {
  const rows = PRIORITIES.map((name) => ({ name, many: priorities[name] ?? 0, figure: figures.find((each) => each.name === `share-${name}`) }));
  const bar = ({ name, many, figure }) => {
    const share = alarms ? many / alarms : 0;
    const meter = h('span', { class: `share ${lookOf(name)}`, style: { '--share': String(share), '--target': String(figure?.target ?? 0) } });
    return [h('dt', {}, `${signOf(name)} ${name}`), h('dd', {}, meter, h('span', {}, `${percent(share)} of about ${percent(figure?.target ?? 0)} · ${count(many)}`))];
  };
  return card('Priorities', h('dl', { class: 'facts shares' }, rows.map(bar)), h('p', { class: 'quiet' }, 'The mark is the target.'));
}

const actorCard = ({ bad_actors: actors }) => card('Came most often', table([
  { title: 'Alarm', cell: (each) => alarm(each.name) },
  { title: 'Times', class: 'num', cell: (each) => count(each.alarms) },
  { title: 'Of all', class: 'num', cell: (each) => percent(each.share) },
], actors, { caption: 'Alarms that came most often', empty: 'None.' }));

const chatterCard = ({ chattering }) => card('Chattering', h('p', { class: 'quiet' }, 'Three times within a minute.'), table([
  { title: 'Alarm', cell: (each) => alarm(each.name) },
  { title: 'Chattered', class: 'num', cell: (each) => count(each.times) },
  { title: 'Alarms', class: 'num', cell: (each) => count(each.alarms) },
], chattering, { caption: 'Chattering alarms', empty: 'None.' }));

const staleCard = ({ stale }) => card('Stale', h('p', { class: 'quiet' }, 'Active for more than 24 h.'), table([
  { title: 'Alarm', cell: (each) => alarm(each.name) },
  { title: 'Since', cell: (each) => time(each.since, true) },
  { title: 'Until', cell: (each) => (each.until ? time(each.until, true) : 'still') },
], stale, { caption: 'Stale alarms', empty: 'None.' }));

const firstOutCard = ({ first_out: first }) => card('First of cascades', table([
  { title: 'Alarm', cell: (each) => alarm(each.name) },
  { title: 'Group', cell: (each) => plain(each.group) },
  { title: 'Cascades', class: 'num', cell: (each) => count(each.times) },
  { title: 'Followed', class: 'num', cell: (each) => count(each.followers) },
], first, { caption: 'First of cascades', empty: 'None.' }));
