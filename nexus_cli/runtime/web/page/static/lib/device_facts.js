// Devices as the overview sorts, filters and shows them.

import { sentence } from './notices.js';

/** States by how soon one should look; the first ones are on top. */
export const STATES = ['lost', 'backoff', 'silent', 'connecting', 'idle', 'out of service', 'disabled', 'unknown', 'connected'];
export const LOOK = { lost: 'bad', backoff: 'bad', silent: 'bad', connecting: 'warn', idle: 'warn', 'out of service': 'warn' };

/** The state of a device in one word. */
export function stateOf(device) {
  if (device.out_of_service) return 'out of service';
  if (device.enabled === false) return 'disabled';
  const { state } = device;
  return STATES.includes(state) ? state : state || 'unknown';
}

export const isWell = (device) => ['connected', 'disabled'].includes(stateOf(device));
export const errorsOf = (device) => Object.values(device.errors ?? {}).reduce((sum, each) => sum + each, 0);

/** A column: `[title, how to compare, what the row shows is drawn by the page]`. */
export const SORTS = {
  state: (device) => STATES.indexOf(stateOf(device)),
  device: (device) => device.path,
  protocol: (device) => device.protocol,
  gateway: (device) => device.gateway,
  'last answer': (device) => device.last_answer ?? 0,
  polls: (device) => -(device.polls ?? 0),
  missed: (device) => -(device.missed ?? 0),
  errors: (device) => -errorsOf(device),
  latency: (device) => -(device.latency?.p95_ms ?? -1),
};

/** Devices that match what was typed, sorted; equal ones by path. */
export function chosen(devices, { search, only, sort, reverse }) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const key = SORTS[sort] ?? SORTS.device;
  const found = devices.filter((each) => (only === 'all' || fits(each, only)) && words.every((word) => haystack(each).includes(word)));
  const compare = (one, other) => {
    const [first, second] = [key(one), key(other)];
    return (first < second ? -1 : first > second ? 1 : 0) * (reverse ? -1 : 1) || (one.path < other.path ? -1 : 1);
  };
  return found.sort(compare);
}

function fits(device, only) {
  return only === 'problems' ? !isWell(device) : stateOf(device) === only;
}

function haystack(device) {
  return [device.path, device.protocol, device.gateway, device.link, stateOf(device), device.detail, device.description,
    ...Object.keys(device.errors ?? {})].filter(Boolean).join(' ').toLowerCase();
}

/** Why a device is not well, in one sentence; "" when it is. */
export function whyOf(device) {
  if (device.out_of_service) return device.out_of_service.reason ?? '';
  return device.detail ? sentence(device.detail) : '';
}
