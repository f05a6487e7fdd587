// One message: topic, time, and its payload in the form that fits, or in another one.

import { fill, h } from './elements.js';
import { bytes, plain, plainBlock, shell, time } from './format.js';
import { jsonView } from './json_view.js';
import { closer } from './notices.js';
import { KINDS, nameOf, stringify } from './payload.js';

/** The panel of a message; `show(message)` fills it. */
export class MessageDetail {
  constructor({ onClose }) {
    this.chosen = ''; // a form that the person chose stays for the next messages
    this.body = h('div', { class: 'detail-body' });
    this.element = h('section', { class: 'detail', 'aria-label': 'Message' }, closer(onClose), this.body);
    this.show(null);
  }

  show(message) {
    this.message = message;
    this.element.hidden = message === null;
    if (message === null) return;
    const { reading } = message;
    const kind = this.chosen && !reading.views[this.chosen].problem ? this.chosen : reading.best;
    fill(this.body, this.head(message), this.switcher(message, kind), payloadView(message, kind));
  }

  head(message) {
    const cut = message.bytes.length < message.size ? `, the first ${bytes(message.bytes.length)} of it are here` : '';
    return [
      h('h2', { class: 'detail-topic' }, plain(message.topic)),
      h('p', { class: 'quiet' }, `${time(message.receivedUs)} · ${bytes(message.size)}${cut}`,
        message.retained ? [' ', h('span', { class: 'badge' }, 'retained')] : null),
      h('p', { class: 'quiet' }, h('code', {}, `nexus tail ${shell(message.topic)} --json`)),
    ];
  }

  switcher(message, kind) {
    const { reading } = message;
    const choose = (each) => {
      this.chosen = each === reading.best ? '' : each;
      this.show(message);
      this.body.querySelector('[aria-pressed="true"]')?.focus();
    };
    const buttons = Object.entries(KINDS).map(([each, title]) =>
      h('button', {
        type: 'button', class: 'choice', 'aria-pressed': String(each === kind), dataset: { kind: each },
        title: reading.views[each].problem ? plain(reading.views[each].problem) : '', onclick: () => choose(each),
      }, title, each === reading.best ? h('span', { class: 'quiet' }, ' ·') : null));
    return h('div', { class: 'choices', role: 'group', 'aria-label': 'Payload as' }, ...buttons);
  }
}

function payloadView(message, kind) {
  const view = message.reading.views[kind];
  if (!message.bytes.length) return h('p', { class: 'quiet' }, 'An empty payload: it clears the retained message.');
  if (view.problem && view.text === undefined) return h('p', { class: 'note' }, `Not ${KINDS[kind]}: ${plain(view.problem)}.`);
  if (kind === 'sparkplug') return sparkplugView(view.value);
  if (view.text !== undefined) return h('pre', { class: 'payload' }, plainBlock(view.text));
  return jsonView(h, view.value);
}

function sparkplugView(payload) {
  const facts = [
    payload.time === null ? null : `time ${payload.time}`,
    payload.sequence === null ? null : `sequence ${payload.sequence}`,
    payload.uuid ? `uuid ${plain(payload.uuid)}` : null,
    payload.cut ? 'cut off: the metrics behind are not here' : null,
  ].filter(Boolean);
  const timed = payload.metrics.some((each) => each.time);
  const head = ['Metric', 'Type', 'Value', ...(timed ? ['Time'] : [])].map((title) => h('th', { scope: 'col' }, title));
  const rows = payload.metrics.map((each) => h('tr', {}, metricCells(each, timed)));
  return h('div', {}, h('p', { class: 'quiet' }, facts.join(' · ')),
    h('div', { class: 'table-frame' }, h('table', { class: 'figures metrics' }, h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows))));
}

function metricCells(metric, timed) {
  const named = metric.named ? ' (from its birth)' : '';
  const alias = metric.alias === null ? null : h('div', { class: 'quiet' }, `alias ${metric.alias}${named}`);
  const flags = ['historical', 'transient'].filter((each) => metric[each]).map((each) => h('span', { class: 'badge' }, each));
  return [
    h('td', {}, plain(nameOf(metric)), alias, ...flags,
      metric.description ? h('div', { class: 'quiet' }, plain(metric.description)) : null,
      metric.properties ? h('details', {}, h('summary', {}, 'properties'), jsonView(h, metric.properties)) : null),
    h('td', {}, metric.type),
    h('td', {}, valueCell(metric)),
    timed ? h('td', {}, metric.time ?? '') : null,
  ];
}

function valueCell(metric) {
  if (metric.isNull) return h('span', { class: 'quiet' }, 'null');
  const { value } = metric;
  return value !== null && typeof value === 'object' ? jsonView(h, value) : plain(typeof value === 'string' ? value : stringify(value));
}
