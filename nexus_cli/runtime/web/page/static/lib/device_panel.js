// One device: its connection, counters and errors, and the buttons that take it out of service and back.

import { LOOK, errorKinds, stateOf, whyOf, words } from './device_facts.js';
import { fill, h, uniqueId } from './elements.js';
import { age, count, plain, shell, time } from './format.js';
import { milliseconds } from './figures.js';
import { Notice, button, closer, lacking } from './notices.js';
import { facts } from './widgets.js';

const DOCUMENTS = {
  another: 'It runs another configuration than is recorded.',
  absent: 'Its gateway runs, but not this device.',
};
const SPANS = [['15 minutes', 900], ['1 hour', 3600], ['4 hours', 14_400], ['8 hours', 28_800]];

/** `onChanged()` is called after a device was taken out of service, or back; `onClose()` by the cross. */
export class DevicePanel {
  constructor(ctx, { onChanged, onClose }) {
    Object.assign(this, { ctx, onChanged });
    this.path = '';
    this.notice = new Notice();
    this.facts = h('div', {});
    this.service = h('div', { class: 'service' });
    this.title = h('h2', { class: 'detail-topic' });
    this.element = h('section', { class: 'detail', 'aria-label': 'Device', hidden: true }, closer(onClose), this.title, this.notice.element, this.facts, this.service);
  }

  /** Show a device; null hides the panel. What is typed in the form stays while the same device is shown. */
  show(device) {
    this.element.hidden = device === null;
    if (device === null) {
      this.path = '';
      return;
    }
    if (this.path !== device.path) {
      this.path = device.path;
      this.notice.show(null);
      this.ask(device.path);
    }
    const key = `${device.path} ${Boolean(device.out_of_service)} ${this.serves}`;
    this.title.textContent = plain(device.path);
    fill(this.facts, this.head(device), figures(device));
    this.device = device;
    if (this.shown !== key) this.form(device);
    else if (device.out_of_service) fill(this.outFacts, outFacts(device.out_of_service));
    this.shown = key;
  }

  /** Whether the caller may take it out of service: asked once for each device. */
  async ask(path) {
    this.serves = undefined;
    const found = await this.ctx.api('/permissions', { query: { device: path } }).catch(() => null);
    if (this.path !== path) return;
    this.serves = found?.serves ?? true; // while that is not known control says it
    this.show(this.device);
  }

  head(device) {
    const state = stateOf(device);
    const why = whyOf(device);
    return [
      h('p', {}, h('span', { class: `badge ${LOOK[state] ?? ''}`, dataset: { state } }, words(state)), ' ',
        h('a', { href: `#/namespace/${this.ctx.pathOf(device.path)}` }, 'its tags')),
      device.description ? h('p', { class: 'quiet' }, plain(device.description)) : null,
      DOCUMENTS[device.document] ? h('p', { class: 'failure' }, DOCUMENTS[device.document]) : null,
      why && !device.out_of_service ? h('p', { class: 'failure' }, plain(why)) : null,
    ];
  }

  form(device) {
    const out = device.out_of_service;
    this.outFacts = h('div', {}, outFacts(out));
    if (!this.serves) {
      const why = "No button to take it out of service: no role of yours writes one of its tags, or has it in 'apply'.";
      fill(this.service, this.outFacts, this.serves === false ? lacking(why) : null);
      return;
    }
    if (out) {
      fill(this.service, this.outFacts, h('div', { class: 'actions' }, button('Back in service', () => this.back(device.path), { class: 'primary' })));
      return;
    }
    const reason = h('input', { id: uniqueId('why'), type: 'text', name: 'reason', maxlength: '500', autocomplete: 'off' });
    const span = h('select', { id: uniqueId('span'), name: 'span' }, ...SPANS.map(([title, seconds]) => h('option', { value: String(seconds) }, title)));
    span.value = '3600';
    fill(this.service, h('h3', {}, 'Out of service'), h('p', { class: 'quiet' }, h('code', {}, `nexus device out-of-service ${shell(device.path)} --for 1h --reason WHY`)), h('p', { class: 'quiet' }, 'Its gateway disconnects from it and reads nothing; it ends by itself.'),
      h('div', { class: 'field' }, h('label', { for: reason.id }, 'Reason'), reason),
      h('div', { class: 'field' }, h('label', { for: span.id }, 'For'), span),
      h('div', { class: 'actions' }, button('Take out of service', () => this.out(device.path, reason, Number(span.value)), { class: 'danger' })));
  }

  async out(path, reason, seconds) {
    if (!reason.value.trim()) {
      this.notice.show('A reason is needed: it is in the audit trail.');
      reason.focus();
      return;
    }
    await this.steer(path, { method: 'POST', body: { reason: reason.value.trim(), for_s: seconds } }, 'is out of service.');
  }

  async back(path) {
    await this.steer(path, { method: 'DELETE' }, 'is back in service.');
  }

  async steer(path, options, done) {
    try {
      await this.ctx.api(`/devices/${this.ctx.pathOf(path)}/out-of-service`, options);
      this.notice.show(null);
      this.ctx.notify(`${path} ${done}`, 'good');
      await this.onChanged();
    } catch (error) {
      this.notice.show(error);
    }
  }
}

const known = (given) => (given === null || given === undefined ? 'not known' : count(given));

function outFacts(out) {
  if (!out) return null;
  return facts([
    ['Out of service', plain(out.reason ?? '')], ['By', plain(out.who)], ['Since', time(out.since, true)], ['Until', time(out.until, true)],
    ['In force', out.in_force ? 'the gateway has closed the session' : 'not yet: the gateway has not said so'],
  ]);
}

function figures(device) {
  const errors = errorKinds(device);
  return [
    facts([
      ['Protocol', plain(device.protocol ?? '')], ['Gateway', plain(device.gateway ?? '')], ['Link', `${plain(device.link)}${device.link_state ? ` · ${device.link_state}${device.link_since ? ` for ${age(device.link_since)}` : ''}` : ''}`],
      ['Tags', `${count(device.tags)} · ${count(device.counts.GOOD)} good, ${count(device.counts.UNCERTAIN)} uncertain, ${count(device.counts.BAD)} bad`],
      ['In this state', device.since ? `${age(device.since)} (since ${time(device.since, true)})` : ''],
      ['Last answer', device.last_answer ? `${age(device.last_answer)} ago (${time(device.last_answer, true)})` : device.last_answer === 0 ? 'none yet' : 'not known'],
      ['Polls', known(device.polls)], ['Missed', known(device.missed)], ['Left out', device.skipped ? `${count(device.skipped)} during back-offs` : ''],
      ['Read time', device.read_ms === null ? 'not known' : milliseconds(device.read_ms)],
      ['Errors', known(device.errors)],
      ['Polled instead', device.polled_instead ? `${count(device.polled_instead)} tags: ${plain(device.limits)}` : ''],
    ]),
    errors.length ? h('div', { class: 'table-frame' }, h('table', { class: 'figures' }, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Errors by kind'), h('th', { scope: 'col', class: 'num' }, 'Count'))),
      h('tbody', {}, errors.map(([kind, each]) => h('tr', {}, h('td', {}, plain(kind)), h('td', { class: 'num' }, count(each))))))) : null,
  ];
}
