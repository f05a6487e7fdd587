// One rollout: where it is, its waves with what their gates measured, and the buttons that stop, continue or take it back.

import { fill, h } from './elements.js';
import { count, duration, left, number, plain, time, zone } from './format.js';
import { Notice, button, lacking } from './notices.js';
import { confirm } from './widgets.js';

export const LOOKS = { applied: 'good', stopped: 'bad', 'rolled-back': 'warn', 'rolling-back': 'warn' };
const WAVES = { passed: 'good', failed: 'bad', stopped: 'bad', 'rolled-back': 'warn' };
const VERDICTS = { passed: 'good', failed: 'bad' };
const WINDOWS = { wait: ' Outside a maintenance window it waits.', ignore: ' Maintenance windows are ignored.' };
const MAY_STOP = ['waiting', 'applying', 'soaking'];
const MAY_TAKE_BACK = ['waiting', 'soaking', 'stopped', 'applied'];

/** Where a rollout is, in one line, as `nexus rollout list` says it. */
export function stateText({ state, why, wave, waves }) {
  const now = waves[wave - 1];
  const at = now ? `wave ${now.name} (${wave} of ${waves.length})` : '';
  const said = {
    waiting: () => `${at} ${now?.state === 'waiting' ? 'waits for its maintenance window' : 'is about to begin'}`,
    applying: () => `${at} is being applied as deployment ${now?.deployment}`,
    soaking: () => `${at} soaks, ${left((now?.left_ms ?? 0) / 1000)}`,
    'rolling-back': () => `it is being taken back; ${why}`,
    'rolled-back': () => `taken back: ${why}`,
    applied: () => `applied in ${waves.length} ${waves.length === 1 ? 'wave' : 'waves'}`,
    stopped: () => `stopped: ${why}`,
  };
  return plain(said[state]?.() ?? state);
}

const percent = (share) => `${number(share * 100)}%`;

/** What has to hold when a wave has soaked, in words. */
export function gatesText({ good = null, missed_polls: missed = null, alarms = null }) {
  const words = [good === null ? '' : `at least ${percent(good)} GOOD`, missed === null ? '' : `at most ${percent(missed)} of the polls missed`,
    alarms === null ? '' : alarms ? `at most ${count(alarms)} alarms` : 'no alarm'];
  return words.filter(Boolean).join(', ') || 'none';
}

/** Shows a rollout; `show(found)` again with what is newer; `onChanged()` after a button did its work, or could not. */
export class RolloutView {
  constructor(ctx, number, { onChanged }) {
    Object.assign(this, { ctx, number, onChanged });
    this.notice = new Notice();
    this.head = h('div', {});
    this.said = h('p', { role: 'status', class: 'run-said' });
    this.why = h('div', {});
    this.buttons = h('div', { class: 'rollout-buttons' });
    this.waves = h('div', {});
    this.element = h('section', { class: 'card', 'aria-label': `Rollout ${number}` }, this.head, this.said, this.why, this.buttons, this.notice.element, h('h3', {}, 'Waves'), this.waves);
  }

  show(found) {
    const { state, who, reason, started, ended, undone_by: by, on_failure: onFailure, gates, window: use } = found;
    fill(this.head, h('div', { class: 'head' }, h('h2', {}, `Rollout ${this.number}`), h('span', { class: `badge ${LOOKS[state] ?? ''}` }, state)),
      h('p', { class: 'quiet' }, `by ${plain(who)} · ${time(started, true)}${ended ? ` · ended ${time(ended, true)}` : ''}${reason ? ` · ${plain(reason)}` : ''}`),
      h('p', { class: 'quiet' }, `Gates: ${gatesText(gates ?? {})}. When one fails: ${onFailure === 'rollback' ? 'everything is taken back.' : 'it stops.'}${WINDOWS[use] ?? ''}`),
      by ? h('p', {}, 'Taken back by ', deploymentLink(by), '.') : null);
    const said = stateText(found);
    if (this.said.textContent !== said) this.said.textContent = said;
    fill(this.why, state === 'stopped' || state === 'rolled-back' || state === 'rolling-back' ? failedGates(found) : null);
    this.drawButtons(state, by);
    this.drawWaves(found);
  }

