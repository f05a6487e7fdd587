// A form from declared fields: what a person types, by the types that are taken, with what was refused at its field.

import { add, fill, h, uniqueId } from './elements.js';
import { plain, value as shown } from './format.js';

const TRUTH = ['true', 'false'];

/** One field: `{name, kinds, values?, range?, description?, required?, preset?}`; kinds are JSON's, `integer` beside `number`. */
class Field {
  constructor(described, onChange) {
    Object.assign(this, described);
    const id = uniqueId('field');
    this.note = h('p', { class: 'problem', id: `${id}-problem`, hidden: true });
    this.input = this.control(id);
    this.input.addEventListener('input', () => {
      this.refuse('');
      onChange(this.name);
    });
    const facts = factsOf(described);
    if (facts) this.input.setAttribute('aria-describedby', `${id}-facts`);
    this.element = h('div', { class: 'field', dataset: { field: this.name } },
      h('label', { for: id }, plain(this.name), described.required ? h('span', { class: 'quiet' }, ' (required)') : null),
      this.input, facts ? h('p', { class: 'quiet', id: `${id}-facts` }, facts) : null, this.note);
  }

  control(id) {
    const { kinds = [], values, preset } = this;
    const set = preset === undefined || preset === null ? '' : typeof preset === 'string' ? preset : JSON.stringify(preset);
    const choices = values?.length ? values : kinds.length === 1 && kinds[0] === 'boolean' ? TRUTH : null;
    if (choices) {
      const options = choices.map((each) => h('option', { value: asText(each) }, shown(each)));
      const made = h('select', { id, name: this.name }, h('option', { value: '' }, '–'), ...options);
      made.value = set;
      return made;
    }
    if (kinds.some((each) => each === 'object' || each === 'array')) {
      return h('textarea', { id, name: this.name, rows: '3', spellcheck: 'false', value: set });
    }
    const numeric = kinds.length > 0 && kinds.every((each) => each === 'integer' || each === 'number');
    return h('input', {
      id, name: this.name, type: 'text', value: set, autocomplete: 'off', spellcheck: 'false', inputmode: numeric ? 'decimal' : null,
    });
  }

  /** Say what is wrong with it; "" takes that back. */
  refuse(text) {
    this.note.hidden = !text;
    this.note.textContent = plain(text);
    if (text) this.input.setAttribute('aria-invalid', 'true');
    else this.input.removeAttribute('aria-invalid');
    if (text) this.input.setAttribute('aria-errormessage', this.note.id);
    else this.input.removeAttribute('aria-errormessage');
  }
}

const asText = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function factsOf({ kinds = [], range, description, preset, type }) {
  const facts = [type ?? kinds.filter((each) => each !== 'integer' || !kinds.includes('number')).join(' or ')];
  if (range) facts.push(`${range[0] ?? '…'} to ${range[1] ?? '…'}`);
  if (preset !== undefined && preset !== null) facts.push(`default ${shown(preset)}`);
  if (description) facts.push(plain(description));
  return facts.filter(Boolean).join(' · ');
}

/** Fields in their order. */
export class TypedForm {
  constructor(fields, { onChange = () => {} } = {}) {
    this.fields = fields.map((each) => new Field(each, onChange));
    this.element = h('div', { class: 'fields' });
    add(this.element, this.fields.map((each) => each.element));
    if (!fields.length) fill(this.element, h('p', { class: 'quiet' }, 'It has no fields.'));
  }

  /** What was typed, by name; what is empty is left out. */
  texts() {
    return Object.fromEntries(this.fields.filter((each) => each.input.value !== '').map((each) => [each.name, each.input.value]));
  }

  set(texts) {
    for (const each of this.fields) each.input.value = texts[each.name] ?? '';
  }

  /** Show a refusal at the field that it is about. Gives false when it is about none. */
  refuse({ field = '', message = '', hint = '' }) {
    for (const each of this.fields) each.refuse('');
    const found = this.fields.find((each) => each.name === field) ?? this.fields.find((each) => isAbout(message, each.name));
    if (!found) return false;
    found.refuse(hint && !hint.startsWith('fields:') ? `${message} – ${hint}` : message); // the fields are on the page
    found.input.focus();
    return true;
  }

  accept() {
    for (const each of this.fields) each.refuse('');
  }
}

/** Whether a sentence of the check names a field: quoted, or as the place in front of what is wrong. */
function isAbout(message, name) {
  return message.includes(`'${name}'`) || message.split(/[:\s]+/).some((word) => word === name || word.startsWith(`${name}.`));
}
