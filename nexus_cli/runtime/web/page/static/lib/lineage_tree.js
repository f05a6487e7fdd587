// Where a tag comes from, down to registers and nodes: job events of OpenLineage as a tree.

import { h } from './elements.js';
import { plain } from './format.js';

const MADE = /^(read|take|calculate) (.+)$/s;
const MOST_LEVELS = 20;

/** The tree of a tag. `events`: of `GET /lineage/PATH?format=openlineage`. */
export function lineageTree({ pathOf }, events, path) {
  const made = new Map();
  for (const each of events) {
    const found = MADE.exec(each.job.name);
    if (found) made.set(found[2], { kind: found[1], event: each });
  }
  return h('ul', { class: 'lineage-tree' }, branch(path, 0));

  function branch(tag, level) {
    const found = made.get(tag);
    const link = h('a', { href: `#/namespace/${pathOf(tag)}` }, plain(tag));
    if (!found) return h('li', {}, link);
    const { kind, event } = found;
    const words = event.job.facets?.documentation?.description ?? '';
    if (kind !== 'calculate') {
      const [from] = event.inputs;
      return h('li', {}, link, h('ul', {}, h('li', {}, h('code', {}, plain(from.name)), h('span', { class: 'quiet' }, ` ${plain(from.namespace)}, ${plain(words)}`))));
    }
    const below = level < MOST_LEVELS ? event.inputs.map((each) => branch(each.name, level + 1)) : [h('li', { class: 'quiet' }, '…')];
    return h('li', {}, link, h('span', { class: 'quiet' }, ' = '), h('code', {}, plain(words)), h('ul', {}, below));
  }
}