  /** Drawn anew only when others are there: a button that has the focus keeps it. */
  drawButtons(state, undoneBy) {
    const stop = MAY_STOP.includes(state);
    const resume = state === 'stopped' && !undoneBy;
    const back = MAY_TAKE_BACK.includes(state) && !undoneBy;
    const key = [stop, resume, back].join();
    if (key === this.drawn) return;
    this.drawn = key;
    if (!stop && !resume && !back) fill(this.buttons);
    else if (!this.ctx.may('apply')) fill(this.buttons, lacking("No buttons: no role of yours has 'apply'."));
    else {
      fill(this.buttons, h('div', { class: 'actions' },
        stop ? button('Stop', () => this.ask('stop')) : null,
        resume ? button('Resume', () => this.ask('resume'), { class: 'primary' }) : null,
        back ? button('Take back…', () => this.takeBack(), { class: 'danger' }) : null));
    }
  }

  async takeBack() {
    const body = h('p', {}, 'What its waves changed is put back as it was before.');
    if (await confirm({ title: `Take back rollout ${this.number}`, body, yes: 'Take back', kind: 'danger' })) await this.ask('rollback');
  }

  async ask(verb) {
    try {
      this.show(await this.ctx.api(`/rollouts/${this.number}/${verb}`, { method: 'POST', body: {} }));
      this.notice.show(null);
    } catch (error) {
      this.notice.show(error);
    }
    this.onChanged();
  }

  drawWaves({ waves }) {
    const focused = this.waves.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    const heads = ['Wave', 'State', 'Changes', 'Deployment', 'Gates'].map((each) => h('th', { scope: 'col' }, each));
    fill(this.waves, h('div', { class: 'table-frame' }, h('table', { class: 'stacked' }, h('caption', { class: 'unseen' }, 'Waves in order'),
      h('thead', {}, h('tr', {}, heads)), h('tbody', {}, waves.map((each) => h('tr', {}, waveCells(each)))))));
    if (focused) this.waves.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** The gates that stopped it, with their wave. */
function failedGates({ waves }) {
  return waves.flatMap(({ name, verdicts }) => verdicts.filter((each) => each.state === 'failed').map((each) =>
    h('div', { class: 'stopped-by failure' }, verdictLine(each), h('div', { class: 'quiet' }, `wave ${plain(name)}`))));
}

const verdictLine = ({ state, gate, text }) => h('div', {}, h('span', { class: `badge ${VERDICTS[state] ?? ''}` }, state), ` ${plain(gate)}: ${plain(text)}`);

function deploymentLink(number) {
  return h('a', { href: `#/deployments/${number}` }, `deployment ${number}`);
}

function waveCells(wave) {
  const cell = (title, ...children) => h('td', { dataset: { title } }, children.some(Boolean) ? h('div', {}, children) : null);
  const soak = wave.state === 'soaking' ? left(wave.left_ms / 1000) : wave.soak_ms ? `soaks ${duration(wave.soak_ms / 1000)}` : '';
  const opens = wave.opens ? `window opens ${time(wave.opens, true)} (${zone(wave.opens)})` : '';
  return [
    cell('Wave', h('b', {}, plain(wave.name))),
    cell('State', h('span', { class: `badge ${WAVES[wave.state] ?? ''}` }, wave.state), [soak, opens].filter(Boolean).map((each) => h('div', { class: 'quiet' }, each))),
    cell('Changes', `${count(wave.resources)}, ${count(wave.devices)} of devices`),
    cell('Deployment', wave.deployment ? deploymentLink(wave.deployment) : ''),
    cell('Gates', ...wave.verdicts.map(verdictLine)),
  ];
}
