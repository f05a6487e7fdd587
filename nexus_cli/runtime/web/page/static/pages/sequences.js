// Sequences: what is declared, its start, and its runs step by step.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { plain, time, value } from '../lib/format.js';
import { Notice } from '../lib/notices.js';
import { RunView } from '../lib/run_view.js';
import { SequencePanel } from '../lib/sequence_panel.js';

const EVERY_MS = 5000;
const narrow = matchMedia('(max-width: 700px)'); // what is chosen lies below the list
const LOOK = { done: 'good', running: '', refused: 'warn', aborted: 'warn', failed: 'bad', interrupted: 'bad' };

class SequencesPage {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx });
    this.notice = new Notice();
    this.declared = h('ul', { class: 'choose', 'aria-label': 'Declared sequences' });
    this.runs = h('ul', { class: 'runs', 'aria-label': 'Newest runs' });
    this.place = h('div', { class: 'chosen' });
    fill(root, h('div', { class: 'page' }, this.notice.element, h('div', { class: 'sides' },
      h('aside', { 'aria-label': 'Sequences and runs' }, h('h2', {}, 'Sequences'), this.declared, h('h2', {}, 'Runs'), this.runs), this.place)));
    this.asking = askEvery({
      ask: (signal) => Promise.all([ctx.api('/sequences', { signal }), ctx.api('/permissions', { signal })]),
      shown: ([found, may]) => this.show(found, may),
      failed: (error) => this.notice.show(error, this.found ? 'The list is from before:' : ''),
      everyMs: EVERY_MS,
    });
    this.ends = [this.asking.stop, ctx.socket.events(['sequence'], () => this.asking.now())];
    ctx.onMoved = () => this.open();
  }

  close() {
    for (const end of this.ends) end();
    this.run?.close();
  }

  show(found, may) {
    this.found = found;
    this.may = may;
    this.list();
    this.open();
  }

  list() {
    const [kind, name] = this.asked();
    const { sequences, runs } = this.found;
    const focused = document.activeElement?.getAttribute?.('href');
    fill(this.declared, sequences.length ? sequences.map((each) => h('li', {}, h('a', {
      href: `#/sequences/of/${this.ctx.pathOf(each.name)}`, 'aria-current': kind === 'of' && each.name === name ? 'true' : null,
    }, plain(each.name)), each.description ? h('div', { class: 'quiet' }, plain(each.description)) : null))
      : h('li', { class: 'quiet' }, 'None that you may see (', h('code', {}, 'sequences:'), ').'));
    fill(this.runs, runs.length ? runs.map((each) => h('li', {}, h('a', {
      href: `#/sequences/runs/${this.ctx.pathOf(each.id)}`, 'aria-current': kind === 'runs' && each.id === name ? 'true' : null,
    }, plain(each.name)), ' ', h('span', { class: `badge ${LOOK[each.state] ?? ''}` }, each.state),
      h('div', { class: 'quiet' }, `${time(each.started, true)} · ${plain(each.who)}${settings(each.set)}`)))
      : h('li', { class: 'quiet' }, 'No run is on record.'));
    if (focused) this.root.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  asked() {
    const [kind = '', ...rest] = this.ctx.rest.split('/');
    return [kind, rest.join('/')];
  }

  open() {
    if (!this.found) return;
    const [kind, name] = this.asked();
    const key = `${kind}/${name}`;
    if (this.opened === key) return;
    this.opened = key;
    this.run?.close();
    this.run = null;
    this.list();
    if (kind === 'runs' && name) this.openRun(name);
    else this.openSequence(kind === 'of' ? name : '');
    if (name && narrow.matches) this.place.scrollIntoView();
  }

  openRun(id) {
    this.twin(`nexus sequence status ${id}`);
    this.run = new RunView(this.ctx, id, { mayRun: (name) => this.may.run.includes(name), onEnd: () => this.asking.now() });
    fill(this.place, this.run.element);
  }

  openSequence(name) {
    const declared = this.found.sequences.find((each) => each.name === name) ?? (name ? null : this.found.sequences[0]);
    if (!declared) {
      this.twin('nexus sequence list');
      fill(this.place, name ? h('p', { class: 'note' }, `There is no sequence '${plain(name)}' that you may see.`) : null);
      return;
    }
    const panel = new SequencePanel(this.ctx, declared, {
      may: this.may, onTwin: (line) => this.twin(line),
      onStarted: (id) => {
        this.asking.now();
        this.ctx.go(`sequences/runs/${this.ctx.pathOf(id)}`);
      },
    });
    fill(this.place, panel.element);
  }

  twin(line) {
    this.ctx.twinLine = line;
    this.ctx.twinChanged();
  }
}

const settings = (set = {}) => Object.entries(set).map(([name, each]) => ` · ${plain(name)}=${value(each)}`).join('');

export const page = {
  id: 'sequences',
  title: 'Sequences',
  twin: (ctx) => ctx.twinLine ?? 'nexus sequence list',
  mount(root, ctx) {
    const made = new SequencesPage(root, ctx);
    return () => made.close();
  },
};
