// Drift: what control's schedule found that differs from what is recorded, the newest look first.

import { askEvery } from '../lib/asking.js';
import { driftBadges, driftCard } from '../lib/drift_view.js';
import { fill, h } from '../lib/elements.js';
import { age, duration, plain, time } from '../lib/format.js';
import { Notice } from '../lib/notices.js';

const EVERY_MS = 15_000;
const FEW = 20;
const ALL = 200; // as many as control keeps
const narrow = matchMedia('(max-width: 700px)'); // what is chosen lies below the list

class DriftPage {
  constructor(root, ctx) {
    Object.assign(this, { ctx, ends: [], limit: FEW });
    this.notice = new Notice();
    if (!ctx.may('state:read')) {
      fill(root, h('div', { class: 'page' }, h('p', { class: 'note' }, "Drift is not shown: no role of yours has 'apply' or 'admin'.")));
      return;
    }
    this.said = h('div', { role: 'status' });
    this.list = h('ul', { class: 'choose', 'aria-label': 'Looks, the newest first' });
    this.older = h('div', {});
    this.place = h('div', { class: 'chosen' });
    fill(root, h('div', { class: 'page' }, this.notice.element, this.said, h('div', { class: 'sides' },
      h('aside', { 'aria-label': 'Looks for drift' }, h('h2', {}, 'Looks'), this.list, this.older), this.place)));
    this.asking = askEvery({
      ask: (signal) => this.ask(signal),
      shown: (found) => this.show(found),
      failed: (error) => this.notice.show(error, this.reports ? 'What is below is from before:' : ''),
      everyMs: EVERY_MS,
    });
    this.ends = [this.asking.stop, ctx.onSite(() => this.asking.now())];
    ctx.onMoved = () => this.open();
  }

  close() {
    for (const end of this.ends) end();
  }

  /** The health of the schedule; and the reports, which may be large, when there is a newer one. */
  async ask(signal) {
    const { drift } = await this.ctx.api('/health', { signal });
    const key = `${drift?.looked ?? 0} ${this.limit}`;
    if (this.key === key) return { drift, reports: this.reports };
    const { reports } = await this.ctx.api('/drift/reports', { signal, query: { limit: this.limit } });
    this.key = key;
    return { drift, reports };
  }

  show({ drift, reports }) {
    fill(this.said, schedule(drift, reports), drift?.problem ? h('p', { class: 'failure' }, `The last look failed: ${plain(drift.problem)}`) : null);
    if (reports === this.reports) return;
    this.reports = reports;
    const more = reports.length === this.limit && this.limit < ALL;
    fill(this.older, more ? h('button', { type: 'button', class: 'plain', onclick: () => this.all() }, 'Show older ones') : null);
    this.open();
  }

  all() {
    this.limit = ALL;
    this.asking.now();
  }

  open() {
    if (!this.reports) return;
    const asked = this.ctx.rest;
    const found = asked ? this.reports.find((each) => String(each.time) === asked) : this.reports[0];
    if (asked && !found && this.limit < ALL) this.all();
    this.draw(found);
    const key = found?.time ?? `no ${asked}`;
    if (key === this.shown) return; // what is folded out stays so
    this.shown = key;
    fill(this.place, found ? driftCard(found, this.ctx) : asked ? h('p', { class: 'note' }, 'There is no look of that time: the newest 200 are kept.') : null);
    if (asked && narrow.matches) this.place.scrollIntoView();
  }

  draw(current) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null;
    fill(this.list, this.reports.length ? this.reports.map((each) => h('li', {},
      h('a', { href: `#/drift/${each.time}`, 'aria-current': each === current ? 'true' : null }, time(each.time, true)), h('div', {}, driftBadges(each))))
      : h('li', { class: 'quiet' }, 'Nothing was looked for yet.'));
    if (focused) this.list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** How often it is looked for, and how old the newest look is. */
function schedule(drift, reports) {
  const newest = reports[0] ? `, newest look ${age(reports[0].time)} ago` : '';
  if (!drift) return h('p', { class: 'quiet' }, 'No schedule: ', h('code', {}, 'drift: {every: 6h}'), ` in the site looks again and again${newest}.`);
  return h('p', { class: 'quiet' }, `Looked for every ${duration(drift.every_ms / 1000)}${newest}. The files are compared by the command alone.`);
}

export const page = {
  id: 'drift',
  title: 'Drift',
  twin: () => 'nexus drift',
  mount(root, ctx) {
    const made = new DriftPage(root, ctx);
    return () => made.close();
  },
};
