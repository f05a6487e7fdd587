// What surrounds each view: site, environment, connection, menu, and the command line that shows the same.

import { fill, h } from './elements.js';
import { plain, time } from './format.js';
import { showEnvironment } from './environment.js';
import { copyButton } from './widgets.js';

const NOTICE_MS = 6000;
const WORDS = {
  broker: 'The broker is away: values are the last ones, with their age.',
  database: 'The database is away: live values go on; history, alarms and deployments wait for it.',
  control: 'Control is away: nothing can be changed; reading goes on.',
};

/** Builds the frame in `root`. Returns {open(page) -> content, twin(text), connection(state), environment(found), notify(text, kind)}. */
export function makeFrame(root, { site, session, pages, bell, onLogOut }) {
  const links = pages.map((page) => h('a', { href: `#/${page.id}`, dataset: { page: page.id } }, page.title));
  const nav = h('nav', { id: 'menu', 'aria-label': 'Views' }, links);
  const menuButton = h(
    'button',
    { type: 'button', class: 'plain menu-button', 'aria-expanded': 'false', 'aria-controls': 'menu', onclick: toggle },
    '☰',
    h('span', { class: 'unseen' }, 'Views'),
  );
  const environment = h('span', { class: 'environment other' });
  const link = h('span', { class: 'connection', role: 'status' }, 'connecting…');
  const banner = h('div', { class: 'banner', role: 'status', 'aria-live': 'polite', hidden: true });
  const content = h('main', { id: 'content', tabIndex: -1 });
  const command = h('code', { class: 'twin-text' });
  const twin = h('footer', { class: 'twin' }, h('span', { class: 'quiet' }, 'Command line'), command, copyButton(() => command.textContent));
  const notices = h('div', { class: 'notices', role: 'status', 'aria-live': 'polite' });

  fill(
    root,
    h('a', { class: 'skip', href: '#content', onclick: skip }, 'To the content'),
    h(
      'header',
      { class: 'top' },
      menuButton,
      h('a', { class: 'mark', href: '#/namespace' }, 'NEXUS'),
      h('span', { class: 'site', title: 'Site' }, plain(site)),
      environment,
      link,
      h('span', { class: 'spring' }),
      bell,
      h('span', { class: 'who', title: roleWords(session) }, plain(session.user)),
      h('button', { type: 'button', class: 'plain', onclick: onLogOut }, 'Log out'),
    ),
    h('div', { class: 'below' }, nav, h('div', { class: 'middle' }, banner, content, twin)),
    notices,
  );

  function toggle() {
    const open = nav.classList.toggle('open');
    menuButton.setAttribute('aria-expanded', String(open));
    if (open) links[0].focus();
  }
  function shut() {
    nav.classList.remove('open');
    menuButton.setAttribute('aria-expanded', 'false');
  }
  nav.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      shut();
      menuButton.focus();
    }
  });
  function skip(event) {
    event.preventDefault();
    content.focus();
  }

  showEnvironment(environment, null);
  let first = true;
  return {
    open(page) {
      shut();
      document.title = `${page.title} – ${plain(site)} – NEXUS`;
      for (const each of links) {
        if (each.dataset.page === page.id) each.setAttribute('aria-current', 'page');
        else each.removeAttribute('aria-current');
      }
      fill(content);
      content.className = `view-${page.id}`;
      if (!first) content.focus({ preventScroll: true });
      first = false;
      return content;
    },
    twin(text) {
      command.textContent = text || '';
      twin.hidden = !text;
    },
    connection({ connected, missing }) {
      link.textContent = connected ? 'connected' : 'connection lost';
      link.classList.toggle('lost', !connected);
      const lines = connected
        ? missing.parts.map((part) => [WORDS[part] || `${plain(part)} is away.`, missing.detail[part]])
        : [['The connection to NEXUS is lost: what you see is old. It heals by itself.', '']];
      banner.hidden = !lines.length;
      fill(banner, lines.map(([text, detail]) => h('p', {}, text, detail ? h('span', { class: 'quiet' }, ` (${plain(detail)})`) : null)));
    },
    environment: (found) => showEnvironment(environment, found),
    notify(text, kind) {
      const made = h('p', { class: `notice ${kind}` }, plain(text));
      notices.append(made);
      setTimeout(() => made.remove(), NOTICE_MS);
    },
  };
}

function roleWords(session) {
  const roles = session.roles && session.roles.length ? session.roles.join(', ') : 'none';
  return `Roles: ${plain(roles)}${session.expires ? `\nSession until ${time(session.expires, true)}` : ''}`;
}
