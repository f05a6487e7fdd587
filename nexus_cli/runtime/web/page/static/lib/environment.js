// Live, mock or replay: said at all times, so that a replay is never taken for the plant.

import { plain } from './format.js';

const KINDS = ['live', 'mock', 'replay'];

/** Show what GET /environment answered; null, and every other answer, is UNKNOWN. */
export function showEnvironment(element, found) {
  const kind = KINDS.includes(found?.kind) ? found.kind : 'unknown';
  element.textContent = kind.toUpperCase();
  element.className = `environment ${kind === 'live' ? 'live' : 'other'}`;
  element.dataset.environment = kind;
  element.title = found?.detail ? plain(found.detail) : kind === 'unknown' ? 'NEXUS does not say whether this is the plant' : '';
}
