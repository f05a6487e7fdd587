// Elements of the document. Text is only ever text: nothing here, or anywhere in the page, parses markup.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'path', 'circle', 'line', 'rect', 'g', 'polyline', 'title']);

/** Creates an element.
 *  attributes: `class`, `dataset: {}`, `style: {'--name': value}`, `onclick: fn` (any `on…` is a listener), properties
 *  `value`, `checked`, `disabled`, `hidden`, `selected`, `indeterminate`; every other one is an attribute; null and false
 *  leave it out. children: nodes, strings, numbers, arrays; null and false are left out. */
export function h(tag, attributes, ...children) {
  const made = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) set(made, name, value);
  add(made, children);
  return made;
}

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'selected', 'indeterminate', 'tabIndex']);

function set(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (PROPERTIES.has(name)) element[name] = value === null || value === undefined ? element[name] : value;
    return;
  }
  if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
  else if (name === 'dataset') Object.assign(element.dataset, value);
  else if (name === 'style') for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
  else if (PROPERTIES.has(name)) element[name] = value;
  else if (name === 'class') element.setAttribute('class', value);
  else element.setAttribute(name, value === true ? '' : value);
}

/** Appends children as `h` does. */
export function add(element, children) {
  for (const each of children.flat(Infinity)) {
    if (each === null || each === undefined || each === false) continue;
    element.append(each instanceof Node ? each : String(each));
  }
  return element;
}

/** Replaces what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  return add(element, children);
}

/** Sets text where it differs: an unchanged node costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

let made = 0;

/** An id that no other element has. */
export function uniqueId(prefix) {
  made += 1;
  return `${prefix}-${made}`;
}
