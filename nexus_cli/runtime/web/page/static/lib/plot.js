// A plot on a canvas: values over time with gaps, spans without quality, and zoom. Small and ours: docs/decisions/0084.

import { numberTicks, timeTicks } from './axes.js';
import { fill, h } from './elements.js';
import * as format from './format.js';

const LEFT = 62;
const RIGHT = 10;
const TOP = 10;
const BOTTOM = 24;
const SMALLEST_DRAG_PX = 6;
const SHORTEST_MS = 1000;

/** data: {from, to (ms), points: [[ms, number or null, quality, reason, low?, high?]…] by time, spans: [[from, to, kind,
 *  words]…] with kind `gap`, `bad` or `uncertain`, marks: [[ms, words]…], unit, step: whether a value holds until the next,
 *  names: {code: name}}. onZoom(from, to) when somebody chose another span. */
export class Plot {
  constructor({ height = 240, label = 'Plot', onZoom = () => {} } = {}) {
    this.onZoom = onZoom;
    this.canvas = h('canvas', {
      class: 'plot-canvas',
      tabIndex: 0,
      role: 'img',
      'aria-label': label,
      style: { height: `${height}px` },
      onkeydown: (event) => this._key(event),
      onpointerdown: (event) => this._down(event),
      onpointermove: (event) => this._move(event),
      onpointerup: (event) => this._up(event),
      onpointercancel: () => this._cancel(),
      onpointerleave: () => this._leave(),
      onblur: () => this._leave(),
      ondblclick: () => this._zoomBy(2),
    });
    this.canvas.addEventListener('wheel', (event) => this._wheel(event), { passive: false });
    this.tip = h('div', { class: 'plot-tip', hidden: true, role: 'status' });
    this.element = h('div', { class: 'plot' }, this.canvas, this.tip);
    this.height = height;
    this.data = null;
    this.at = null;
    this.drag = null;
    this.sized = new ResizeObserver(() => this.redraw());
    this.sized.observe(this.canvas);
    this.scheme = matchMedia('(prefers-color-scheme: dark)');
    this.recoloured = () => this.redraw();
    this.scheme.addEventListener('change', this.recoloured);
  }

  destroy() {
    this.sized.disconnect();
    this.scheme.removeEventListener('change', this.recoloured);
    cancelAnimationFrame(this.frame);
  }

  set(data) {
    this.data = data;
    this.redraw();
  }

