// The history of a tag: a plot that zooms over single samples and rolled-up spans, and statistics of the same span.

import { everySecond } from '../../lib/beat.js';
import { Plot } from '../../lib/plot.js';

const MOST_POINTS = 1200;
/** As a button says it, in seconds, and as `--since` takes it. */
const WINDOWS = [['15 min', 900, '15m'], ['1 h', 3600, '1h'], ['8 h', 28800, '8h'], ['24 h', 86400, '24h'], ['7 d', 604800, '7d'], ['30 d', 2592000, '30d'], ['1 y', 31536000, '365d']];
const LEGEND = [['gap', 'gap: samples are known to be missing'], ['bad', 'BAD'], ['uncertain', 'UNCERTAIN']];
const REFRESH_MS = 15_000;
const ZOOM_WAIT_MS = 180;
const NUMERIC = /^(u?int|float)/;

/** Mounts into `root`. card: the answer of /tags. Returns {unmount, live(row), twin()}. */
export function mountHistory(root, ctx, card) {
  const { h, fill, format, widgets } = ctx;
  const drawable = NUMERIC.test(card.type) || card.type === 'bool';
  const state = { seconds: 3600, until: null, from: null, points: [], asking: null, stopped: false, bucketed: false };
  const plot = new Plot({ label: `History of ${format.plain(card.path)}`, onZoom: zoomed });
  const windows = h(
    'div',
    { class: 'windows', role: 'group', 'aria-label': 'Span' },
    WINDOWS.map(([text, seconds]) => h('button', { type: 'button', onclick: () => choose(seconds), dataset: { seconds } }, text)),
  );
  const follow = h('button', { type: 'button', onclick: () => choose(state.seconds) }, 'Now');
  const said = h('p', { class: 'quiet plot-said', role: 'status' });
  const legend = h('p', { class: 'legend quiet', hidden: true });
  const problem = h('div', {});
  const statistics = h('div', { class: 'statistics' });
  const samples = h('details', { class: 'samples' }, h('summary', {}, 'The same as a table'), h('div', {}));
  samples.addEventListener('toggle', () => showTable());
  const moves = h(
    'div',
    { class: 'moves', role: 'group', 'aria-label': 'Zoom' },
    button('◀', 'Earlier', () => move(-0.5)),
    button('+', 'Zoom in', () => scale(0.5)),
    button('−', 'Zoom out', () => scale(2)),
    button('▶', 'Later', () => move(0.5)),
    follow,
  );
  fill(
    root,
    h('div', { class: 'plot-bar' }, windows, moves),
    problem,
    drawable ? plot.element : null,
    legend,
    said,
    samples,
    h('h3', {}, 'Statistics of this span'),
    statistics,
  );
  const refresh = setInterval(() => following() && visible() && load({ quiet: true }), REFRESH_MS);
  const stopTicking = everySecond(() => following() && drawable && moved() && redraw());
  choose(3600);

  function button(text, label, onclick) {
    return h('button', { type: 'button', 'aria-label': label, title: label, onclick }, text);
  }
  function visible() {
    return document.visibilityState !== 'hidden';
  }
  function following() {
    return state.until === null;
  }
  /** Whether a redraw would show anything else: another point, or the same ones a pixel further. */
  function moved() {
    const last = state.points.length ? state.points[state.points.length - 1][0] : 0;
    const now = Date.now();
    const pixel = (state.seconds * 1000) / Math.max(1, plot.canvas.clientWidth);
    if (last === state.drawnLast && now - (state.drawnAt || 0) < pixel) return false;
    Object.assign(state, { drawnLast: last, drawnAt: now });
    return true;
  }
  function span() {
    const now = Date.now() + ctx.socket.clockOffsetMs;
    return following() ? [now - state.seconds * 1000, now] : [state.from, state.until];
  }
  function choose(seconds) {
    Object.assign(state, { seconds, until: null, from: null });
    for (const each of windows.children) each.setAttribute('aria-pressed', String(Number(each.dataset.seconds) === seconds));
    load();
  }
  function zoomed(from, to) {
    const now = Date.now() + ctx.socket.clockOffsetMs;
    const width = Math.min(to - from, 20 * 31536000e3);
    const end = Math.min(to, now);
    Object.assign(state, { from: end - width, until: end });
    for (const each of windows.children) each.setAttribute('aria-pressed', 'false');
    redraw();
    clearTimeout(state.timer);
    state.timer = setTimeout(() => load(), ZOOM_WAIT_MS);
  }
  function move(part) {
    const [from, to] = span();
    zoomed(from + (to - from) * part, to + (to - from) * part);
  }
  function scale(factor) {
    const [from, to] = span();
    const middle = (from + to) / 2;
    const half = Math.max(500, ((to - from) / 2) * factor);
    zoomed(middle - half, middle + half);
  }

  async function load({ quiet = false } = {}) {
    if (state.asking) state.asking.abort();
    const asking = new AbortController();
    state.asking = asking;
    const [from, to] = span();
    const query = { since: iso(from), until: iso(to) };
    ctx.twinChanged();
    follow.setAttribute('aria-pressed', String(following()));
    if (!quiet) said.textContent = 'Reading…';
    try {
      const url = `/history/${ctx.pathOf(card.path)}`;
      const found = await ctx.api(url, { query: { ...query, limit: MOST_POINTS, drawn: 'true' }, signal: asking.signal });
      const edges = found.every && drawable && card.type !== 'bool' ? await leastAndMost(url, query, found, asking.signal) : null;
      if (state.stopped || asking.signal.aborted) return;
      take(found, edges);
      fill(problem);
      redraw();
      showTable();
    } catch (error) {
      if (asking.signal.aborted || state.stopped) return;
      said.textContent = '';
      if (error.code === 'NX6210') said.textContent = 'Nothing is stored of this tag yet.';
      else fill(problem, widgets.failure(error));
      return;
    }
    try {
      const found = await ctx.api(`/statistics/${ctx.pathOf(card.path)}`, { query, signal: asking.signal });
      if (!state.stopped && !asking.signal.aborted) fill(statistics, statisticsOf(found));
    } catch (error) {
      if (!asking.signal.aborted && !state.stopped) fill(statistics, widgets.failure(error));
    }
  }

  async function leastAndMost(url, query, found, signal) {
    const ask = (aggregate) =>
      ctx.api(url, { query: { ...query, limit: 10_000, every: found.every, aggregate }, signal }).catch(() => null);
    const [least, most] = await Promise.all([ask('min'), ask('max')]);
    if (!least || !most) return null;
    const at = (document) => new Map(document.samples.map((each) => [each.time, each.value]));
    return { least: at(least), most: at(most) };
  }

  function take(found, edges) {
    state.document = found;
    state.bucketed = Boolean(found.every);
    state.names = { ...card.names, ...(card.type === 'bool' ? { 0: 'false', 1: 'true' } : {}) };
    state.points = found.samples.map((each) => pointOf(each, edges));
    state.spans = spansOf(found);
    const seams = (found.seams || []).map((each) => [Date.parse(each.time), `${each.before.type} ${each.before.unit} → ${each.after.type} ${each.after.unit}`]);
    state.marks = seams;
    const good = found.every
      ? found.samples.reduce((sum, each) => sum + each.count, 0)
      : found.samples.length;
    const kind = found.every ? `${found.samples.length} spans of ${found.every} (${format.count(good)} samples; mean, lowest to highest)` : `${found.samples.length} ${found.samples.length === 1 ? 'sample' : 'samples'}`;
    const gaps = (found.gaps || []).length;
    const words = [kind];
    if (gaps) words.push(`${gaps} ${gaps === 1 ? 'gap' : 'gaps'}: ${[...new Set(found.gaps.map((each) => format.reason(each.reason)))].join(', ')}`);
    if (seams.length) words.push(`type or unit changed ${seams.length}×`);
    if (found.truncated) words.push('cut: only the newest are shown');
    said.textContent = words.join(' · ');
  }

  function pointOf(each, edges) {
    const ms = Date.parse(each.time);
    const quality = each.quality || (each.value === null ? 'BAD' : each.good < each.count ? 'UNCERTAIN' : 'GOOD');
    const value = numeric(each.value);
    if (!edges) return [ms, value, quality, each.reason || ''];
    return [ms, value, quality, each.gap || '', numeric(edges.least.get(each.time) ?? null), numeric(edges.most.get(each.time) ?? null)];
  }

  function redraw() {
    if (!drawable) return;
    const [from, to] = span();
    const unit = card.type === 'bool' || Object.keys(card.names || {}).length ? '' : state.document?.unit || card.unit;
    showLegend(from, to);
    plot.set({ from, to, points: state.points, spans: state.spans || [], marks: state.marks, unit, step: !state.bucketed, names: state.names });
  }

  /** What the marks of the spans in view mean. */
  function showLegend(from, to) {
    const seen = new Set((state.spans || []).filter(([begin, end]) => begin < to && (end === null || end > from)).map(([, , kind]) => kind));
    const shown = LEGEND.filter(([kind]) => seen.has(kind));
    const key = shown.map(([kind]) => kind).join();
    if (key === state.legend) return;
    state.legend = key;
    legend.hidden = !shown.length;
    fill(legend, shown.map(([kind, words]) => h('span', { class: `legend-part ${kind}` }, words)));
  }

  function showTable() {
    if (!samples.open || !state.document) return;
    const rows = [...state.document.samples].reverse().slice(0, 500);
    const columns = state.bucketed
      ? [
          { title: 'From', cell: (each) => format.time(Date.parse(each.time) * 1000, true) },
          { title: 'Value', class: 'num', cell: (each) => format.value(each.value, each.label) },
          { title: 'Samples', class: 'num', cell: (each) => each.count },
          { title: 'GOOD', class: 'num', cell: (each) => each.good },
          { title: 'Gap', cell: (each) => format.reason(each.gap) },
        ]
      : [
          { title: 'Time', cell: (each) => format.time(Date.parse(each.time) * 1000) },
          { title: 'Value', class: 'num', cell: (each) => format.value(each.value, each.label) },
          { title: 'Quality', cell: (each) => widgets.quality(each.quality) },
          { title: 'Reason', cell: (each) => format.reason(each.reason) },
        ];
    fill(samples.lastChild, widgets.table(columns, rows, { caption: 'Stored values', empty: 'Nothing is stored in this span.' }));
  }

  function statisticsOf(found) {
    const unit = found.unit ? ` ${format.unit(found.unit)}` : '';
    const short = (given) => (typeof given === 'number' && !Number.isInteger(given) ? Number(given.toPrecision(6)) : given);
    const shown = (given) => (given === null || given === undefined ? null : format.value(short(given)) + (typeof given === 'number' ? unit : ''));
    const percent = (given) => (given === null || given === undefined ? null : `${format.number(Math.round(given * 1000) / 10)} %`);
    return [
      numbers([
        ['Samples', format.count(found.count)],
        ['GOOD', percent(found.good_share)],
        ['Lowest', shown(found.minimum)],
        ['Highest', shown(found.maximum)],
        ['Mean', shown(found.mean)],
        ['Time-weighted mean', shown(found.time_weighted_mean)],
        ['Standard deviation', shown(found.stddev)],
        ['First', found.first ? `${format.value(found.first.value, found.first.label)}${unit}` : null],
        ['Last', found.last ? `${format.value(found.last.value, found.last.label)}${unit}` : null],
        ['Covered', percent(found.covered_share)],
      ]),
      found.left_out ? h('p', { class: 'quiet' }, `Mean and deviation are left out: ${format.plain(found.left_out)}.`) : null,
    ];
  }

  function numbers(pairs) {
    const shown = pairs.filter(([, each]) => each !== null);
    return h('dl', { class: 'numbers' }, shown.map(([term, each]) => h('div', {}, h('dt', {}, term), h('dd', {}, each))));
  }

  return {
    unmount() {
      state.stopped = true;
      clearInterval(refresh);
      stopTicking();
      clearTimeout(state.timer);
      if (state.asking) state.asking.abort();
      plot.destroy();
    },
    live([, value, quality, timeUs, reason]) {
      if (!following() || state.bucketed || !timeUs || !state.document) return;
      const ms = timeUs / 1000;
      const last = state.points[state.points.length - 1];
      if (last && ms <= last[0]) return;
      state.points.push([ms, numeric(value), quality, reason]);
      if (state.points.length > MOST_POINTS * 2) state.points.splice(0, MOST_POINTS / 2);
    },
    twin() {
      const [from, to] = span();
      const since = following() ? WINDOWS.find(([, each]) => each === state.seconds)[2] : iso(from);
      return `nexus history ${format.shell(card.path)} --since ${since}${following() ? '' : ` --until ${iso(to)}`}`;
    },
  };
}

