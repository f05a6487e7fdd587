// The view of who is not logged in.

import { fill, h } from './elements.js';
import { showEnvironment } from './environment.js';
import { failure, field } from './widgets.js';
import { plain } from './format.js';

/** Shows it in `root`; `onSession(session)` once somebody is in. `note`: why one has to log in again. */
export async function showLogin(root, { api, base, site, note = '', onSession }) {
  document.title = `Log in – ${plain(site)} – NEXUS`;
  const user = h('input', { name: 'user', autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true });
  const password = h('input', { name: 'password', type: 'password', autocomplete: 'current-password', required: true });
  const said = h('div', { 'aria-live': 'polite' }, note ? h('p', { class: 'note' }, note) : null);
  const button = h('button', { class: 'primary', type: 'submit' }, 'Log in');
  const others = h('div', {});
  const environment = h('span', { class: 'environment' });

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    fill(said);
    try {
      await api('/session', { method: 'POST', body: { user: user.value.trim(), password: password.value } });
      password.value = '';
      onSession((await api('/session/ways')).session);
    } catch (error) {
      fill(said, failure(error));
      button.disabled = false;
      password.select();
    }
  }

  fill(
    root,
    h(
      'main',
      { class: 'login' },
      h('div', { class: 'login-mark', 'aria-hidden': 'true' }, 'N'),
      h('h1', {}, 'NEXUS'),
      h('p', { class: 'quiet login-site' }, plain(site), ' ', environment),
      h('form', { onsubmit: submit }, field('User', user), field('Password', password), said, button),
      others,
    ),
  );
  user.focus();
  api('/environment').then((found) => showEnvironment(environment, found), () => showEnvironment(environment, null));
  const ways = await api('/session/ways').catch(() => null);
  if (ways && ways.oidc) {
    let host = ways.oidc;
    try {
      host = new URL(ways.oidc).host;
    } catch {
      // shown as it is
    }
    fill(others, h('a', { class: 'button', href: `${base}/session/oidc?scheme=${location.protocol.replace(':', '')}` }, `Log in with ${plain(host)}`));
  }
}
