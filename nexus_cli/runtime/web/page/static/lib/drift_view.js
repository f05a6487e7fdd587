// One look for drift: what differs from what is recorded, the worst first, and what could not be looked at.

import { fill, h } from './elements.js';
import { fold, foldedList } from './folded_list.js';
import { count, plain, time, value } from './format.js';
import { badge, facts } from './widgets.js';

const PAGE = 50;
const SEVERITIES = ['critical', 'high', 'medium', 'low'];
export const LOOKS = { critical: 'bad', high: 'bad', medium: 'warn', low: 'quiet' };
const PLANES = { declared: 'in the files', recorded: 'on record', observed: 'what gateways run', device: 'on the device', database: 'in the database' };
const DEVICE_LEVELS = 3;
const TAG_LEVELS = 4;

/** Badges of what a look found; one that found nothing says so. */
export function driftBadges({ counts, unknown }) {
  const found = SEVERITIES.filter((each) => counts[each]).map((each) => [badge(`${count(counts[each])} ${each}`, LOOKS[each]), ' ']);
  const missing = (typeof unknown === 'number' ? unknown : unknown.length);
  return [found.length ? found : badge('no drift', missing ? 'quiet' : 'good'), missing ? [' ', badge(`${count(missing)} not known`, 'warn')] : null];
}

/** A card of a report; `pathOf` writes paths into links. */
export function driftCard(report, { pathOf }) {
  const { time: at, deployment, running, devices, planes, ignored, findings, unknown, notes } = report;
  const list = h('tbody', {});
  const more = h('div', {});
  const choice = h('select', { 'aria-label': 'Severity', onchange: () => draw(PAGE) }, h('option', { value: '' }, `every severity (${count(findings.length)})`),
    SEVERITIES.filter((each) => report.counts[each]).map((each) => h('option', { value: each }, `${each} (${count(report.counts[each])})`)));
  function draw(until) {
    const chosen = findings.filter((each) => !choice.value || each.severity === choice.value);
    fill(list, chosen.slice(0, until).map((each) => h('tr', {}, findingCells(each, pathOf))));
    const left = chosen.length - until;
    fill(more, left > 0 ? h('button', { type: 'button', onclick: () => draw(until + PAGE) }, `Show ${count(Math.min(PAGE, left))} more of ${count(left)}`) : null);
  }
  draw(PAGE);
  const heads = ['Severity', 'Where', 'Kind', 'What', 'What to do'].map((each) => h('th', { scope: 'col' }, each));
  return h('section', { class: 'card', 'aria-label': `Look of ${time(at, true)}` },
    h('div', { class: 'head' }, h('h2', {}, `Looked ${time(at, true)}`), h('span', {}, driftBadges(report))),
    facts([
      ['Against', deployment ? h('a', { href: `#/deployments/${deployment}` }, `deployment ${deployment}`) : 'nothing is recorded'],
      ['In flight', running ? h('span', {}, h('a', { href: `#/deployments/${running}` }, `deployment ${running}`), ': what it changes is no drift') : ''],
      ['Looked at', planes.map((each) => PLANES[each] ?? plain(each)).join(', ')], ['Devices asked', count(devices)],
      ['Left out', ignored ? `${count(ignored)} by the schedule's own rules` : ''],
    ]),
    notes.map((each) => h('p', { class: 'note' }, plain(each))),
    findings.length ? [h('div', { class: 'toolbar' }, choice), h('div', { class: 'table-frame' }, h('table', { class: 'stacked drift-table' }, h('caption', { class: 'unseen' }, 'Drift'), h('thead', {}, h('tr', {}, heads)), list)), more]
      : h('p', { class: 'quiet' }, unknown.length ? 'Nothing differs, as far as could be looked at.' : 'Nothing differs.'),
    unknown.length ? fold('Could not be looked at', unknown.length, foldedList({ shown: unknown, total: unknown.length }, (each) => [places(each.path, pathOf), ` ${PLANES[each.plane] ?? ''}: ${plain(each.why)}`], { first: 20 }), { open: true }) : null);
}

function findingCells(each, pathOf) {
  const cell = (title, ...children) => h('td', { dataset: { title } }, children.some(Boolean) ? h('div', {}, children) : null);
  return [
    cell('Severity', badge(each.severity, LOOKS[each.severity] ?? 'warn')),
    cell('Where', places(each.path, pathOf)),
    cell('Kind', plain(each.kind), h('div', { class: 'quiet' }, PLANES[each.plane] ?? plain(each.plane))),
    cell('What', plain(each.text), h('div', { class: 'quiet' }, sides(each))),
    cell('What to do', plain(each.hint), each.adoptable ? h('div', { class: 'quiet' }, h('code', {}, 'nexus drift --adopt'), ' takes what the device has') : null),
  ];
}

const simple = (given) => given !== null && typeof given !== 'object';

function sides({ recorded, found }) {
  return simple(recorded) && simple(found) ? `recorded ${value(recorded)}, found ${value(found)}` : '';
}

/** Links to the device, and to its tag; any other address as text. */
function places(path, pathOf) {
  const levels = path.split('/');
  if (levels.length !== DEVICE_LEVELS && levels.length !== TAG_LEVELS) return h('code', {}, plain(path));
  const device = levels.slice(0, DEVICE_LEVELS).join('/');
  const link = (view, to, text) => h('a', { href: `#/${view}/${pathOf(to)}` }, h('code', {}, plain(text)));
  return [link('devices', device, device), levels.length === TAG_LEVELS ? ['/', link('namespace', path, levels.at(-1))] : null];
}