  redraw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this._draw());
  }

  _draw() {
    const width = this.canvas.clientWidth;
    if (!width || !this.data) return;
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale)) this.canvas.width = Math.round(width * scale);
    if (this.canvas.height !== Math.round(this.height * scale)) this.canvas.height = Math.round(this.height * scale);
    const pen = this.canvas.getContext('2d');
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, this.height);
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.font = `12px ${style.fontFamily}`;
    const { from, to } = this.data;
    const [low, high] = this._range();
    const inner = { left: LEFT, right: width - RIGHT, top: TOP, bottom: this.height - BOTTOM };
    this.inner = inner;
    const x = (ms) => inner.left + ((ms - from) / (to - from)) * (inner.right - inner.left);
    const y = (value) => inner.bottom - ((value - low) / (high - low)) * (inner.bottom - inner.top);
    this.x = x;
    this._drawGrid(pen, colour, { x, y, low, high, width });
    pen.save();
    pen.beginPath();
    pen.rect(inner.left, inner.top - 4, inner.right - inner.left, inner.bottom - inner.top + 8);
    pen.clip();
    this._drawSpans(pen, colour, x);
    this._drawLine(pen, colour, x, y);
    this._drawCursor(pen, colour, x, y);
    pen.restore();
  }

  _range() {
    let low = Infinity;
    let high = -Infinity;
    const see = (given) => {
      if (typeof given !== 'number') return;
      if (given < low) low = given;
      if (given > high) high = given;
    };
    for (const [, value, , , least, most] of this.data.points) {
      see(value);
      see(least);
      see(most);
    }
    if (low > high) [low, high] = [0, 1];
    const room = (high - low) * 0.06 || Math.abs(high) * 0.02 || 1;
    return [low - room, high + room];
  }

  _drawGrid(pen, colour, { x, y, low, high, width }) {
    const { left, right, top, bottom } = this.inner;
    pen.strokeStyle = colour('--line');
    pen.fillStyle = colour('--quiet');
    pen.lineWidth = 1;
    pen.textAlign = 'right';
    pen.textBaseline = 'middle';
    const names = this.data.names || {};
    const whole = Object.keys(names).length > 0;
    for (const tick of numberTicks(low, high, Math.max(2, Math.floor((bottom - top) / 40)))) {
      if (whole && !Number.isInteger(tick)) continue;
      const at = Math.round(y(tick)) + 0.5;
      line(pen, left, at, right, at);
      pen.fillText(shorten(pen, format.plain(names[tick] || format.number(Number(tick.toPrecision(10)))), LEFT - 10), left - 6, at);
    }
    pen.textAlign = 'center';
    pen.textBaseline = 'top';
    for (const [ms, text] of timeTicks(this.data.from, this.data.to, Math.max(2, Math.floor((right - left) / 90)))) {
      const at = Math.round(x(ms)) + 0.5;
      line(pen, at, top, at, bottom);
      if (at > left + 14 && at < width - 24) pen.fillText(text, at, bottom + 6);
    }
  }

  _drawSpans(pen, colour, x) {
    const { top, bottom } = this.inner;
    for (const [from, to, kind] of this.data.spans || []) {
      const left = x(Math.max(from, this.data.from));
      const width = Math.max(1.5, x(Math.min(to === null ? this.data.to : to, this.data.to)) - left);
      if (kind === 'uncertain') {
        pen.fillStyle = colour('--warn');
        pen.fillRect(left, bottom - 3, width, 3);
        continue;
      }
      pen.fillStyle = colour(kind === 'gap' ? '--line' : '--bad-ground');
      pen.fillRect(left, top, width, bottom - top);
      pen.fillStyle = colour(kind === 'gap' ? '--strong-line' : '--bad');
      pen.fillRect(left, bottom - 3, width, 3);
      if (kind === 'gap') hatch(pen, colour('--strong-line'), left, top, width, bottom - top);
    }
    pen.strokeStyle = colour('--strong-line');
    pen.setLineDash([3, 3]);
    for (const [ms] of this.data.marks || []) line(pen, Math.round(x(ms)) + 0.5, top, Math.round(x(ms)) + 0.5, bottom);
    pen.setLineDash([]);
  }

  _drawLine(pen, colour, x, y) {
    const { points, step, to } = this.data;
    const band = points.some((each) => each[4] !== undefined && each[4] !== null);
    const cut = gapsOf(this.data.spans);
    if (band) {
      pen.fillStyle = colour('--plot-band');
      for (const part of parts(points, cut)) {
        pen.beginPath();
        part.forEach(([ms, , , , , most], at) => (at ? pen.lineTo(x(ms), y(most)) : pen.moveTo(x(ms), y(most))));
        for (const [ms, , , , least] of [...part].reverse()) pen.lineTo(x(ms), y(least));
        pen.fill();
      }
    }
    pen.strokeStyle = colour('--plot');
    pen.fillStyle = colour('--plot');
    pen.lineWidth = 1.6;
    pen.lineJoin = 'round';
    for (const part of parts(points, cut)) {
      pen.beginPath();
      let before = null;
      for (const [ms, value] of part) {
        if (before === null) pen.moveTo(x(ms), y(value));
        else {
          if (step) pen.lineTo(x(ms), y(before));
          pen.lineTo(x(ms), y(value));
        }
        before = value;
      }
      const last = part[part.length - 1];
      if (step && part.holds !== false) pen.lineTo(x(Math.min(part.until ?? to, to)), y(last[1]));
      pen.stroke();
      if (part.length === 1 || points.length < 60) {
        for (const [ms, value] of part) {
          pen.beginPath();
          pen.arc(x(ms), y(value), 2, 0, 7);
          pen.fill();
        }
      }
    }
  }

  _drawCursor(pen, colour, x, y) {
    const { top, bottom } = this.inner;
    if (this.drag && Math.abs(this.drag.now - this.drag.start) >= SMALLEST_DRAG_PX) {
      pen.fillStyle = colour('--plot-band');
      pen.fillRect(Math.min(this.drag.start, this.drag.now), top, Math.abs(this.drag.now - this.drag.start), bottom - top);
    }
    if (this.at === null) return;
    const point = this.data.points[this.at];
    if (!point) return;
    pen.strokeStyle = colour('--strong-line');
    pen.lineWidth = 1;
    line(pen, Math.round(x(point[0])) + 0.5, top, Math.round(x(point[0])) + 0.5, bottom);
    if (typeof point[1] === 'number') {
      pen.fillStyle = colour('--plot');
      pen.beginPath();
      pen.arc(x(point[0]), y(point[1]), 4, 0, 7);
      pen.fill();
    }
  }

  _point(at) {
    this.at = at;
    const point = at === null ? null : this.data.points[at];
    this.tip.hidden = !point;
    if (point) {
      const [ms, value, quality, reason, least, most] = point;
      const name = (this.data.names || {})[value] || '';
      const unit = this.data.unit && value !== null ? ` ${format.unit(this.data.unit)}` : '';
      const inside = (this.data.spans || []).find(([from, to]) => ms >= from && (to === null || ms < to));
      fill(
        this.tip,
        h('strong', {}, format.value(value, name), unit),
        quality && quality !== 'GOOD' ? ` ${quality}${reason ? `: ${format.reason(reason)}` : ''}` : '',
        least !== undefined && least !== null ? ` (${format.number(least)} to ${format.number(most)})` : '',
        inside && inside[2] === 'gap' ? ` ${inside[3]}` : '',
        h('span', { class: 'quiet' }, ` ${format.time(ms * 1000)}`),
      );
      const left = Math.max(4, Math.min(this.x(ms) + 10, this.canvas.clientWidth - this.tip.offsetWidth - 4));
      this.tip.style.left = `${left}px`;
    }
    this.redraw();
  }

  _nearest(px) {
    const { points, from, to } = this.data;
    if (!points.length || !this.inner) return null;
    const ms = from + ((px - this.inner.left) / (this.inner.right - this.inner.left)) * (to - from);
    let low = 0;
    let high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < ms) low = middle + 1;
      else high = middle;
    }
    return low > 0 && ms - points[low - 1][0] < points[low][0] - ms ? low - 1 : low;
  }

  _ms(px) {
    const { from, to } = this.data;
    return from + ((px - this.inner.left) / (this.inner.right - this.inner.left)) * (to - from);
  }

  _down(event) {
    if (!this.data || event.button !== 0 || !this.inner) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { start: event.offsetX, now: event.offsetX };
  }

  _move(event) {
    if (!this.data || !this.inner) return;
    if (this.drag) this.drag.now = event.offsetX;
    this._point(this._nearest(event.offsetX));
  }

  _up() {
    const drag = this.drag;
    this.drag = null;
    if (drag && Math.abs(drag.now - drag.start) >= SMALLEST_DRAG_PX) {
      this._zoom(this._ms(Math.min(drag.start, drag.now)), this._ms(Math.max(drag.start, drag.now)));
    } else this.redraw();
  }

  _cancel() {
    this.drag = null;
    this._leave();
  }

  _leave() {
    if (!this.drag) this._point(null);
  }

  _wheel(event) {
    if (!this.data || !this.inner || !(event.ctrlKey || document.activeElement === this.canvas)) return;
    event.preventDefault();
    this._zoomBy(event.deltaY > 0 ? 1.25 : 0.8, this._ms(event.offsetX));
  }

  _zoomBy(factor, around = null) {
    const { from, to } = this.data;
    const middle = around === null ? (from + to) / 2 : around;
    this._zoom(middle - (middle - from) * factor, middle + (to - middle) * factor);
  }

  _zoom(from, to) {
    if (to - from < SHORTEST_MS) {
      const middle = (from + to) / 2;
      [from, to] = [middle - SHORTEST_MS / 2, middle + SHORTEST_MS / 2];
    }
    this.onZoom(from, to);
  }

  _key(event) {
    if (!this.data || event.ctrlKey || event.metaKey || event.altKey) return;
    const { from, to, points } = this.data;
    const shift = (part) => this._zoom(from + (to - from) * part, to + (to - from) * part);
    const step = (by) => {
      if (!points.length) return;
      this._point(Math.max(0, Math.min(points.length - 1, (this.at === null ? points.length : this.at) + by)));
    };
    const keys = {
      ArrowLeft: () => (event.shiftKey ? shift(-0.25) : step(-1)),
      ArrowRight: () => (event.shiftKey ? shift(0.25) : step(1)),
      '+': () => this._zoomBy(0.5),
      '-': () => this._zoomBy(2),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

function hatch(pen, colour, left, top, width, height) {
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.strokeStyle = colour;
  pen.globalAlpha = 0.45;
  pen.lineWidth = 1;
  for (let at = left - height - ((left - height) % 9); at < left + width; at += 9) line(pen, at, top + height, at + height, top);
  pen.restore();
}

function shorten(pen, text, width) {
  let shown = text;
  while (shown.length > 2 && pen.measureText(shown).width > width) shown = `${shown.slice(0, -2)}…`;
  return shown;
}

function gapsOf(spans) {
  return (spans || []).filter(([, , kind]) => kind === 'gap').map(([from, to]) => [from, to]);
}

/** The points in runs without a break: a BAD value or a gap ends one. `until` of a run: when what ended it began. */
function* parts(points, cut) {
  let part = [];
  let next = 0;
  const gaps = [...cut].sort((one, other) => one[0] - other[0]);
  for (const point of points) {
    while (next < gaps.length && gaps[next][0] < point[0]) {
      if (part.length && part[part.length - 1][0] <= gaps[next][0]) {
        part.until = gaps[next][0];
        yield part;
        part = [];
      }
      next += 1;
    }
    if (typeof point[1] !== 'number') {
      if (part.length) {
        part.until = point[0];
        yield part;
        part = [];
      }
      continue;
    }
    part.push(point);
  }
  if (part.length) {
    if (next < gaps.length) part.until = gaps[next][0];
    yield part;
  }
}
