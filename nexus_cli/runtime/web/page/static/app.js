// The page's frame: who is here, which view is open, what is missing.

import { AlarmBoard } from './lib/alarm_board.js';
import { Ringer, makeBell } from './lib/alarm_bell.js';
import { makeApi, pathOf } from './lib/api.js';
import { fill, h } from './lib/elements.js';
import * as format from './lib/format.js';
import { showLogin } from './lib/login.js';
import { makeFrame } from './lib/frame.js';
import { Socket } from './lib/socket.js';
import * as widgets from './lib/widgets.js';
import { page as alarms } from './pages/alarms.js';
import { page as audit } from './pages/audit.js';
import { page as catalogue } from './pages/catalogue.js';
import { page as deadLetters } from './pages/dead-letters.js';
import { page as deployments } from './pages/deployments.js';
import { page as devices } from './pages/devices.js';
import { page as drift } from './pages/drift.js';
import { page as health } from './pages/health.js';
import { page as jobs } from './pages/jobs.js';
import { page as messages } from './pages/messages.js';
import { page as namespace } from './pages/namespace.js';
import { page as rollouts } from './pages/rollouts.js';
import { page as sequences } from './pages/sequences.js';

const PAGES = [namespace, catalogue, messages, sequences, devices, alarms, deployments, rollouts, drift, health, jobs, deadLetters, audit];
const RETRY_MS = 3000;

const root = document.getElementById('app');
const site = document.querySelector('meta[name="nexus-site"]').content;
const { api, base } = makeApi(site, { onEnded: () => logIn('Your session has ended.') });
let running = null;

function logIn(note = '') {
  if (running) running.stop();
  running = null;
  showLogin(root, { api, base, site, note, onSession: (session) => start(session) });
}

async function logOut() {
  await api('/session', { method: 'DELETE' }).catch(() => {});
  logIn('You are logged out.');
}

function start(session) {
  if (running) running.stop();
  running = new Running(session);
}

/** The page of one session. */
class Running {
  constructor(session) {
    this.session = session;
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const bell = makeBell();
    this.ringer = new Ringer(site);
    this.frame = makeFrame(root, { site, session, pages: PAGES, bell: bell.element, onLogOut: logOut });
    this.socket = new Socket(`${scheme}://${location.host}${base}/ws`, {
      onState: (state) => {
        this.frame.connection(state);
        this.askEnvironment();
      },
      onSite: (message) => this.siteChanged(message),
      onEnded: () => logIn('Your session has ended.'),
    });
    this.board = new AlarmBoard({ api, socket: this.socket, ring: (alerts) => this.ringer.ring(alerts) });
    this.board.listen(() => bell.show(this.board));
    this.moved = () => this.route();
    this.siteListeners = new Set();
    addEventListener('hashchange', this.moved);
    if (session.expires) {
      const left = Math.min(session.expires / 1000 - Date.now(), 2 ** 31 - 1);
      this.ending = setTimeout(() => logIn('Your session has ended.'), left);
    }
    this.socket.open();
    this.askEnvironment();
    if ((session.scopes || []).includes('alerts:read')) this.board.start();
    this.route();
  }

  /** Live, mock or replay: another web may answer after a break. */
  askEnvironment() {
    api('/environment').then(this.frame.environment, () => this.frame.environment(null));
  }

  stop() {
    removeEventListener('hashchange', this.moved);
    clearTimeout(this.ending);
    this.leave();
    this.board.stop();
    this.ringer.stop();
    this.socket.close();
  }

  siteChanged(message) {
    this.board.again();
    for (const each of [...this.siteListeners]) each(message);
  }

  leave() {
    if (this.unmount) this.unmount();
    this.unmount = null;
    this.ctx = null;
    this.siteListeners.clear();
  }

  route() {
    const { id, rest, query } = readHash();
    const page = PAGES.find((each) => each.id === id) || PAGES[0];
    if (this.ctx && this.page === page && this.ctx.onMoved) {
      Object.assign(this.ctx, { rest, query });
      this.ctx.onMoved();
      this.frame.twin(page.twin(this.ctx));
      return;
    }
    this.leave();
    this.page = page;
    const ctx = this.context(rest, query);
    this.ctx = ctx;
    const content = this.frame.open(page);
    try {
      this.unmount = page.mount(content, ctx) || (() => {});
    } catch (error) {
      this.unmount = () => {};
      console.error(error);
      fill(content, widgets.failure({ message: 'This view has an error.', cause: String(error), hint: 'load the page again' }));
    }
    this.frame.twin(page.twin(ctx));
  }

  context(rest, query) {
    const ctx = {
      api,
      base,
      pathOf,
      socket: this.socket,
      board: this.board,
      site,
      user: this.session,
      may: (scope) => (this.session.scopes || []).includes(scope),
      go,
      h,
      fill,
      format,
      widgets,
      rest,
      query,
      onMoved: null,
      /** Shows another command line for what the view shows now. */
      twinChanged: () => this.ctx === ctx && this.frame.twin(this.page.twin(ctx)),
      /** Calls `fn` after each deployment; returns a function that ends it. */
      onSite: (fn) => {
        this.siteListeners.add(fn);
        return () => this.siteListeners.delete(fn);
      },
      /** Says something for some seconds; `kind`: `good`, `bad` or ``. */
      notify: (text, kind = '') => this.frame.notify(text, kind),
    };
    return ctx;
  }
}

/** `#/namespace/a/l?x=1` as its parts; names are decoded. */
function readHash() {
  const [path, asked = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [id = '', ...names] = path.split('/');
  return { id, rest: names.map(decoded).filter(Boolean).join('/'), query: new URLSearchParams(asked) };
}

function decoded(name) {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Opens a view: `go('namespace/a/l')`. Names with other signs are written with `pathOf`. */
function go(hash) {
  location.hash = `#/${hash.replace(/^#?\/?/, '')}`;
}

/** Why a login at the provider did not end well; the address is as before afterwards. */
function refusedLogin() {
  const found = /^#login=(NX\d{4})$/.exec(location.hash);
  if (!found) return '';
  history.replaceState(null, '', location.pathname);
  return `The login with the provider was refused (${found[1]}); nexus explain ${found[1]} says more.`;
}

async function begin() {
  try {
    const { session } = await api('/session/ways');
    if (session) start(session);
    else logIn(refusedLogin());
  } catch (error) {
    fill(root, h('main', { class: 'login' }, h('h1', {}, 'NEXUS'), widgets.failure(error)));
    setTimeout(begin, RETRY_MS);
  }
}

begin();
