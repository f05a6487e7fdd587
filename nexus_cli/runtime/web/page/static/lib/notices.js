// What is missing, in one line; and why a button is not there.

import { fill, h } from './elements.js';
import { plain } from './format.js';

/** A line for failures: hidden while everything works. */
export class Notice {
  constructor() {
    this.element = h('p', { class: 'failure', role: 'status', hidden: true });
  }

  /** Show a failure, or a sentence; null hides the line. `lead` names what is not there. */
  show(error, lead = '') {
    this.element.hidden = error === null;
    if (error === null) return;
    this.element.className = error.status === 403 || typeof error === 'string' ? 'note' : 'failure';
    fill(this.element, sentence(error, lead));
  }
}

/** A failure in one line, with its cause and what to do. */
export function sentence(error, lead = '') {
  if (typeof error === 'string') return plain(error);
  const parts = [error.message, error.cause && `(${error.cause})`, error.hint && `– ${error.hint}`];
  const code = error.code ? ` [${error.code}]` : '';
  return plain([lead, ...parts].filter(Boolean).join(' ') + code);
}

/** Why a button is not there. */
export function lacking(text) {
  return h('p', { class: 'lacking' }, text);
}

/** The cross of a panel beside a list. */
export function closer(onClose) {
  return h('button', { type: 'button', class: 'plain closer', 'aria-label': 'Close', onclick: onClose }, '✕');
}

/** A button that is busy while its work runs, so that nothing is sent twice. */
export function button(label, work, attributes = {}) {
  const made = h('button', { type: 'button', ...attributes }, label);
  made.addEventListener('click', async () => {
    if (made.getAttribute('aria-busy') === 'true') return;
    made.setAttribute('aria-busy', 'true');
    try {
      await work();
    } finally {
      made.removeAttribute('aria-busy');
    }
  });
  return made;
}
