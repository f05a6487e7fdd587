// Clock times, rates and latencies as the pages show them; the rest is in format.js.

import { count } from './format.js';

const two = (given) => String(given).padStart(2, '0');

/** Local time of day `14:03:22.041`, from µs since 1970 UTC. */
export function clock(us) {
  const at = new Date(us / 1000);
  if (!us || Number.isNaN(at.getTime())) return '–';
  const seconds = `${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return `${two(at.getHours())}:${two(at.getMinutes())}:${seconds}`;
}

/** Milliseconds with the digits that matter. */
export function milliseconds(ms) {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–';
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 1) return `${ms.toFixed(ms >= 100 ? 0 : 1)} ms`;
  return ms > 0 ? `${Math.max(1, Math.round(ms * 1000))} µs` : '0';
}

/** Messages a second. */
export const rate = (perSecond) => `${perSecond >= 10 ? Math.round(perSecond) : Math.round(perSecond * 10) / 10}/s`;

/** `1 step`, `3 steps`. */
export const counted = (number, word) => `${count(number)} ${word}${number === 1 ? '' : 's'}`;
