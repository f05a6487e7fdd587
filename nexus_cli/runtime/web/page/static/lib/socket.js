// The WebSocket of the page: one for every view, kept open, resumed after a break. Each helper returns a function that ends it.

import { parse, stringify } from './json.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
const PING_MS = 15_000;
const SILENT_MS = 40_000;
const ENDED = 4401;

/** Opens the socket at `url`. State changes are given to `onState({connected, missing, hello})`, new sites to `onSite`. */
export class Socket {
  constructor(url, { onState = () => {}, onSite = () => {}, onEnded = () => {} } = {}) {
    this.url = url;
    this.onState = onState;
    this.onSite = onSite;
    this.onEnded = onEnded;
    this.connected = false;
    this.hello = null;
    this.missing = { parts: [], detail: {} };
    this.asked = new Map();
    this.nextId = 1;
    this.waitMs = FIRST_WAIT_MS;
    this.closed = true;
    this.clockOffsetMs = 0;
  }

  open() {
    this.closed = false;
    this._connect();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.pinging);
    if (this.ws) this.ws.close(1000);
    this.asked.clear();
  }

  _connect() {
    clearTimeout(this.timer);
    const ws = new WebSocket(this.url, 'nexus.v1.json');
    this.ws = ws;
    ws.onmessage = (event) => {
      this.heardMs = performance.now();
      if (this.ws === ws) this._take(parse(event.data));
    };
    ws.onclose = (event) => {
      if (this.ws !== ws) return;
      clearInterval(this.pinging);
      if (event.code === ENDED) {
        this.closed = true;
        this.onEnded(event.reason);
      }
      this.ws = null;
      const was = this.connected;
      this.connected = false;
      for (const each of this.asked.values()) if (each.once) this._fail(each, 'The connection was lost.');
      if (was) this._say();
      if (!this.closed) {
        this.timer = setTimeout(() => this._connect(), this.waitMs * (0.75 + Math.random() / 2));
        this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
      }
    };
  }

  /** A connection that a sleeping machine or a network lost without a word is noticed, and opened again. */
  _ping() {
    if (performance.now() - this.heardMs > SILENT_MS) this.ws.close(4000);
    else this._send({ op: 'ping', id: 0 });
  }

  _say() {
    this.onState({ connected: this.connected, missing: this.missing, hello: this.hello });
  }

  _take(message) {
    if (message.op === 'hello') {
      clearInterval(this.pinging);
      this.pinging = setInterval(() => this._ping(), PING_MS);
      this.hello = message;
      this.clockOffsetMs = message.time ? message.time / 1000 - Date.now() : 0;
      this.connected = true;
      this.waitMs = FIRST_WAIT_MS;
      this.missing = { parts: [], detail: {} };
      for (const each of this.asked.values()) this._send(this._resumed(each));
      this._say();
      return;
    }
    if (message.op === 'missing') {
      this.missing = { parts: message.parts || [], detail: message.detail || {} };
      this._say();
      return;
    }
    if (message.op === 'site') {
      this.onSite(message);
      return;
    }
    const found = this.asked.get(message.id);
    if (!found) return;
    if (message.op === 'values' && message.turn !== undefined) found.turn = message.turn;
    if (message.op === 'error') {
      if (found.once) this.asked.delete(message.id);
      (found.onError || (() => {}))(message);
      return;
    }
    if (found.once) this.asked.delete(message.id);
    found.take(message);
  }

  _resumed(each) {
    const message = { ...each.message };
    if (each.turn !== undefined && this.hello && each.web === this.hello.web) {
      message.since = { web: each.web, turn: each.turn };
    }
    each.web = this.hello ? this.hello.web : undefined;
    return message;
  }

  _send(message) {
    if (this.connected && this.ws && this.ws.readyState === WebSocket.OPEN) this.ws.send(stringify(message));
  }

  _fail(each, message) {
    this.asked.delete(each.message.id);
    (each.onError || (() => {}))({ op: 'error', code: '', message, hint: 'it may have been done: read the value' });
  }

  _ask(message, take, { onError, end, once = false } = {}) {
    const id = message.id || this.nextId++;
    const entry = { message: { ...message, id }, take, onError, once, web: this.hello ? this.hello.web : undefined };
    this.asked.set(id, entry);
    this._send(entry.message);
    return () => {
      if (this.asked.get(id) !== entry) return;
      this.asked.delete(id);
      if (end) this._send({ op: end, id });
    };
  }

  /** Values of tags. take([[path, value, quality, timeUs, reason, label]…]). Returns {stop, paths(newPaths)}: other paths
   *  without a new subscription. */
  watch(paths, take, { everyMs = 250, onError } = {}) {
    const id = this.nextId++;
    const given = (message) => {
      if (message.op === 'values') take(message.values, message);
    };
    const ask = (wanted) =>
      this._ask({ op: 'watch', id, paths: wanted, every_ms: everyMs }, given, { onError, end: 'unwatch' });
    let stop = paths.length ? ask(paths) : () => {};
    return {
      stop: () => stop(),
      paths: (wanted) => {
        if (wanted.length) stop = ask(wanted);
        else {
          stop();
          stop = () => {};
        }
      },
    };
  }

  /** Counts of qualities below paths: take({path: [good, uncertain, bad]}). Returns as `watch`. */
  counts(paths, take, { everyMs = 1000, onError } = {}) {
    const id = this.nextId++;
    const given = (message) => {
      if (message.op === 'counted') take(message.counts);
    };
    const ask = (wanted) =>
      this._ask({ op: 'counts', id, paths: wanted, every_ms: everyMs }, given, { onError, end: 'unwatch' });
    let stop = paths.length ? ask(paths) : () => {};
    return {
      stop: () => stop(),
      paths: (wanted) => {
        if (wanted.length) stop = ask(wanted);
        else {
          stop();
          stop = () => {};
        }
      },
    };
  }

  /** Events of kinds: take({kind, time, event}). Returns a function that ends it. */
  events(kinds, take, { onError } = {}) {
    const given = (message) => {
      if (message.op === 'event') take(message);
    };
    return this._ask({ op: 'events', kinds }, given, { onError, end: 'unwatch' });
  }

  /** Messages on topics: take({messages, dropped, rates}). Returns {stop, change({filter, search, keep, everyMs})}. */
  topics(filter, take, { everyMs = 250, keep = 500, search = '', onError } = {}) {
    const id = this.nextId++;
    const given = (message) => {
      if (message.op === 'messages') take(message);
    };
    const ask = (wanted) => this._ask({ op: 'topics', id, ...wanted }, given, { onError, end: 'unwatch' });
    let now = { filter, every_ms: everyMs, keep, search };
    let stop = ask(now);
    return {
      stop: () => stop(),
      change: ({ everyMs: every, ...more }) => {
        now = { ...now, ...more, ...(every === undefined ? {} : { every_ms: every }) };
        stop = ask(now);
      },
    };
  }

  /** Writes a tag: a promise of the command's response; rejects with {code, message, hint}. */
  write(path, value, { expect, reason, timeoutS } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.connected) {
        reject(Object.assign(new Error('The connection to NEXUS is lost.'), { code: '', hint: 'nothing was written' }));
        return;
      }
      const message = { op: 'write', path, value };
      if (expect !== undefined) message.expect = expect;
      if (reason) message.reason = reason;
      if (timeoutS) message.timeout_s = timeoutS;
      this._ask(message, (answer) => resolve(answer.response), {
        once: true,
        onError: (error) => reject(Object.assign(new Error(error.message), { code: error.code, hint: error.hint })),
      });
    });
  }
}
