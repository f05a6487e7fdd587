// The alarms of the site, for the head of the page and for its views: read once, then kept by the events of the WebSocket.

import { askEvery } from './asking.js';
import { isUnanswered, stateOf, PRIORITIES } from './alarm_facts.js';

const EVERY_MS = 60_000; // what no event said, such as another description
const TOGETHER_MS = 200;
const BURST_MS = 5000;
const BURST = 300; // a client that is behind loses events: more than so many are read again
const SAME = ['changed', 'since', 'state', 'value', 'description', 'priority', 'group', 'severity', 'tag', 'response', 'consequence'];

/** Alerts by name. An alert that did not change stays the same object. */
export class AlarmBoard {
  /** `ring(alerts)` is called with alarms that were announced after the first look. */
  constructor({ api, socket, ring = () => {} }) {
    Object.assign(this, { api, socket, ring });
    this.alerts = new Map();
    this.ready = false;
    this.error = null;
    this.listeners = new Set();
    this.burst = 0;
  }

  start() {
    this.asking = askEvery({
      ask: (signal) => this.api('/alerts', { signal }),
      shown: ({ alerts }) => this.takeAll(alerts),
      failed: (error) => this.fail(error),
      everyMs: EVERY_MS,
    });
    this.endEvents = this.socket.events(['alert'], ({ event }) => this.take(event));
  }

  stop() {
    this.asking?.stop();
    this.endEvents?.();
    clearTimeout(this.telling);
    clearTimeout(this.bursting);
    this.listeners.clear();
  }

  /** Reads them again: after a deployment, and after something was done. */
  again() {
    return this.asking?.now();
  }

  /** Calls `fn` after changes, several at a time; returns a function that ends it. */
  listen(fn) {
    this.listeners.add(fn);
    return () => this.listeners.delete(fn);
  }

  list() {
    return [...this.alerts.values()];
  }

  /** Unanswered alarms by priority, the most urgent first: `[[priority, how many]…]`. */
  unanswered() {
    const counts = new Map(PRIORITIES.map((each) => [each, 0]));
    for (const each of this.alerts.values()) if (isUnanswered(each)) counts.set(each.priority, counts.get(each.priority) + 1);
    return [...counts];
  }

  fail(error) {
    this.error = error;
    this.tell();
  }

  takeAll(alerts) {
    const known = this.alerts;
    this.alerts = new Map(alerts.map((each) => [each.name, newer(known.get(each.name), each)]));
    if (this.ready) this.announce(this.list().filter((each) => isNew(known.get(each.name), each)));
    this.ready = true;
    this.tell();
  }

  /** One alert as it is now: from an event, or the answer of something that was done. */
  take(alert) {
    this.burst += 1;
    if (this.burst === 1) this.bursting = setTimeout(() => this.endBurst(), BURST_MS);
    const known = this.alerts.get(alert.name);
    if (known && known.changed > alert.changed) return;
    this.alerts.set(alert.name, newer(known, alert));
    if (this.ready && isNew(known, alert)) this.announce([alert]);
    this.tell();
  }

  endBurst() {
    if (this.burst >= BURST) this.again();
    this.burst = 0;
  }

  announce(alerts) {
    if (alerts.length) this.ring(alerts);
  }

  tell() {
    this.telling ??= setTimeout(() => {
      this.telling = null;
      for (const each of [...this.listeners]) each(this);
    }, TOGETHER_MS);
  }
}

function newer(known, found) {
  if (!known) return found;
  if (known.changed > found.changed) return known;
  return SAME.every((name) => known[name] === found[name]) ? known : found;
}

const isNew = (known, found) => Boolean(found.priority) && stateOf(found) === 'active' && found.occurrence > (known?.occurrence ?? 0);
