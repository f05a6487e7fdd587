// One declared sequence: its steps with the tags' values, its parameters, and the start.

import { fill, h, uniqueId } from './elements.js';
import { plain, shell, value } from './format.js';
import { counted } from './figures.js';
import { Notice, button, lacking } from './notices.js';
import { BRANCHES, argument, parameterFields, stepsOf } from './sequence_steps.js';
import { TypedForm } from './typed_form.js';

/** `onStarted(id)` is called with the id of a run that control has accepted; `onTwin(line)` gets the command line. */
export class SequencePanel {
  constructor(ctx, declared, { may, onStarted, onTwin }) {
    Object.assign(this, { ctx, declared, may, onStarted, onTwin });
    this.brief = null;
    this.notice = new Notice();
    this.form = new TypedForm(parameterFields(declared.parameters ?? {}), { onChange: () => this.changed() });
    this.reason = h('input', { id: uniqueId('reason'), type: 'text', name: 'reason', maxlength: '500', autocomplete: 'off' });
    this.steps = h('div', { class: 'brief' });
    const { name, steps, writes, description } = declared;
    this.element = h('section', { class: 'card', 'aria-label': `Sequence ${name}` }, h('h2', {}, plain(name)),
      description ? h('p', {}, plain(description)) : null,
      h('p', { class: 'quiet' }, `${counted(steps, 'step')}, writes ${counted(writes.length, 'tag')}`),
      this.steps, Object.keys(declared.parameters ?? {}).length ? this.form.element : null, this.start(), this.notice.element);
    this.load();
    this.changed();
  }

  start() {
    const { name } = this.declared;
    if (!this.may.run.includes(name)) return lacking(`There is no button to start it: no role of yours has 'run: [${plain(name)}]'.`);
    return [
      h('div', { class: 'field' }, h('label', { for: this.reason.id }, 'Reason'), this.reason),
      h('div', { class: 'actions' }, button('Start', () => this.run(), { class: 'primary' }), button('Read values again', () => this.load())),
    ];
  }

  /** The steps as control has them now, with what the tags hold. */
  async load() {
    try {
      this.brief = await this.ctx.api(`/sequences/${encodeURIComponent(this.declared.name)}`);
      this.notice.show(null);
      this.values = await this.read(stepsOf(this.brief.sequence).map((each) => each.path).filter(Boolean));
      this.show();
    } catch (error) {
      this.notice.show(error);
    }
  }

  async read(paths) {
    const found = await Promise.all([...new Set(paths)].map((path) =>
      this.ctx.api(`/values/${this.ctx.pathOf(path)}`).catch(() => null)));
    return new Map(found.filter(Boolean).map((each) => [each.path, each]));
  }

  changed() {
    this.notice.show(null);
    const set = Object.entries(this.form.texts()).map(([name, text]) => ` --set ${shell(`${name}=${text}`)}`);
    this.onTwin(`nexus sequence run ${this.declared.name}${set.join('')}`);
    if (this.brief) this.show();
  }

  show() {
    const lines = stepsOf(this.brief.sequence, this.form.texts());
    const groups = Object.entries(BRANCHES).map(([branch, title]) => {
      const mine = lines.filter((each) => each.branch === branch);
      if (!mine.length) return null;
      return [h('h3', {}, title), h('ol', { class: 'steps', start: String(mine[0].number) }, mine.map((each) => h('li', { value: String(each.number) }, h('span', {}, each.text),
        this.now(each.path), each.description ? h('div', { class: 'quiet' }, plain(each.description)) : null)))];
    });
    fill(this.steps, groups);
  }

  now(path) {
    const found = path ? this.values?.get(path) : null;
    if (!found) return null;
    const text = found.value === null ? `${found.quality} ${plain(found.reason)}` : `${value(found.value, found.label)} ${plain(found.unit)}`;
    return h('span', { class: 'quiet' }, `  now ${text.trim()}`);
  }

  async run() {
    const { name, parameters = {} } = this.declared;
    const set = Object.fromEntries(Object.entries(this.form.texts()).map(([key, text]) => [key, argument(parameters[key]?.type, text)]));
    const body = { run: orderId(name), reason: this.reason.value.trim(), set, agreed: this.brief?.agreed ?? '' };
    this.form.accept();
    try {
      const run = await this.ctx.api(`/sequences/${encodeURIComponent(name)}/runs`, { method: 'POST', body });
      this.notice.show(null);
      this.onStarted(run.id);
    } catch (error) {
      if (error.code === 'NX6837' && this.form.refuse(error)) this.notice.show('Nothing was started.');
      else this.notice.show(error);
      if (error.code === 'NX6838') await this.load();
    }
  }
}

/** A fresh id: rises with time, and two browsers never make the same. */
function orderId(name) {
  const random = crypto.getRandomValues(new Uint32Array(2));
  return `${name.slice(0, 60)}-${Date.now().toString(36)}${random[0].toString(36)}`.replace(/[^A-Za-z0-9._:-]/g, '-').slice(0, 100);
}
