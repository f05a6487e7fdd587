// Small parts that the pages share.

import { fill, h, uniqueId } from './elements.js';
import { plain } from './format.js';

const SIGNS = { GOOD: '●', UNCERTAIN: '▲', BAD: '■' };

/** A quality as sign and word: it is never a colour alone. */
export function quality(name, { word = true } = {}) {
  return h(
    'span',
    { class: `quality ${name.toLowerCase()}`, title: word ? null : name },
    h('span', { 'aria-hidden': 'true' }, SIGNS[name] || '?'),
    word ? ` ${name}` : h('span', { class: 'unseen' }, name),
  );
}

/** A state as a badge: kind `good`, `warn`, `bad` or `quiet`. */
export function badge(text, kind = 'quiet') {
  return h('span', { class: `badge ${kind}` }, plain(text));
}

/** A failure as a paragraph with its hint. */
export function failure(error) {
  return h(
    'p',
    { class: 'failure', role: 'alert' },
    h('strong', {}, plain(error.message || 'It failed.')),
    error.cause ? ` ${plain(error.cause)}.` : '',
    error.hint ? h('span', { class: 'quiet' }, ` ${plain(error.hint)}`) : '',
    error.code ? h('code', {}, ` ${plain(error.code)}`) : '',
  );
}

/** A table. columns: [{title, cell(row) -> node or text, class?}]; `empty` is said without rows. */
export function table(columns, rows, { caption = '', empty = 'Nothing.', rowAttributes = () => ({}) } = {}) {
  if (!rows.length) return h('p', { class: 'quiet' }, empty);
  return h(
    'div',
    { class: 'table-frame', tabIndex: 0, role: 'region', 'aria-label': caption || 'Table' },
    h(
      'table',
      {},
      caption ? h('caption', { class: 'unseen' }, caption) : null,
      h('thead', {}, h('tr', {}, columns.map((each) => h('th', { scope: 'col', class: each.class }, each.title)))),
      h(
        'tbody',
        {},
        rows.map((row) => h('tr', rowAttributes(row), columns.map((each) => h('td', { class: each.class }, each.cell(row))))),
      ),
    ),
  );
}

/** A list of terms and their meaning: [[term, node or text]…]; empty meanings are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, each]) => each !== null && each !== undefined && each !== '');
  return h('dl', { class: 'facts' }, shown.map(([term, each]) => [h('dt', {}, term), h('dd', {}, each)]));
}

/** A labelled field around an input, select or textarea. */
export function field(label, input, { hint = '' } = {}) {
  const id = input.id || uniqueId('field');
  input.id = id;
  const note = hint ? h('span', { class: 'quiet hint', id: `${id}-hint` }, hint) : null;
  if (note) input.setAttribute('aria-describedby', note.id);
  return h('div', { class: 'field' }, h('label', { for: id }, label), input, note);
}

/** A dialog: show({title, body, actions: [{label, kind, run(close) }]}). Escape closes it, focus returns to where it was. */
export function dialog({ title, body, actions = [], wide = false, onClose = () => {} }) {
  const head = uniqueId('dialog');
  const made = h('dialog', { class: wide ? 'wide' : null, 'aria-labelledby': head });
  const close = () => made.close();
  fill(
    made,
    h('div', { class: 'dialog-head' }, h('h2', { id: head }, title), closeButton(close)),
    h('div', { class: 'dialog-body' }, body),
    actions.length
      ? h(
          'div',
          { class: 'dialog-actions' },
          actions.map((each) =>
            h('button', { type: 'button', class: each.kind || null, onclick: () => each.run(close) }, each.label),
          ),
        )
      : null,
  );
  made.addEventListener('close', () => {
    made.remove();
    onClose();
  });
  document.body.append(made);
  made.showModal();
  return { close, element: made };
}

function closeButton(close) {
  return h('button', { type: 'button', class: 'plain', 'aria-label': 'Close', onclick: close }, '✕');
}

/** Asks before something is done; a promise of true or false. */
export function confirm({ title, body, yes = 'Do it', kind = 'primary' }) {
  return new Promise((resolve) => {
    let answer = false;
    const done = (given) => (close) => {
      answer = given;
      close();
    };
    dialog({
      title,
      body,
      actions: [
        { label: 'Cancel', run: done(false) },
        { label: yes, kind, run: done(true) },
      ],
      onClose: () => resolve(answer),
    });
  });
}

/** A button that copies a text. */
export function copyButton(text, label = 'Copy') {
  const made = h('button', { type: 'button', class: 'plain copy', onclick: copy }, label);
  async function copy() {
    const given = typeof text === 'function' ? text() : text;
    try {
      await navigator.clipboard.writeText(given);
      made.textContent = 'Copied';
    } catch {
      made.textContent = 'Press Ctrl+C'; // without HTTPS a browser gives no clipboard
      const shown = made.previousElementSibling;
      if (shown) getSelection().selectAllChildren(shown);
    }
    setTimeout(() => (made.textContent = label), 1500);
  }
  return made;
}
