// Retained messages on topics that nobody owns: listed, and cleared after a look at what goes.

import { lacking } from '../../lib/notices.js';

/** Opens the dialog. */
export async function openRetained(ctx) {
  const { h, fill, format, widgets } = ctx;
  const body = h('div', {}, h('p', { class: 'quiet' }, 'Reading…'));
  const dialog = widgets.dialog({ title: 'Retained topics that nobody owns', wide: true, body });
  let topics = [];
  const chosen = new Set();
  await load();

  async function load() {
    chosen.clear();
    try {
      topics = (await ctx.api('/retained')).topics || [];
      show();
    } catch (error) {
      fill(body, widgets.failure(error));
    }
  }

  function show() {
    const may = ctx.may('apply');
    const all = h('input', { type: 'checkbox', 'aria-label': 'All', onchange: () => {
      chosen.clear();
      if (all.checked) for (const each of topics) chosen.add(each.topic);
      for (const each of body.querySelectorAll('input[data-topic]')) each.checked = all.checked;
      changed();
    } });
    const clear = h('button', { type: 'button', class: 'danger', disabled: true, onclick: preview }, 'Clear…');
    const said = h('p', { class: 'quiet', role: 'status' });
    function changed() {
      clear.disabled = chosen.size === 0;
      said.textContent = chosen.size ? `${chosen.size} chosen` : '';
    }
    fill(
      body,
      h('p', { class: 'quiet' }, 'A broker keeps these messages although no tag, alert or role of the site publishes there: left by a device or site that is gone, or by another program.'),
      topics.length && may ? h('div', { class: 'toolbar' }, h('label', {}, all, ' all'), clear, said) : null,
      topics.length && !may ? lacking("No button to clear them: no role of yours has 'apply' for their paths.") : null,
      widgets.table(
        [
          may && { title: '', cell: (each) => h('input', { type: 'checkbox', dataset: { topic: each.topic }, 'aria-label': `Choose ${format.plain(each.topic)}`, onchange: (event) => {
            if (event.target.checked) chosen.add(each.topic);
            else chosen.delete(each.topic);
            changed();
          } }) },
          { title: 'Topic', cell: (each) => h('code', {}, format.plain(each.topic)) },
          { title: 'Size', class: 'num', cell: (each) => (each.size === undefined ? '' : format.bytes(each.size)) },
          { title: 'Payload', cell: (each) => h('span', { class: 'mono cut' }, format.plain(String(each.payload ?? '').slice(0, 200))) },
          { title: 'Seen', cell: (each) => format.time(each.received || null, true) },
        ].filter(Boolean),
        topics,
        { caption: 'Retained topics without an owner', empty: 'None: every retained topic below the site belongs to something that is declared.' },
      ),
      twinNote('nexus retained list'),
    );
  }

  function twinNote(text) {
    return h('p', { class: 'quiet twin-note' }, 'Command line: ', h('code', {}, text));
  }

  async function preview() {
    const asked = [...chosen];
    let found;
    try {
      found = await ctx.api('/retained/clear', { method: 'POST', body: { topics: asked, preview: true } });
    } catch (error) {
      ctx.notify(`${error.message} ${error.hint || ''}`, 'bad');
      return;
    }
    if ((found.refused || []).length) {
      widgets.dialog({
        title: 'Nothing is cleared',
        body: [h('p', {}, 'These topics belong to somebody, or may not be cleared:'), h('ul', {}, found.refused.map((each) => h('li', {}, h('code', {}, format.plain(each.topic)), ` ${format.plain(each.why)}`)))],
      });
      return;
    }
    const { cleared } = found;
    const sure = await widgets.confirm({
      title: `Clear ${cleared.length} retained ${cleared.length === 1 ? 'topic' : 'topics'}?`,
      body: [
        h('p', {}, 'The broker forgets these messages. Who subscribes later does not get them.'),
        h('pre', { class: 'list-box' }, cleared.map(format.plain).join('\n')),
        twinNote(`nexus retained clear ${cleared.map(format.shell).join(' ')}`),
      ],
      yes: 'Clear them',
      kind: 'danger',
    });
    if (!sure) return;
    try {
      const done = await ctx.api('/retained/clear', { method: 'POST', body: { topics: asked, preview: false } });
      ctx.notify(`${done.cleared.length} cleared.`, 'good');
    } catch (error) {
      ctx.notify(`${error.message} ${error.hint || ''}`, 'bad');
    }
    await load();
  }
  return dialog;
}
