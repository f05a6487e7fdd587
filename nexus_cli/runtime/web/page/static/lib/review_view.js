// What somebody looks at who signs a deployment: hazards, policies, approvals, what it does on each plane, and each change.

import { fill, h } from './elements.js';
import { fold, foldedList } from './folded_list.js';
import { count, plain, time } from './format.js';
import { Notice, button } from './notices.js';
import { planLines } from './plan_text.js';
import { badge, copyButton, facts, failure } from './widgets.js';

const PAGE = 50;
const RETRY_MS = 2000;
const SMALL = 5;
const PLANES = { devices: 'Devices', topics: 'Topics', rights: 'Rights', series: 'Series', load: 'Load', database: 'Database' };
const SEVERITIES = { error: 'bad', warning: 'warn', info: 'quiet' };
const MARKS = { create: ['+', 'added'], update: ['~', 'changed'], move: ['->', 'moved'], forget: ['-', 'removed'] };

/** Asks for the review of a deployment, again after a failure, until `signal` ends that. `isSaid()`: what is around it says such a failure. */
export class ReviewView {
  constructor(ctx, number, { signal, isSaid }) {
    Object.assign(this, { ctx, number, signal, isSaid });
    this.notice = new Notice();
    this.what = h('div', { class: 'review' }, h('p', { class: 'quiet' }, 'Reading…'));
    this.changes = h('div', { class: 'review-changes' });
    this.plan = h('div', { class: 'plan-place' });
    this.element = h('div', {}, this.what, this.changes, this.plan);
    this.start();
  }

