// The text of a plan as `nexus plan` prints it, with its colours: + green, - red, ~ and ! yellow, old and new values apart.

import { h } from './elements.js';
import { plainBlock } from './format.js';

const MARKED = /^( {2}| {4}| {6})(\+|~|->|-|!)( .*)$/;
const KINDS = { '+': 'added', '-': 'removed', '~': 'changed', '->': 'moved', '!': 'hazard' };
const VALUE = /^( {6,}|.*? {2})?([A-Za-z0-9_.]+): (.*) -> (.*)$/;
const HEADING = /^[A-Z][A-Za-z ?]*:$/;
const PLANE = /^ {6}(?:each: )?(devices|topics|rights|series|load|database): /;

/** A block of lines; each keeps its indent where it wraps. */
export function planLines(text) {
  return h('div', { class: 'plan-text', role: 'group', 'aria-label': 'Plan', tabIndex: 0 }, plainBlock(text).split('\n').map(planLine));
}

function planLine(line) {
  const indent = line.length - line.trimStart().length;
  const made = (kind, ...children) => h('div', { class: `plan-line ${kind}`, style: { '--indent': `${indent + 2}ch` } }, children);
  const marked = MARKED.exec(line);
  if (marked) {
    const [, space, mark, rest] = marked;
    return made('', space, h('span', { class: `plan-mark ${KINDS[mark]}` }, mark), valued(rest));
  }
  if (HEADING.test(line) || line.startsWith('Plan')) return made('plan-head', line);
  if (PLANE.test(line)) return made('quiet', line);
  return made('', line ? valued(line) : '\u00a0');
}

/** `key: old -> new` with both sides marked; anything else as it is. */
function valued(text) {
  const found = text.split(' -> ').length === 2 && !text.includes('; ') ? VALUE.exec(text) : null;
  if (!found) return text;
  const [, before = '', key, old, now] = found;
  return [before, h('span', { class: 'quiet' }, `${key}: `), h('span', { class: 'plan-old' }, old), ' -> ', h('span', { class: 'plan-new' }, now)];
}
