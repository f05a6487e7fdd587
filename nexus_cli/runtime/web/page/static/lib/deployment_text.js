// A deployment in the words of the command line: its journal, how it ended, and its table (`nexus apply`, `nexus show`).

import { count, plain } from './format.js';

export const MOST_ROWS = 40;
const FIGURES = /[A-Za-z0-9_.-]*\d[A-Za-z0-9_.:/-]*/g;
const ENDS = { applied: 'Applied', partly: 'Partly applied', failed: 'Failed, nothing changed', stopped: 'Stopped' };
const VERBS = {
  away: (subject) => `control does not answer; asking again for ${subject} s, the deployment continues when control is back`,
  sequences: (subject) => `waiting for the run ${subject} of a sequence to end`,
  record: () => 'recording',
  rights: () => 'giving rights at the broker',
  revoke: () => 'taking old rights away',
  notify: (subject) => `notifying gateway ${subject}`,
  observe: (subject) => `waiting for gateway ${subject}`,
  clear: () => 'clearing retained messages',
  finalise: () => 'finishing',
  verify: () => 'looking for GOOD values',
};
const SHORT = ['rights', 'notify', 'revoke', 'finalise'];

/** One line of the journal for people; null for what the command line leaves out. */
export function progressLine({ step, subject = '', state, detail = {} }) {
  const text = VERBS[step]?.(plain(subject)) ?? plain(step);
  if (state === 'begun') return SHORT.includes(step) ? null : `${text} …`;
  if (state === 'failed') return `${text}: failed: ${plain(detail.message ?? '')}`.replace(/[: ]+$/, '');
  return step === 'observe' ? `gateway ${plain(subject)} runs it` : null;
}

/** How it ended, in one sentence. */
export function endText({ number, outcome, counts = {} }) {
  const parts = ['applied', 'failed', 'skipped', 'unknown'].map((state) => `${counts[state] ?? 0} ${state}`);
  const sure = ['verified', 'unverified'].filter((state) => counts[state]).map((state) => `${counts[state]} ${state}`);
  if (counts.verification_failed) sure.push(`${counts.verification_failed} not reachable any more`);
  return `${ENDS[outcome] ?? outcome} as deployment ${number}: ${parts.join(', ')}${sure.length ? ` (${sure.join(', ')})` : ''}.`;
}

const notable = (row) => row.state !== 'applied' || ['failed', 'unverified'].includes(row.verification);

/**
 * Rows to show, `[{address, state, action, verification, detail, alike?}]`, and how many are left out. Of a long table the
 * rows that are not simply well are folded by how they ended; figures in their reasons do not part them.
 */
export function foldedTable(rows, leftOut = 0) {
  if (rows.length <= MOST_ROWS) return { shown: rows, more: leftOut ? `… and ${count(leftOut)} more` : '' };
  const groups = new Map();
  const odd = rows.filter(notable);
  for (const row of odd) {
    const key = [row.state, row.verification, (row.detail ?? '').replace(FIGURES, '#')].join('\0');
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const shown = [...groups.values()].slice(0, MOST_ROWS).map((group) =>
    group.length === 1 ? group[0] : { ...group[0], address: `${count(group.length)} alike`, alike: group.map((each) => each.address) });
  const well = rows.length - odd.length + leftOut;
  return { shown, more: well ? `… and ${count(well)} more, applied` : '' };
}