  async start() {
    if (!this.ctx.may('state:read')) {
      fill(this.what, h('p', { class: 'quiet' }, "The plan is not shown: it holds recorded state, and your session has no 'state:read'."));
      return;
    }
    while (!this.signal.aborted) {
      try {
        const found = await this.page(0);
        if (!this.signal.aborted) this.show(found);
        return;
      } catch (error) {
        if (this.signal.aborted) return;
        fill(this.what, this.isSaid() ? h('p', { class: 'quiet' }, 'Not read yet.') : failure(error));
        if (error.status === 404 || error.status === 403) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  page(offset) {
    return this.ctx.api(`/deployments/${this.number}/review`, { signal: this.signal, query: { offset, limit: PAGE } });
  }

  show(found) {
    const all = `nexus show ${this.number} --format json`;
    fill(this.what, found.note ? h('p', { class: 'note' }, plain(found.note)) : null, signing(found),
      hazards(found, all), policies(found.policies, all), h('h3', {}, 'Impact'), impact(found, all),
      found.unknowns.length ? fold('Not known', found.unknowns.length, foldedList({ shown: found.unknowns, total: found.unknowns.length }, plain)) : null);
    this.drawn = 0;
    this.list = h('ul', { class: 'folded', 'aria-label': 'Changes' });
    this.more = h('div', {});
    const since = found.base ? [' since ', h('a', { href: `#/deployments/${found.base}` }, `deployment ${found.base}`)] : ' of an empty runtime';
    fill(this.changes, h('h3', {}, `${count(found.total)} ${found.total === 1 ? 'change' : 'changes'}`, since), this.list, this.notice.element, this.more);
    this.add(found);
    fill(this.plan, h('h3', {}, 'Plan'), planLines(found.text));
  }

  /** One page of changes below those that are there. */
  add({ changes, total }) {
    const before = this.drawn;
    this.drawn += changes.length;
    this.list.append(...changes.map(changeItem));
    const left = total - this.drawn;
    fill(this.more, left > 0 && changes.length ? button(`Show ${count(Math.min(PAGE, left))} more of ${count(left)}`, () => this.next()) : null);
    if (before) this.list.children[before]?.querySelector('summary')?.focus();
  }

  async next() {
    try {
      this.add(await this.page(this.drawn));
      this.notice.show(null);
    } catch (error) {
      if (!this.signal.aborted) this.notice.show(error);
    }
  }
}

/** What was agreed to: the effect as a digest, and who approved it. */
function signing({ effect, required, approvals, note, rollout }) {
  const who = approvals.map(({ signer, key, at, effect: of }) => h('div', {}, plain(signer && signer !== key ? `${signer} with key ${key}` : key),
    h('span', { class: 'quiet' }, ` · ${time(at, true)}`), rollout ? badge(`for all of rollout ${rollout}`) : effect && of !== effect ? badge('for another effect', 'bad') : null));
  const needed = required ? `${count(approvals.length)} of ${count(required)} needed` : note ? '' : 'none needed';
  return facts([
    ['Effect', effect ? h('span', { class: 'effect' }, h('code', {}, plain(effect)), copyButton(effect)) : 'not computed any more'],
    ['Approvals', needed || approvals.length ? h('div', {}, needed ? h('span', { class: required > approvals.length ? 'problem' : null }, needed) : null, who) : ''],
  ]);
}

function hazards({ hazards: { total, shown }, note }, all) {
  if (!total) return h('p', { class: 'quiet' }, note ? 'No hazard that is still known.' : 'No hazard: nothing that needs a consent.');
  return [h('h3', {}, 'Hazards'), foldedList({ total, shown }, (each) => [
    badge(each.allowed ? 'consented' : 'no consent', each.allowed ? 'warn' : 'bad'), ' ', h('b', {}, plain(each.name)), ` ${plain(each.message)}`,
    each.measured ? h('span', { class: 'quiet' }, ` (${plain(each.measured)})`) : null,
  ], { more: all })];
}

function policies({ total, shown }, all) {
  if (!total) return null;
  return [h('h3', {}, 'Policies that it violates'), foldedList({ total, shown }, (each) => [
    badge(each.severity, SEVERITIES[each.severity] ?? 'warn'), ' ', h('b', {}, plain(each.name)), each.owner ? ` (${plain(each.owner)})` : '', `: ${plain(each.message)}`,
    h('div', { class: 'quiet' }, [policyWords(each), each.recorded ? 'on record before' : 'new with this deployment'].filter(Boolean).join(' · ')),
    each.paths.length <= 1 && !each.more ? h('div', { class: 'quiet' }, each.paths.map(plain))
      : fold('paths', each.paths.length + each.more, foldedList({ shown: each.paths, total: each.paths.length + each.more }, plain, { first: 20, more: all })),
  ], { more: all })];
}

function policyWords({ severity, blocking }) {
  if (blocking) return 'no consent overrides it';
  return severity === 'error' ? 'needs a consent' : '';
}

function impact({ impact: planes, load, readers, templates, rights }, all) {
  const shown = planes.map(({ plane, total, shown: entries }) => fold(PLANES[plane] ?? plain(plane), total, foldedList({ total, shown: entries }, (each) => [
    plain(each.text), each.measured ? `: ${plain(each.measured)}` : '', h('span', { class: 'quiet' }, ` ${plain(each.address)}`),
  ], { more: all }), { open: total <= SMALL }));
  const lists = [
    rights.length ? fold('Who gains and loses', rights.length, foldedList({ shown: rights, total: rights.length }, (each) => plain(each.trim()), { more: all }), { open: rights.length <= SMALL }) : null,
    load.total ? fold('Load of links', load.total, foldedList(load, (each) => [
      each.share_after > 1 ? badge('too slow', 'bad') : each.basis === 'unknown' ? badge('not known', 'warn') : null, ' ', h('code', {}, plain(each.link)), ` ${plain(each.text)}`,
    ], { more: all }), { open: load.shown.some((each) => each.share_after > 1) }) : null,
    readers.total ? fold('Readers of what changes', readers.total, foldedList(readers, (each) => [`${plain(each.kind)} `, h('b', {}, plain(each.name)), `: ${plain(each.path)} ${plain(each.change)}: ${plain(each.effect)}`], { more: all })) : null,
    templates.total ? fold('Templates', templates.total, foldedList(templates, (each) => `${plain(each.template)}: ${plain(each.text)}`, { more: all })) : null,
  ].filter(Boolean);
  return shown.length || lists.length ? [...shown, ...lists] : h('p', { class: 'quiet' }, 'None.');
}

/** One change, its lines made when it is opened. */
function changeItem({ address, action, lines }) {
  const [mark, kind] = MARKS[action] ?? ['?', ''];
  const head = [h('span', { class: `plan-mark ${kind}`, title: action }, mark), ' ', h('code', {}, plain(address)), h('span', { class: 'unseen' }, ` ${action}`)];
  if (lines.length < 2) return h('li', {}, h('span', { class: 'change-bare' }, head));
  const body = h('div', {});
  const opened = ({ target }) => {
    if (target.open && !body.firstChild) fill(body, planLines(lines.slice(1).join('\n')));
  };
  return h('li', {}, h('details', { class: 'fold change', ontoggle: opened }, h('summary', {}, head), body));
}
