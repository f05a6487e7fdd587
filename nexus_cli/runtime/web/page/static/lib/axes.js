// Ticks of a plot: round numbers, and round moments of local time.

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];
const MONTHS_MS = 30.44 * 86400e3;
const two = (given) => String(given).padStart(2, '0');

/** Round numbers from low to high, at most about `count`. */
export function numberTicks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9 && found.length < 100; at += step) {
    found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  }
  return found;
}

/** `[ms, label]` of round local moments, at most about `count`. */
export function timeTicks(from, to, count) {
  const span = to - from;
  const raw = span / Math.max(1, count);
  if (raw > STEPS_S[STEPS_S.length - 1] * 1000 * 1.5) return monthTicks(from, to, raw);
  const step = (STEPS_S.find((each) => each * 1000 >= raw) || STEPS_S[STEPS_S.length - 1]) * 1000;
  const offset = new Date(from).getTimezoneOffset() * 60e3;
  const found = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to && found.length < 200; at += step) {
    found.push([at, label(new Date(at), step, span)]);
  }
  return found;
}

function label(at, step, span) {
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const day = `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  if (step < 60e3) return `${clock}:${two(at.getSeconds())}`;
  if (step >= 86400e3) return day;
  return span > 86400e3 && at.getHours() === 0 && at.getMinutes() === 0 ? day : clock;
}

function monthTicks(from, to, raw) {
  const every = Math.max(1, Math.ceil(raw / MONTHS_MS));
  const at = new Date(from);
  at.setDate(1);
  at.setHours(0, 0, 0, 0);
  const found = [];
  while (at.getTime() <= to && found.length < 200) {
    if (at.getTime() >= from) found.push([at.getTime(), `${at.getFullYear()}-${two(at.getMonth() + 1)}`]);
    at.setMonth(at.getMonth() + every);
  }
  return found;
}
