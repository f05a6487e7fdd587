// A value as a tree that can be folded.

const OPEN_LEVELS = 2;
const OPEN_ENTRIES = 50;
const MOST_ENTRIES = 500;

/** Elements of a value. `h` is the page's maker of elements. */
export function jsonView(h, value) {
  return h('div', { class: 'json' }, node(h, value, 0, null, true));
}

function node(h, value, depth, key, last) {
  const label = key === null ? [] : [h('span', { class: 'json-key' }, key), h('span', { class: 'json-mark' }, ': ')];
  const comma = last ? '' : ',';
  if (value === null || typeof value !== 'object') {
    return h('div', { class: 'json-line' }, ...label, scalar(h, value), h('span', { class: 'json-mark' }, comma));
  }
  const list = Array.isArray(value);
  const entries = list ? value.map((each) => [null, each]) : Object.entries(value);
  const [open, close] = list ? ['[', ']'] : ['{', '}'];
  if (!entries.length) {
    return h('div', { class: 'json-line' }, ...label, h('span', { class: 'json-mark' }, open + close + comma));
  }
  const count = `${entries.length} ${list ? 'entries' : 'fields'}`;
  const head = h(
    'summary', { class: 'json-head' }, ...label, h('span', { class: 'json-mark' }, open),
    h('span', { class: 'json-folded' }, ` … ${entries.length === 1 ? count.replace(/ies$/, 'y').replace(/s$/, '') : count} ${close}${comma}`),
  );
  const shown = entries.slice(0, MOST_ENTRIES);
  const children = shown.map(([name, each], at) =>
    node(h, each, depth + 1, list ? null : JSON.stringify(name), at === entries.length - 1),
  );
  if (entries.length > shown.length) {
    children.push(h('div', { class: 'json-line json-mark' }, `… and ${entries.length - shown.length} more`));
  }
  const tree = h('details', { class: 'json-node' }, head, h('div', { class: 'json-inner' }, ...children),
    h('div', { class: 'json-mark' }, close + comma));
  tree.open = depth < OPEN_LEVELS && entries.length <= OPEN_ENTRIES;
  return tree;
}

function scalar(h, value) {
  const kind = value === null ? 'null' : typeof value === 'bigint' ? 'number' : typeof value;
  return h('span', { class: `json-${kind}` }, typeof value === 'bigint' ? value.toString() : JSON.stringify(value));
}
