// A deployment that waits to be confirmed: how long, and the buttons that keep it or take it back.

import { fill, h } from './elements.js';
import { left, plain } from './format.js';
import { button, lacking } from './notices.js';
import { confirm } from './widgets.js';

const ENDED = {
  armed: () => 'It has to be confirmed when it has ended.',
  confirmed: ({ who }) => `Confirmed by ${plain(who)}.`,
  'rolled-back': ({ undone_by: by, reason }) => `Rolled back by deployment ${by}${reason ? `: ${plain(reason)}` : ''}.`,
  dropped: () => 'It recorded nothing, so there was nothing to confirm.',
};

const waitsText = (found) => (found.problem
  ? `Not confirmed in time. Control could not take it back yet: ${plain(found.problem)} It tries again.`
  : `Waits to be confirmed, ${left(found.left_s)}; then it is rolled back.`);

/** Shows a confirmation in `place`; `done(error)` is called after a button did its work, or could not. */
export function showConfirmation(place, ctx, found, done) {
  const waits = found?.state === 'waiting' ? place.querySelector('.note') : null;
  if (waits) { // only the time went on: a button that has the focus keeps it
    waits.textContent = waitsText(found);
    return;
  }
  if (!found) {
    fill(place);
    return;
  }
  if (found.state !== 'waiting') {
    fill(place, h('p', { class: 'quiet' }, ENDED[found.state]?.(found) ?? plain(found.state)));
    return;
  }
  const ask = async (verb) => {
    try {
      await ctx.api(`/deployments/${found.number}/${verb}`, { method: 'POST', body: {} });
      done(null);
    } catch (error) {
      done(error);
    }
  };
  const back = async () => {
    const body = h('p', {}, `The state before deployment ${found.number} comes back.`);
    if (await confirm({ title: `Roll back deployment ${found.number}`, body, yes: 'Roll back', kind: 'danger' })) await ask('rollback');
  };
  fill(place, h('p', { class: 'note' }, waitsText(found)),
    ctx.may('apply') ? h('div', { class: 'actions' }, button('Confirm', () => ask('confirm'), { class: 'primary' }),
      button('Roll back…', back, { class: 'danger' })) : lacking("No buttons: no role of yours has 'apply'."));
}