function numeric(given) {
  if (typeof given === 'boolean') return given ? 1 : 0;
  if (typeof given === 'bigint') return Number(given);
  return typeof given === 'number' ? given : null;
}

function iso(ms) {
  return new Date(ms).toISOString();
}

/** Gaps, and spans in which samples are BAD or UNCERTAIN. */
function spansOf(found) {
  const spans = (found.gaps || []).map((each) => [Date.parse(each.start), each.end === null ? null : Date.parse(each.end), 'gap', `no samples: ${each.reason}`]);
  const rows = found.samples;
  let open = null;
  rows.forEach((each) => {
    const at = Date.parse(each.time);
    const kind = each.quality
      ? { BAD: 'bad', UNCERTAIN: 'uncertain' }[each.quality] || null
      : each.count === 0 ? null : each.value === null ? 'bad' : each.good < each.count ? 'uncertain' : null;
    if (open && (open.kind !== kind || (each.end && open.to !== at))) {
      spans.push([open.from, each.end ? open.to : at, open.kind, open.words]);
      open = null;
    }
    if (kind && !open) open = { from: at, kind, words: each.reason || '' };
    if (open) open.to = each.end ? Date.parse(each.end) : at;
  });
  if (open) spans.push([open.from, rows[rows.length - 1].end ? open.to : Date.parse(found.until), open.kind, open.words]);
  return spans;
}
