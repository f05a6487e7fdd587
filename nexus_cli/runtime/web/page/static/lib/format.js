// Values, times and foreign text as people read them.

import { stringify } from './json.js';

const MICROSECONDS = 1000;
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Foreign text on one line: signs that are invisible, or turn the direction of what follows, are shown as codes. */
export function plain(text) {
  return String(text).replace(CONTROL, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** As `plain`, but lines and tabs stay: for payloads in a block of their own. */
export function plainBlock(text) {
  return String(text).split('\n').map((line) => line.split('\t').map(plain).join('\t')).join('\n');
}

/** A value with at most 9 significant digits; `label` is the name of an enumeration's code. */
export function value(given, label = '') {
  if (given === null || given === undefined) return '–';
  if (label) return `${plain(label)} (${plain(given)})`;
  if (typeof given === 'number') return number(given);
  if (typeof given === 'bigint') return String(given);
  if (typeof given === 'boolean') return given ? 'true' : 'false';
  if (typeof given === 'object') return plain(stringify(given));
  return plain(given);
}

/** A number as the command line shows it: no thousands separators, no noise in the last digits. */
export function number(given) {
  if (!Number.isFinite(given)) return String(given);
  if (Number.isInteger(given) && Math.abs(given) < 1e15) return String(given);
  return String(Number(given.toPrecision(9)));
}

const UNITS = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];

/** A unit with its usual sign. */
export function unit(given) {
  return plain(given || '').replace(/\bdeg(?=[CF]\b)/g, '°');
}

/** A duration: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`. */
export function duration(seconds) {
  const whole = Math.max(0, seconds);
  if (whole < 9.95) return `${(Math.round(whole * 10) / 10).toString()} s`;
  const [size, unit] = UNITS.find(([each]) => whole >= each) || [1, 's'];
  const count = whole / size;
  return `${count < 9.95 && unit !== 's' ? Math.round(count * 10) / 10 : Math.round(count)} ${unit}`;
}

/** What is left of a countdown: `4 min left`, `90 s left`; never more than there is. */
export function left(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return whole >= 120 ? `${Math.floor(whole / 60)} min left` : `${whole} s left`;
}

/** The time zone that `time` uses, at that moment: `UTC+02:00 Europe/Berlin`. */
export function zone(timeUs) {
  const minutes = -new Date(timeUs / MICROSECONDS).getTimezoneOffset();
  const size = Math.abs(minutes);
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const offset = `UTC${minutes < 0 ? '\u2212' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
  return name && name !== 'UTC' ? `${offset} ${name}` : offset;
}

/** How long ago, from µs since 1970 UTC. */
export function age(timeUs, nowMs = Date.now()) {
  if (timeUs === null || timeUs === undefined || timeUs === 0) return '–';
  return duration(Math.max(0, nowMs - timeUs / MICROSECONDS) / 1000);
}

const two = (given) => String(given).padStart(2, '0');

/** Local time `2026-01-31 14:05:09.123`; without milliseconds where `short`. */
export function time(timeUs, short = false) {
  if (timeUs === null || timeUs === undefined || timeUs === 0) return '–';
  const at = new Date(timeUs / MICROSECONDS);
  if (Number.isNaN(at.getTime())) return '–';
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return short ? `${date} ${clock}` : `${date} ${clock}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** Bytes: `512 B`, `1.2 KiB`, `3.4 MiB`. */
export function bytes(count) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let left = count;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at += 1;
  }
  return `${at === 0 || left >= 100 ? Math.round(left) : Math.round(left * 10) / 10} ${units[at]}`;
}

/** A count with thin spaces between thousands. */
export function count(given) {
  return String(Math.round(given)).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

const REASONS = {
  no_value: 'nothing was published yet',
  too_large: 'the message is too large',
  stale: 'no new value for too long',
  unknown: 'the device has no value',
  comm_lost: 'no connection to the device',
  out_of_range: 'outside of the declared range',
  not_configured: 'not configured on the device',
};

/** The reason of a quality in words. */
export function reason(given) {
  if (!given) return '';
  return REASONS[given] || plain(given).replaceAll('_', ' ');
}

/** One argument of a command line, quoted where the shell needs it. */
export function shell(text) {
  const shown = plain(text);
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}
