// A sequence's steps in words, with the values of its parameters in their places; numbered as in the journal of a run.

import { plain, value as shown } from './format.js';
import { stringify } from './payload.js';

export const BRANCHES = { requires: 'before the first step', steps: 'steps', on_abort: 'when it is aborted or fails' };
const REFERENCE = /\$\{param:([^{}]*)\}/g;
const DEFAULTS_MS = { write: 10_000, until: 60_000 };
const seconds = (ms) => `${Number((ms / 1000).toPrecision(6))} s`;

/** Steps as `[{number, branch, text, path?}]`; `given` are texts by parameter, of the others the reference stays. */
export function stepsOf(sequence, given = {}) {
  const placed = (text) => String(text).replace(REFERENCE, (whole, name) => given[name] ?? whole);
  const lines = [
    ...(sequence.requires ?? []).map((text) => ({ branch: 'requires', text: placed(text) })),
    ...(sequence.steps ?? []).map((step) => ({ branch: 'steps', ...line(step, placed) })),
    ...(sequence.on_abort ?? []).map((step) => ({ branch: 'on_abort', ...line(step, placed) })),
  ];
  return lines.map((each, at) => ({ number: at + 1, ...each, text: plain(each.text) }));
}

function line(step, placed) {
  const subject = step.subject ?? '';
  const words = {
    write: () => `write ${subject} = ${placed(quoted(step.value))}${step.expects ? ` if it holds ${placed(quoted(step.expect))}` : ''}`,
    wait: () => `wait ${seconds(step.wait_ms ?? 0)}`,
    until: () => `until ${placed(subject)} (at most ${seconds(step.timeout_ms ?? DEFAULTS_MS.until)})`,
    publish: () => `publish ${subject}${Object.keys(step.fields ?? {}).length ? ` ${placed(stringify(step.fields))}` : ''}`,
  };
  return { text: words[step.do]?.() ?? step.do, description: step.description ?? '', path: step.do === 'write' ? subject : null };
}

const quoted = (value) => (typeof value === 'string' && !value.startsWith('${param:') ? `'${value}'` : shown(value));

const WHOLE = /^-?\d+$/;

/** The value of a parameter as JSON has it; a text that is none is sent as it is, and control says why it does not fit. */
export function argument(type, text) {
  if (type === 'string' || type === undefined) return text;
  const trimmed = text.trim();
  if (type === 'bool') return { true: true, on: true, 1: true, false: false, off: false, 0: false }[trimmed.toLowerCase()] ?? text;
  if (WHOLE.test(trimmed) && !Number.isSafeInteger(Number(trimmed)) && JSON.rawJSON) return JSON.rawJSON(trimmed);
  return trimmed !== '' && Number.isFinite(Number(trimmed)) ? Number(trimmed) : text;
}

/** Fields of a form from the parameters of a sequence. */
export function parameterFields(parameters) {
  return Object.entries(parameters).map(([name, one]) => ({
    name, type: one.type ?? 'string', kinds: kindsOf(one.type), values: one.values, range: one.range, description: one.description,
    required: one.default === undefined || one.default === null, preset: one.default,
  }));
}

function kindsOf(type = 'string') {
  if (type === 'bool') return ['boolean'];
  return [type === 'string' ? 'string' : 'number'];
}
