// What people do to alarms: one or many, with a comment or a reason. Control decides on each; what it refuses is said.

import { canAcknowledge, canShelve, canTakeOut } from '../../lib/alarm_facts.js';
import { h } from '../../lib/elements.js';
import { count, plain } from '../../lib/format.js';
import { Notice, sentence } from '../../lib/notices.js';
import { dialog, field } from '../../lib/widgets.js';

const TOGETHER = 6; // requests at a time
const LONGEST = 500;
const SPANS = [[900, '15 minutes'], [3600, '1 hour'], [8 * 3600, '8 hours: a shift'], [86_400, '1 day'], [7 * 86_400, '7 days'], [30 * 86_400, '30 days']];

/** Each act: its path, what it needs, which alarms it is for, and what is said when it is done. */
export const ACTS = {
  acknowledge: { path: 'acknowledge', title: 'Acknowledge', done: 'acknowledged', fits: canAcknowledge, comment: true },
  shelve: { path: 'shelve', title: 'Shelve', done: 'shelved', fits: canShelve, span: true, reason: true },
  unshelve: { path: 'unshelve', title: 'Unshelve', done: 'not shelved any more', fits: (alert) => Boolean(alert.shelved_until) },
  takeOut: { path: 'out-of-service', title: 'Take out of service', done: 'out of service', fits: canTakeOut, reason: true },
  takeIn: { path: 'in-service', title: 'Back in service', done: 'in service', fits: (alert) => Boolean(alert.out_of_service) },
};

/** Asks for what an act needs, does it to each alarm, and says how it went. Resolves when the dialog is closed. */
export function act(ctx, name, alerts) {
  const found = ACTS[name];
  if (!found.comment && !found.reason) return send(ctx, found, alerts, {}, () => {}).then((answer) => ctx.notify(answer.text, answer.kind));
  return new Promise((resolve) => {
    const notice = new Notice();
    const progress = h('p', { class: 'quiet', role: 'status' });
    const words = h('input', { name: 'reason', maxlength: String(LONGEST), autocomplete: 'off' });
    const span = h('select', { name: 'for' }, SPANS.map(([seconds, title]) => h('option', { value: String(seconds), selected: seconds === 3600 }, title)));
    const submit = async (event) => {
      event?.preventDefault();
      if (form.getAttribute('aria-busy') === 'true') return;
      if (found.reason && !words.value.trim()) {
        notice.show('A reason is needed: it is shown in the list, in the journal and in the audit trail.');
        words.focus();
        return;
      }
      form.setAttribute('aria-busy', 'true');
      const body = { ...(words.value.trim() ? { reason: words.value.trim() } : {}), ...(found.span ? { for_s: Number(span.value) } : {}) };
      const answer = await send(ctx, found, alerts, body, (many) => (progress.textContent = `${count(many)} of ${count(alerts.length)} …`));
      form.removeAttribute('aria-busy');
      if (answer.kind === 'bad') {
        progress.textContent = answer.text;
        notice.show(answer.error);
      } else {
        ctx.notify(answer.text, 'good');
        opened.close();
      }
    };
    const form = h('form', { onsubmit: submit }, named(alerts), found.span ? field('For', span) : null,
      field(found.comment ? 'Comment (may be empty)' : 'Reason', words), notice.element, progress, h('button', { type: 'submit', class: 'unseen', tabIndex: -1 }, found.title));
    const opened = dialog({
      title: alerts.length > 1 ? `${found.title}: ${count(alerts.length)} alarms` : `${found.title}: ${plain(alerts[0].name)}`,
      body: form,
      actions: [{ label: 'Cancel', run: (close) => close() }, { label: found.title, kind: 'primary', run: () => submit() }],
      onClose: resolve,
    });
    (found.span ? span : words).focus();
  });
}

function named(alerts) {
  if (alerts.length < 2) return null;
  const shown = alerts.slice(0, 8).map((each) => plain(each.name));
  return h('p', { class: 'quiet' }, shown.join(', '), alerts.length > shown.length ? ` and ${count(alerts.length - shown.length)} more` : '');
}

async function send(ctx, found, alerts, body, progress) {
  const waiting = [...alerts];
  const refused = [];
  let done = 0;
  const worker = async () => {
    for (let alert = waiting.shift(); alert; alert = waiting.shift()) {
      try {
        ctx.board.take(await ctx.api(`/alerts/${encodeURIComponent(alert.name)}/${found.path}`, { method: 'POST', body }));
        done += 1;
      } catch (error) {
        refused.push([alert.name, error]);
      }
      progress(done + refused.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(TOGETHER, alerts.length) }, worker));
  const text = done === 1 && alerts.length === 1 ? `${alerts[0].name} is ${found.done}.` : `${count(done)} alarms are ${found.done}.`;
  if (!refused.length) return { kind: 'good', text };
  const [[name, error]] = refused;
  const lead = refused.length > 1 ? `${count(refused.length)} were refused; ${name}:` : `${name}:`;
  return { kind: 'bad', text: done ? text : sentence(error, lead), error: error.code || error.status ? Object.assign(Object.create(error), { message: `${lead} ${error.message}` }) : error };
}

/** The buttons of acts that fit these alarms and that the caller may do; `acted()` afterwards. */
export function actButtons(ctx, alerts, { acted = () => {}, names = Object.keys(ACTS) } = {}) {
  return names.map((name) => {
    const fitting = alerts.filter(ACTS[name].fits);
    if (!fitting.length) return null;
    const label = `${ACTS[name].title}${ACTS[name].comment || ACTS[name].reason ? '…' : ''}`;
    const many = alerts.length > 1 ? ` (${count(fitting.length)})` : '';
    return h('button', { type: 'button', class: name === 'acknowledge' ? 'primary' : null, dataset: { act: name }, onclick: () => act(ctx, name, fitting).then(acted) }, `${label}${many}`);
  });
}

