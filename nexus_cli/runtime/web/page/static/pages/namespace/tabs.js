// The tabs of a tag's card, apart from its history.

import { stateLook, stateWords } from '../../lib/alarm_facts.js';
import { governance } from '../../lib/governance.js';
import { lineageTree } from '../../lib/lineage_tree.js';

/** What is declared about the tag. */
export function configurationTab(root, ctx, card) {
  const { h, fill, format, widgets } = ctx;
  const words = Object.entries(card.words || {});
  const names = Object.entries(card.names || {});
  fill(
    root,
    widgets.facts(governance(card)),
    words.length ? widgets.facts(words.map(([name, each]) => [format.plain(name), format.plain(each)])) : null,
    names.length ? [h('h3', {}, 'Codes'), widgets.facts(names.map(([code, name]) => [code, format.plain(name)]))] : null,
    widgets.facts([['Topic', h('code', {}, format.plain(card.topic || ''))]]),
  );
  return { twin: () => `nexus show ${format.shell(card.path)}` };
}

/** How bytes become a row. */
export function lineageTab(root, ctx, path) {
  const { h, fill, format, widgets } = ctx;
  const ask = () => Promise.all([ctx.api(`/lineage/${ctx.pathOf(path)}`), ctx.api(`/lineage/${ctx.pathOf(path)}`, { query: { format: 'openlineage' } })]);
  loading(root, ctx, ask, ([found, events]) => {
    const link = (each) => h('li', {}, h('a', { href: `#/namespace/${ctx.pathOf(each)}` }, format.plain(each)));
    const inputs = Object.entries(found.inputs || {});
    fill(
      root,
      h('ol', { class: 'chain' }, found.steps.map((each) => h('li', {}, h('strong', {}, format.plain(each.step)), ' ', format.plain(each.text)))),
      inputs.length ? [h('h3', {}, 'Comes from'), lineageTree(ctx, events, path), h('h3', {}, 'Inputs'), h('ul', {}, inputs.map(([name, each]) => h('li', {}, `${format.plain(name)} = `, h('a', { href: `#/namespace/${ctx.pathOf(each)}` }, format.plain(each)))))] : null,
      (found.used_by || []).length ? [h('h3', {}, 'Used by'), h('ul', {}, found.used_by.map(link))] : null,
      (found.alerts || []).length ? [h('h3', {}, 'Watched by'), h('ul', {}, found.alerts.map((each) => h('li', {}, 'alert ', h('a', { href: `#/alarms/${ctx.pathOf(each)}` }, format.plain(each)))))] : null,
    );
  });
  return { twin: () => `nexus explain ${format.shell(path)}` };
}

/** Alerts of the tag. */
export function alarmsTab(root, ctx, path) {
  const { h, fill, format, widgets } = ctx;
  let own = [];
  loading(root, ctx, () => ctx.api('/alerts'), (found) => {
    own = (found.alerts || []).filter((each) => each.tag === path);
    ctx.twinChanged();
    fill(
      root,
      widgets.table(
        [
          { title: 'Alert', cell: (each) => h('a', { href: `#/alarms/${ctx.pathOf(each.name)}` }, format.plain(each.name)) },
          { title: 'State', cell: (each) => widgets.badge(stateWords(each), stateLook(each)) },
          { title: 'Priority', cell: (each) => format.plain(each.priority || each.severity || '') },
          { title: 'Value', class: 'num', cell: (each) => format.value(each.value) },
          { title: 'Since', cell: (each) => format.time(each.since || null, true) },
        ],
        own,
        { caption: 'Alerts of this tag', empty: 'No alert that you may see is declared for this tag.' },
      ),
    );
  });
  // The trail names an alert, not its tag.
  return { twin: () => `nexus audit${own.length === 1 ? ` ${format.shell(own[0].name)}` : ''} --kind alert` };
}

/** What was written to the tag last. */
export function commandsTab(root, ctx, card) {
  const { h, fill, format, widgets } = ctx;
  loading(root, ctx, () => ctx.api('/commands', { query: { path: card.path, limit: 50 } }), (found) => {
    const kinds = { done: 'good', refused: 'warn', failed: 'bad', unknown: 'bad' };
    fill(
      root,
      widgets.table(
        [
          { title: 'Time', cell: (each) => format.time(each.time, true) },
          { title: 'Who', cell: (each) => format.plain(each.principal) },
          { title: 'State', cell: (each) => widgets.badge(each.state, kinds[each.state]) },
          { title: 'Old → new → read back', cell: (each) => [each.detail.old, each.value, each.detail.read_back].map((one) => format.value(one)).join(' → ') },
          { title: 'Why', cell: (each) => [format.plain(each.detail.message || each.detail.reason || ''), each.detail.code ? h('code', {}, ` ${format.plain(each.detail.code)}`) : null] },
        ],
        found.commands || [],
        { caption: 'Last commands', empty: card.writable ? 'Nothing was written yet.' : 'This tag takes no commands.' },
      ),
    );
  });
  return { twin: () => `nexus audit ${format.shell(card.path)} --kind command` };
}

/** Who may write it. */
export function accessTab(root, ctx, card) {
  const { h, fill, format, widgets } = ctx;
  fill(
    root,
    widgets.facts([
      ['Class', format.plain(card.classification || '')],
      ['Writable', card.writable ? 'yes' : 'no: the site file does not say writable: true'],
      ['You', card.writable ? (card.may_write ? 'may write it' : 'may not write it') : null],
    ]),
    card.writable
      ? widgets.table(
          [
            { title: 'Who may write', cell: (each) => h('span', {}, format.plain(each.name), each.kind === 'application' ? h('span', { class: 'quiet' }, ' (application)') : null) },
            { title: 'Role', cell: (each) => format.plain(each.role) },
            { title: 'Through', cell: (each) => format.plain(each.via) },
            { title: 'Line', cell: (each) => h('code', {}, format.plain(each.line)) },
          ],
          card.writers || [],
          { caption: 'Who may write this tag', empty: 'No user or application may write it now.' },
        )
      : null,
  );
  return { twin: () => `nexus access who-can write ${format.shell(card.path)}` };
}

async function loading(root, ctx, ask, show) {
  ctx.fill(root, ctx.h('p', { class: 'quiet' }, 'Reading…'));
  const marker = root.firstChild;
  try {
    const found = await ask();
    if (root.firstChild === marker) show(found);
  } catch (error) {
    if (root.firstChild === marker) ctx.fill(root, ctx.widgets.failure(error));
  }
}

