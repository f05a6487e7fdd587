// Rollouts: deployments that go out in waves or wait for a maintenance window, the newest first.

import { askEvery } from '../lib/asking.js';
import { fill, h } from '../lib/elements.js';
import { plain, time } from '../lib/format.js';
import { Notice } from '../lib/notices.js';
import { LOOKS, RolloutView, stateText } from '../lib/rollout_view.js';

const EVERY_MS = 2000;
const MOST = 2 ** 31 - 1; // the API takes no larger number
const narrow = matchMedia('(max-width: 700px)'); // what is chosen lies below the list

class RolloutsPage {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx, ends: [] });
    this.notice = new Notice();
    if (!ctx.may('deployments:read')) {
      fill(root, h('div', { class: 'page' }, h('p', { class: 'note' }, "Rollouts are not shown: no role of yours has 'apply' or 'admin'.")));
      return;
    }
    this.list = h('ul', { class: 'choose', 'aria-label': 'Rollouts, the newest first' });
    this.place = h('div', { class: 'chosen' });
    fill(root, h('div', { class: 'page' }, this.notice.element, h('div', { class: 'sides' },
      h('aside', { 'aria-label': 'Rollouts' }, h('h2', {}, 'Rollouts'), this.list), this.place)));
    this.asking = askEvery({
      ask: (signal) => this.ask(signal),
      shown: (rollouts) => this.show(rollouts),
      failed: (error) => this.notice.show(error, this.rollouts ? 'What is below is from before:' : ''),
      everyMs: EVERY_MS,
    });
    this.ends = [this.asking.stop, ctx.socket.events(['deployment'], () => this.asking.now())];
    ctx.onMoved = () => (this.rollouts?.some((each) => each.number === this.asked()) || !this.asked() ? this.open() : this.asking.now());
  }

  close() {
    for (const end of this.ends) end();
  }

  asked() {
    const asked = Number.parseInt(this.ctx.rest, 10);
    return Number.isSafeInteger(asked) && asked > 0 ? asked : 0;
  }

  /** The newest ones; and the one that is asked for, which may be older, or not there at all. */
  async ask(signal) {
    const { rollouts } = await this.ctx.api('/rollouts', { signal });
    const asked = this.asked();
    if (!asked || rollouts.some((each) => each.number === asked)) return { rollouts };
    try {
      if (asked <= MOST) return { rollouts: [...rollouts, await this.ctx.api(`/rollouts/${asked}`, { signal })] };
    } catch (error) {
      if (error.code !== 'NX5041') throw error;
    }
    return { rollouts, missing: { message: `There is no rollout ${asked}.` } };
  }

  show({ rollouts, missing = null }) {
    this.rollouts = rollouts;
    this.notice.show(missing);
    if (missing) {
      this.number = null;
      fill(this.place);
    }
    this.open();
  }

  draw() {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    fill(this.list, this.rollouts.length ? this.rollouts.map((each) => h('li', {},
      h('a', { href: `#/rollouts/${each.number}`, 'aria-current': each.number === this.number ? 'true' : null }, `${each.number}`),
      ' ', h('span', { class: `badge ${LOOKS[each.state] ?? ''}` }, each.state),
      h('div', { class: 'quiet' }, `${time(each.started, true)} · ${plain(each.who)}`), h('div', { class: 'quiet' }, stateText(each))))
      : h('li', { class: 'quiet' }, 'There was no rollout yet.'));
    if (focused) this.list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  open() {
    const number = this.asked() || this.rollouts[0]?.number;
    const found = this.rollouts.find((each) => each.number === number);
    if (found && number !== this.number) {
      this.number = number;
      this.ctx.shownRollout = number;
      this.ctx.twinChanged();
      this.view = new RolloutView(this.ctx, number, { onChanged: () => this.asking.now() });
      fill(this.place, this.view.element);
      if (this.ctx.rest && narrow.matches) this.place.scrollIntoView();
    }
    if (found) this.view.show(found);
    this.draw();
  }
}

export const page = {
  id: 'rollouts',
  title: 'Rollouts',
  twin: (ctx) => (ctx.shownRollout ? `nexus rollout show ${ctx.shownRollout}` : 'nexus rollout list'),
  mount(root, ctx) {
    const made = new RolloutsPage(root, ctx);
    return () => made.close();
  },
};
