// The card of a tag: what it holds now and why, and in tabs what is known about it.

import { everySecond } from '../../lib/beat.js';
import { setText } from '../../lib/elements.js';
import { sparkline } from '../../lib/sparkline.js';
import { mountHistory } from './history.js';
import { accessTab, alarmsTab, commandsTab, configurationTab, lineageTab } from './tabs.js';
import { openWrite } from './write.js';

const SPARK_MS = 300_000;
const MOST_SPARK = 600;

/** Mounts into `root`. live: newest rows by path. Returns {unmount, values(rows), twin()}. */
export function mountCard(root, ctx, path, { live, onBack }) {
  const { h, fill, format, widgets } = ctx;
  const state = { card: null, stopped: false, row: live.values.get(path), spark: [], tab: 'history', part: null };
  const number = h('span', {});
  const unit = h('span', { class: 'now-unit' });
  const value = h('div', { class: 'now-value' }, number, unit);
  const quality = h('div', { class: 'now-quality' });
  const spark = h('div', { class: 'now-spark' });
  const age = h('span', { class: 'quiet' });
  const why = h('div', { class: 'why' });
  const writeButton = h('button', { type: 'button', class: 'primary', hidden: true, onclick: write }, 'Write…');
  const words = h('p', { class: 'card-words' });
  const note = h('p', { class: 'quiet may-write', hidden: true });
  const body = h('div', { class: 'tab-body', role: 'tabpanel', tabIndex: 0 });
  const tabs = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'About this tag', onkeydown: tabKey });
  fill(
    root,
    h(
      'div',
      { class: 'card tag-card' },
      h('button', { type: 'button', class: 'plain back', onclick: onBack }, '← Tree'),
      crumbs(ctx, path),
      h('div', { class: 'head' }, h('h2', { tabIndex: -1 }, format.plain(path.split('/').pop())), widgets.copyButton(path, 'Copy path'), h('span', { class: 'spring' }), writeButton),
      words,
      h('div', { class: 'now' }, h('div', {}, value, h('div', { class: 'now-line' }, quality, age)), spark),
      why,
      note,
    ),
    h('div', { class: 'card' }, tabs, body),
  );
  const stopTicking = everySecond(tick);
  show();
  load();

  async function load() {
    try {
      state.card = await ctx.api(`/tags/${ctx.pathOf(path)}`);
    } catch (error) {
      if (!state.stopped) fill(body, widgets.failure(error));
      return;
    }
    if (state.stopped) return;
    const { card } = state;
    words.textContent = card.description ? format.plain(card.description) : '';
    writeButton.hidden = !card.writable;
    note.hidden = !card.writable || card.may_write;
    note.textContent = 'You may not write this tag; Access shows who may.';
    if (!card.enabled) note.hidden = false;
    if (!card.enabled) note.textContent = 'Out of service by the site file (enabled: false).';
    show();
    buildTabs();
    loadSpark();
  }

  async function loadSpark() {
    const query = { since: new Date(Date.now() - SPARK_MS).toISOString(), limit: MOST_SPARK };
    const found = await ctx.api(`/history/${ctx.pathOf(path)}`, { query }).catch(() => null);
    if (!found || state.stopped) return;
    const stored = found.samples.map((each) => [Date.parse(each.time), numeric(each.value)]);
    const last = stored.length ? stored[stored.length - 1][0] : 0;
    state.spark = [...stored, ...state.spark.filter(([ms]) => ms > last)];
    drawSpark();
  }

  function buildTabs() {
    const all = [
      ['history', 'History', (into) => mountHistory(into, ctx, state.card)],
      ['configuration', 'Configuration', (into) => configurationTab(into, ctx, state.card)],
      ['lineage', 'Lineage', (into) => lineageTab(into, ctx, path)],
      ['alarms', 'Alarms', (into) => alarmsTab(into, ctx, path)],
      ['commands', 'Commands', (into) => commandsTab(into, ctx, state.card)],
      ['access', 'Access', (into) => accessTab(into, ctx, state.card)],
    ];
    state.tabs = all;
    fill(
      tabs,
      all.map(([id, title]) => h('button', { type: 'button', role: 'tab', id: `tab-${id}`, onclick: () => openTab(id) }, title)),
    );
    openTab(state.tab);
  }

  function openTab(id) {
    if (state.part) state.part.unmount();
    state.tab = id;
    for (const each of tabs.children) {
      const chosen = each.id === `tab-${id}`;
      each.setAttribute('aria-selected', String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      if (chosen) each.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    }
    body.setAttribute('aria-labelledby', `tab-${id}`);
    fill(body);
    const found = state.tabs.find(([each]) => each === id)[2](body);
    state.part = { unmount: () => {}, live: () => {}, ...found };
    ctx.twinChanged();
  }

  function tabKey(event) {
    const at = state.tabs ? state.tabs.findIndex(([id]) => id === state.tab) : -1;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (at < 0 || !by) return;
    event.preventDefault();
    openTab(state.tabs[(at + by + state.tabs.length) % state.tabs.length][0]);
    tabs.querySelector('[aria-selected="true"]').focus();
  }

  function write() {
    openWrite(ctx, state.card, {
      newest: () => state.row,
      onDone: () => state.tab === 'commands' && openTab('commands'),
    });
  }

  function show() {
    const { row, card } = state;
    setText(number, row ? format.value(row[1], row[5]) : '–');
    setText(unit, card && card.unit && row && row[1] !== null ? ` ${format.unit(card.unit)}` : '');
    const key = row ? `${row[2]} ${row[4]}` : '';
    if (key !== state.shownQuality) {
      state.shownQuality = key;
      fill(quality, row ? widgets.quality(row[2]) : null, row && row[4] ? h('span', {}, ` ${format.reason(row[4])}`) : null);
      tick();
    }
    showWhy();
  }

  function tick() {
    const { row } = state;
    const now = Date.now() + ctx.socket.clockOffsetMs;
    const text = row && row[3] ? `${format.age(row[3], now)} ago, ${format.time(row[3])}` : row ? 'without a time of its own' : '';
    setText(age, text);
    drawSpark();
  }

  async function showWhy() {
    const quality_ = state.row ? state.row[2] : '';
    const key = state.row ? `${quality_} ${state.row[4]}` : '';
    if (key === state.whyKey) return;
    state.whyKey = key;
    fill(why);
    if (!quality_ || quality_ === 'GOOD') return;
    const found = await ctx.api(`/why/${ctx.pathOf(path)}`).catch(() => null);
    if (!found || state.stopped || key !== state.whyKey) return;
    fill(why, h('details', { open: true }, h('summary', {}, 'Why'), whyOf(ctx, found), h('p', { class: 'quiet twin-note' }, 'Command line: ', h('code', {}, `nexus explain ${format.shell(path)}`))));
  }

  function drawSpark() {
    spark.hidden = state.spark.filter(([, each]) => each !== null).length < 2;
    if (document.visibilityState === 'hidden' || spark.hidden) return;
    const at = state.spark[state.spark.length - 1][0];
    if (at === state.sparkAt) return;
    state.sparkAt = at;
    const now = Date.now() + ctx.socket.clockOffsetMs;
    fill(spark, sparkline(h, state.spark, { from: now - SPARK_MS, to: now }));
  }

  return {
    unmount() {
      state.stopped = true;
      stopTicking();
      if (state.part) state.part.unmount();
    },
    values(rows) {
      for (const row of rows) {
        if (row[0] !== path) continue;
        state.row = row;
        if (row[3]) state.spark.push([row[3] / 1000, numeric(row[1])]);
        if (state.spark.length > MOST_SPARK) state.spark.shift();
        show();
        if (state.part) state.part.live(row);
      }
    },
    twin() {
      if (state.part && state.part.twin) return state.part.twin();
      return `nexus read ${format.shell(path)}`;
    },
  };
}

