// Lists that may be long: the first entries, the others at a click, and what the answer left out in words.

import { fill, h } from './elements.js';
import { count } from './format.js';

const FIRST = 6;

/**
 * A list of entries, shortened until it is asked for.
 *
 * @param {object} listed `{shown, total}`: entries, and how many there are in all.
 * @param {Function} row entry -> children of its item.
 * @param {object} options `{first, more}`: how many are shown at once, and where the rest is, in words.
 */
export function foldedList({ shown, total }, row, { first = FIRST, more = '' } = {}) {
  const list = h('ul', { class: 'folded' });
  const rest = h('div', {});
  const draw = (until) => {
    fill(list, shown.slice(0, until).map((each) => h('li', {}, row(each))));
    const left = shown.length - until;
    fill(rest, left > 0 ? h('button', { type: 'button', class: 'plain', onclick: () => draw(shown.length) }, `Show ${count(left)} more`)
      : total > shown.length ? h('p', { class: 'quiet' }, `… and ${count(total - shown.length)} more${more ? `: ${more}` : ''}`) : null);
    if (until > first) list.children[first]?.querySelector('a, summary')?.focus();
  };
  draw(shown.length <= first + 1 ? shown.length : first);
  return [list, rest];
}

/** A heading with a count, and what is below it, closed unless `open`. */
export function fold(title, many, children, { open = false } = {}) {
  return h('details', { class: 'fold', open }, h('summary', {}, title, ' ', h('span', { class: 'quiet' }, count(many))), children);
}
