// The HTTP door of the page: JSON in, JSON out, every failure one plain sentence. The session is in a cookie that no
// script sees.

import { parse, stringify } from './json.js';

/** A failure. `status` 0: no answer came. */
export class ApiError extends Error {
  constructor(status, { code = '', message = '', hint = '', cause = '' }) {
    super(message);
    Object.assign(this, { status, code, hint, cause });
  }
}

const TIMEOUT_MS = 60_000;

/** Makes `api(path, {method, body, query, signal, timeoutMs})` for a site.
 *  path: below `/v1/sites/ENTERPRISE/SITE`; write each name in it with `pathOf`. Calls `onEnded` when the session has ended. */
export function makeApi(site, { onEnded }) {
  const base = `/v1/sites/${site.split('/').map(encodeURIComponent).join('/')}`;

  async function api(path, { method = 'GET', body, query, signal, timeoutMs = TIMEOUT_MS } = {}) {
    const asked = new URLSearchParams();
    for (const [name, each] of Object.entries(query || {})) {
      if (each !== undefined && each !== null && each !== '') asked.set(name, String(each));
    }
    const text = asked.toString();
    const headers = { accept: 'application/json' };
    if (method !== 'GET') headers['x-nexus-csrf'] = '1';
    if (body !== undefined) headers['content-type'] = 'application/json';
    const limit = AbortSignal.timeout(timeoutMs);
    let answer;
    try {
      answer = await fetch(base + path + (text ? `?${text}` : ''), {
        method,
        headers,
        body: body === undefined ? undefined : stringify(body),
        credentials: 'same-origin',
        cache: 'no-store',
        redirect: 'error',
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
    } catch (error) {
      if (signal && signal.aborted) throw error;
      throw new ApiError(0, { message: 'NEXUS does not answer.', hint: 'the page goes on as soon as it does' });
    }
    const found = await answer.text().then(parse).catch(() => null);
    if (answer.ok) return found;
    if (answer.status === 401 && path !== '/session') onEnded();
    throw new ApiError(answer.status, found || { message: `NEXUS answered with HTTP ${answer.status}.` });
  }

  return { api, base };
}

/** A path of names as part of a URL. */
export function pathOf(path) {
  return path.split('/').map(encodeURIComponent).join('/');
}