function numeric(given) {
  if (typeof given === 'boolean') return given ? 1 : 0;
  return typeof given === 'number' ? given : null;
}

/** The path above a place, each part a link. */
export function crumbs({ h, format, pathOf }, path) {
  const names = path.split('/').slice(0, -1);
  return h(
    'p',
    { class: 'crumbs quiet' },
    names.map((name, at) => [
      at ? ' / ' : '',
      h('a', { href: `#/namespace/${pathOf(names.slice(0, at + 1).join('/'))}` }, format.plain(name)),
    ]),
  );
}

const CHECKED = { ok: '✓', bad: '✗', unknown: '?' };

/** Every part between the device and the row, as /why answers it, with the first cause in one sentence. */
export function whyOf({ h, format }, found) {
  const line = (each) =>
    h(
      'li',
      { class: `check ${each.state}` },
      h('span', { class: 'check-sign', 'aria-hidden': 'true' }, CHECKED[each.state] || '?'),
      h('span', { class: 'unseen' }, `${each.state}: `),
      h('strong', {}, format.plain([each.part.replaceAll('_', ' '), each.name].filter(Boolean).join(' '))),
      ` ${format.plain(each.text)}`,
      each.since ? h('span', { class: 'quiet' }, ` since ${format.time(each.since, true)}`) : null,
    );
  return [
    h('p', { class: 'verdict' }, sentence(format.plain(found.verdict))),
    h('ul', { class: 'checks' }, found.checks.map(line)),
    found.stored ? h('p', { class: 'quiet' }, `Newest stored sample: ${format.time(found.stored)}`) : null,
  ];
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
