// Declared messages: a form, a preview that the check has seen, and then the publish.

import { fill, h } from './elements.js';
import { plain, plainBlock, shell } from './format.js';
import { jsonOf, stringify } from './payload.js';
import { Notice, button, lacking, sentence } from './notices.js';
import { TypedForm } from './typed_form.js';

const encoded = encodeURIComponent;

/** One message: filled in, previewed, published. */
export class PublishPanel {
  /** `declared` is an entry of GET /messages; `onTwin(line)` gets the command that does the same. */
  constructor(ctx, declared, { onTwin }) {
    Object.assign(this, { ctx, declared, onTwin });
    this.asJson = false;
    this.previewed = null; // the fields that the check has passed
    this.notice = new Notice();
    this.form = new TypedForm(declared.fields, { onChange: () => this.changed() });
    this.json = h('textarea', { class: 'json-edit', rows: '8', spellcheck: 'false', 'aria-label': 'Fields as JSON', oninput: () => this.changed() });
    this.entry = h('div', {});
    this.result = h('div', { class: 'preview', 'aria-live': 'polite' });
    this.mode = h('button', { type: 'button', class: 'choice', onclick: () => this.swap() }, 'Edit as JSON');
    this.publishing = button('Publish', () => this.publish(), { class: 'primary', disabled: true });
    this.element = h('section', { class: 'panel', 'aria-label': `Publish ${declared.name}` }, ...this.head(), ...this.controls());
    this.enter();
  }

  head() {
    const { name, topic, qos, retain, description } = this.declared;
    return [
      h('h2', {}, plain(name)),
      description ? h('p', {}, plain(description)) : null,
      h('p', { class: 'quiet' }, 'on ', h('code', {}, plain(topic)), ` · QoS ${qos}${retain ? ' · retained' : ''}`),
    ];
  }

  controls() {
    const { name, may_publish: may, payload = {} } = this.declared;
    const fixed = Object.keys(payload).length
      ? h('p', { class: 'quiet' }, 'fixed: ', h('code', {}, plain(stringify(payload)))) : null;
    const actions = h('div', { class: 'actions' }, button('Preview', () => this.preview(), { class: may ? '' : 'primary' }),
      may ? this.publishing : null, this.mode);
    const why = may ? null : lacking(`There is no button to publish: no role of yours has 'publish: [${name}]'.`);
    return [fixed, this.entry, actions, why, this.notice.element, this.result];
  }

  enter() {
    fill(this.entry, this.asJson ? this.json : this.form.element);
    this.mode.textContent = this.asJson ? 'Edit as form' : 'Edit as JSON';
    this.changed();
  }

  /** From the form to JSON and back; what the check typed last is kept. */
  async swap() {
    if (!this.asJson) {
      const { set } = await this.check({ texts: this.form.texts() }).catch(() => ({ set: null }));
      this.json.value = JSON.stringify(set ?? this.form.texts(), null, 2);
    } else {
      const given = this.read();
      if (given === null) return;
      this.form.set(Object.fromEntries(Object.entries(given).map(([name, each]) => [name, typeof each === 'string' ? each : stringify(each)])));
    }
    this.asJson = !this.asJson;
    this.enter();
  }

  changed() {
    this.previewed = null;
    this.publishing.disabled = true;
    this.result.replaceChildren();
    this.notice.show(null);
    const texts = this.asJson ? {} : this.form.texts();
    const set = Object.entries(texts).map(([name, text]) => ` --set ${shell(`${name}=${text}`)}`);
    this.onTwin(`nexus publish ${this.declared.name}${set.join('')} --preview`);
  }

  /** The JSON that was typed; null when it can't be read, which is said. */
  read() {
    try {
      const found = jsonOf(this.json.value || '{}');
      if (found !== null && typeof found === 'object' && !Array.isArray(found)) return found;
      this.notice.show('The fields are a JSON object: {"name": value}.');
    } catch (error) {
      this.notice.show(`This is no JSON: ${error.message}.`);
    }
    return null;
  }

  check(given) {
    return this.ctx.api(`/messages/${encoded(this.declared.name)}/preview`, { method: 'POST', body: given });
  }

  async preview() {
    const set = this.asJson ? this.read() : null;
    if (this.asJson && set === null) return;
    try {
      const found = await this.check(this.asJson ? { set } : { texts: this.form.texts() });
      if (found.problems.length) this.refuse(found.problems[0]);
      else this.accept(found);
    } catch (error) {
      this.notice.show(error);
    }
  }

  accept(found) {
    this.form.accept();
    this.notice.show(null);
    this.previewed = found.set;
    this.publishing.disabled = false;
    fill(this.result, h('h3', {}, 'Preview: it fits its schema'),
      h('p', {}, h('code', { class: 'preview-topic' }, plain(found.topic)), ` QoS ${found.qos}${found.retain ? ', retained' : ''}`),
      h('pre', { class: 'payload' }, plainBlock(JSON.stringify(found.payload, null, 2))));
  }

  /** What the check says, at its field where it names one. */
  refuse(problem) {
    this.previewed = null;
    this.publishing.disabled = true;
    this.result.replaceChildren();
    if (this.asJson || !this.form.refuse(problem)) this.notice.show(sentence(problem));
    else this.notice.show('It does not fit its schema; nothing was published.');
  }

  async publish() {
    if (this.previewed === null) return;
    try {
      const done = await this.ctx.api(`/messages/${encoded(this.declared.name)}`, { method: 'POST', body: { set: this.previewed } });
      this.previewed = null;
      this.publishing.disabled = true;
      fill(this.result, h('p', { class: 'done' }, 'Published on ', h('code', {}, plain(done.topic)), '.'));
    } catch (error) {
      if (error.code === 'NX6841') this.refuse(error);
      else this.notice.show(error);
    }
  }
}
