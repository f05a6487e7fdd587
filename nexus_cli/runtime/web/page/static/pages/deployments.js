// Deployments: who changed what, when, and how it ended.

import { askEvery } from '../lib/asking.js';
import { DeploymentView, OUTCOMES } from '../lib/deployment_view.js';
import { fill, h } from '../lib/elements.js';
import { left, plain, time } from '../lib/format.js';
import { Notice } from '../lib/notices.js';

const EVERY_MS = 5000;
const MOST = 2 ** 31 - 1;
const narrow = matchMedia('(max-width: 700px)'); // what is chosen lies below the list

class DeploymentsPage {
  constructor(root, ctx) {
    Object.assign(this, { root, ctx });
    this.notice = new Notice();
    this.ends = [];
    if (!ctx.may('deployments:read')) {
      fill(root, h('div', { class: 'page' }, h('p', { class: 'note' }, "Deployments are not shown: no role of yours has 'apply' or 'admin'.")));
      return;
    }
    this.list = h('ul', { class: 'choose', 'aria-label': 'Deployments, the newest first' });
    this.place = h('div', { class: 'chosen' });
    fill(root, h('div', { class: 'page' }, this.notice.element, h('div', { class: 'sides' },
      h('aside', { 'aria-label': 'Deployments' }, h('h2', {}, 'Deployments'), this.list), this.place)));
    this.asking = askEvery({
      ask: (signal) => ctx.api('/deployments', { signal }),
      shown: ({ deployments }) => this.show(deployments),
      failed: (error) => this.notice.show(error, this.deployments ? 'The list is from before:' : ''),
      everyMs: EVERY_MS,
    });
    this.ends = [this.asking.stop, ctx.socket.events(['deployment'], () => this.asking.now()), ctx.onSite(() => this.asking.now())];
    ctx.onMoved = () => this.open();
  }

  close() {
    for (const end of this.ends) end();
    this.view?.close();
  }

  show(deployments) {
    this.deployments = deployments;
    this.draw();
    this.open();
    const listed = deployments.find((each) => each.number === this.number);
    if (listed?.state === 'running' && this.view?.found?.state === 'ended') { // it was resumed
      this.number = null;
      this.open();
    } else if (listed) this.view?.confirmed(listed.confirmation);
  }

  draw() {
    const focused = document.activeElement?.getAttribute?.('href');
    fill(this.list, this.deployments.length ? this.deployments.map((each) => h('li', {},
      h('a', { href: `#/deployments/${each.number}`, 'aria-current': each.number === this.number ? 'true' : null }, `${each.number}`),
      ' ', h('span', { class: `badge ${OUTCOMES[each.outcome] ?? ''}` }, each.outcome),
      h('div', { class: 'quiet' }, `${time(each.started, true)} · ${plain(each.who)}`), each.reason ? h('div', { class: 'quiet' }, plain(each.reason)) : null,
      each.confirmation?.state === 'waiting' ? h('div', { class: 'quiet' }, `waits to be confirmed, ${each.confirmation.problem ? 'its time is over' : left(each.confirmation.left_s)}`) : null))
      : h('li', { class: 'quiet' }, 'Nothing was deployed yet.'));
    if (focused) this.list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  open() {
    const asked = /^[0-9]{1,15}$/.test(this.ctx.rest) ? Number(this.ctx.rest) : 0;
    const number = asked || this.deployments?.[0]?.number;
    if (number === undefined || number === this.number) return;
    this.number = number;
    if (number > MOST) { // no deployment has such a number, and the API takes none
      this.view?.close();
      this.view = null;
      fill(this.place, h('p', { class: 'note' }, `There is no deployment ${number}.`));
      if (this.deployments) this.draw();
      return;
    }
    this.ctx.shownDeployment = number;
    this.ctx.twinChanged();
    this.view?.close();
    this.view = new DeploymentView(this.ctx, number, { onEnd: () => this.asking.now() });
    fill(this.place, this.view.element);
    if (this.deployments) this.draw();
    if (this.ctx.rest && narrow.matches) this.place.scrollIntoView();
  }
}

export const page = {
  id: 'deployments',
  title: 'Deployments',
  twin: (ctx) => (ctx.shownDeployment ? `nexus show --deployment ${ctx.shownDeployment}` : 'nexus show'),
  mount(root, ctx) {
    const made = new DeploymentsPage(root, ctx);
    return () => made.close();
  },
};
