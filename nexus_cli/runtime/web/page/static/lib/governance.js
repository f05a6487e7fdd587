// Whose data it is, its class, and whether it is about persons: for a find and for a card.

import { h } from './elements.js';
import { plain } from './format.js';

const LOOK = { restricted: 'bad', confidential: 'warn' };

/** The class as a badge; one without any is internal. */
export const classBadge = (classification) => h('span', { class: `badge ${LOOK[classification] ?? ''}` }, plain(classification || 'internal'));

/** The badge of what says something about persons; null for other data. */
export const personalBadge = (pii) => (pii ? h('span', { class: 'badge warn', title: 'It says something about persons (pii)' }, 'personal data') : null);

/** Labels as they are written. */
export const labelWords = (labels) => Object.entries(labels || {}).map(([name, each]) => `${name}=${each}`).join(', ');

/** Pairs for a list of facts. */
export function governance({ owner, classification, pii, labels, quality, readers }) {
  return [
    ['Owner', plain(owner || '')],
    ['Class', h('span', {}, classBadge(classification), ' ', personalBadge(pii))],
    ['Labels', plain(labelWords(labels))],
    ['Rules of quality', plain(quality || '')],
    ['Who reads it', (readers || []).map(plain).join(', ')],
  ];
}
