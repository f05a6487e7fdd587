// Rows of a list that are marked for what is done to several at once.

import { h } from './elements.js';
import { count } from './format.js';

/** The box in a row: a click on it, or Space, marks the row. */
export const markBox = () => h('span', { class: 'mark', 'aria-hidden': 'true' });

/** Marked keys, and the line that says how many; `changed()` after each mark. */
export class Marks {
  constructor({ changed }) {
    this.keys = new Set();
    this.changed = changed;
    this.said = h('span', { class: 'quiet', role: 'status' });
  }

  has(key) {
    return this.keys.has(key);
  }

  flip(key) {
    if (!this.keys.delete(key)) this.keys.add(key);
    this.tell();
  }

  set(keys) {
    this.keys = new Set(keys);
    this.tell();
  }

  /** Forget those that are not there any more. */
  keep(there) {
    const kept = [...this.keys].filter((each) => there.has(each));
    if (kept.length !== this.keys.size) this.set(kept);
  }

  tell() {
    this.said.textContent = this.keys.size ? `${count(this.keys.size)} marked` : '';
    this.changed();
  }
}

/** Buttons that mark what a list shows, and nothing. `shown()` gives the keys. */
export function markButtons(marks, shown) {
  return [
    h('button', { type: 'button', class: 'plain', onclick: () => marks.set(shown()) }, 'Mark all shown'),
    h('button', { type: 'button', class: 'plain', onclick: () => marks.set([]) }, 'Mark none'),
  ];
}
