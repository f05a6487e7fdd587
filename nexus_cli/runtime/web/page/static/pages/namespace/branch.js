// The card of an area, line or device: how its tags are, and for a device how its connection is.

import { crumbs } from './card.js';

const REFRESH_MS = 5000;

/** Mounts into `root`. place: of the tree. Returns {unmount, counts(counts), twin()}. */
export function mountBranch(root, ctx, place, { onBack }) {
  const { h, fill, format, widgets } = ctx;
  const state = { stopped: false };
  const numbers = h('div', { class: 'branch-counts' });
  const device = h('div', {});
  fill(
    root,
    h(
      'div',
      { class: 'card' },
      h('button', { type: 'button', class: 'plain back', onclick: onBack }, '← Tree'),
      place.path.includes('/') ? crumbs(ctx, place.path) : h('p', { class: 'crumbs quiet' }, 'area'),
      h('div', { class: 'head' }, h('h2', { tabIndex: -1 }, format.plain(place.name)), widgets.badge(place.kind), place.enabled === false ? widgets.badge('out of service', 'warn') : null),
      place.description ? h('p', {}, format.plain(place.description)) : null,
      numbers,
    ),
    place.kind === 'device' ? h('div', { class: 'card' }, h('h3', {}, 'Connection'), device) : null,
  );
  show(place.counts || {});
  let timer = 0;
  if (place.kind === 'device') {
    load();
    timer = setInterval(() => document.visibilityState !== 'hidden' && load(), REFRESH_MS);
  }

  function show(counts) {
    const parts = [['GOOD', 'good'], ['UNCERTAIN', 'uncertain'], ['BAD', 'bad']];
    fill(
      numbers,
      parts.map(([name, kind]) => h('div', { class: `number ${kind}${counts[name] ? '' : ' zero'}` }, h('div', { class: 'number-value' }, format.count(counts[name] || 0)), widgets.quality(name))),
      h('div', { class: 'number' }, h('div', { class: 'number-value' }, format.count(place.tags)), h('span', { class: 'quiet' }, 'tags')),
    );
  }

  async function load() {
    try {
      const found = await ctx.api(`/devices/${ctx.pathOf(place.path)}`);
      if (!state.stopped) fill(device, deviceFacts(ctx, found.device || found));
    } catch (error) {
      if (!state.stopped) fill(device, error.status === 404 ? h('p', { class: 'quiet' }, 'Nothing is known of its connection.') : widgets.failure(error));
    }
  }

  return {
    unmount() {
      state.stopped = true;
      clearInterval(timer);
    },
    counts(counts) {
      const own = counts[place.path];
      if (own) show({ GOOD: own[0], UNCERTAIN: own[1], BAD: own[2] });
    },
    values() {},
    twin: () => (place.kind === 'device' ? `nexus show ${format.shell(place.path)}` : 'nexus show'),
  };
}


function deviceFacts({ h, format, widgets, pathOf }, found) {
  const moment = (given) => (given ? `${format.time(given, true)} (${format.age(given)} ago)` : '');
  const number = (given) => (given === null || given === undefined ? '' : format.count(given));
  const kind = { answers: 'good', silent: 'bad', link: 'bad', gateway: 'bad' }[found.state] || 'quiet';
  const facts = widgets.facts([
    ['State', h('span', {}, widgets.badge(found.state, kind), found.detail ? ` ${format.plain(found.detail)}` : '')],
    ['Since', moment(found.since)],
    ['Protocol', format.plain(found.protocol)],
    ['Gateway', format.plain(found.gateway)],
    ['Link', format.plain([found.link, found.link_state, found.link_detail].filter(Boolean).join(' · '))],
    ['Last answer', found.last_answer === 0 ? 'never' : moment(found.last_answer)],
    ['Polls', number(found.polls)],
    ['Missed', number(found.missed)],
    ['Errors', number(found.errors)],
    ['A read takes', found.read_ms === null || found.read_ms === undefined ? '' : `${format.number(Math.round(found.read_ms * 10) / 10)} ms`],
  ]);
  return [facts, h('p', {}, h('a', { href: `#/devices/${pathOf(found.path || '')}` }, 'All about this device'))];
}
