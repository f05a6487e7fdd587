// Namespace: the tree of everything that is declared, what it holds now, and the card of what was chosen.

import { mountBranch } from './namespace/branch.js';
import { mountCard } from './namespace/card.js';
import { Live } from './namespace/live.js';
import { openRetained } from './namespace/retained.js';
import { Search } from './namespace/search.js';
import { Tree } from './namespace/tree.js';
import { TreeView } from './namespace/tree_view.js';

export const page = {
  id: 'namespace',
  title: 'Namespace',
  twin: (ctx) => (ctx.twinOf ? ctx.twinOf() : 'nexus show'),
  mount(root, ctx) {
    const view = new NamespaceView(root, ctx);
    view.begin();
    return () => view.unmount();
  },
};

class NamespaceView {
  constructor(root, ctx) {
    this.ctx = ctx;
    this.open = null;
    this.stopped = false;
    this.live = new Live(ctx.socket, {
      onValues: (rows) => this.values(rows),
      onCounts: (counts) => this.counts(counts),
    });
    this.tree = new Tree((path) => this.load(path), () => this.view && this.view.redraw());
    this.view = new TreeView(this.tree, this.live, { onSelect: (place) => this.choose(place.path), onRange: () => this.watch() });
    this.search = new Search(ctx, {
      onOpen: (path) => this.found(path),
      onActive: (active) => (this.view.box.hidden = active),
      onRange: () => this.watch(),
    });
    this.card = ctx.h('section', { class: 'place-card', 'aria-label': 'Details' });
    this.said = ctx.h('div', {});
    ctx.fill(
      root,
      ctx.h('h1', { class: 'unseen' }, 'Namespace'),
      ctx.h(
        'div',
        { class: 'namespace' },
        ctx.h(
          'section',
          { class: 'finder', 'aria-label': 'Tree and search' },
          ctx.h('div', { class: 'finder-bar' }, this.search.input, ctx.h('button', { type: 'button', class: 'plain', title: 'Retained topics that nobody owns', onclick: () => openRetained(ctx) }, 'Retained')),
          this.search.said,
          this.said,
          this.view.box,
          this.search.list,
        ),
        this.card,
      ),
    );
    ctx.onMoved = () => this.show();
    ctx.twinOf = () => (this.open ? this.open.twin() : 'nexus show');
    this.unsite = ctx.onSite(() => this.begin());
  }

  async begin() {
    await this.tree.begin();
    if (this.stopped) return;
    const { problem, children } = this.tree.root;
    if (problem) {
      this.ctx.fill(this.said, this.ctx.widgets.failure(problem));
      this.retry = setTimeout(() => this.begin(), 3000);
    } else {
      this.ctx.fill(this.said, children.length ? null : this.ctx.h('p', { class: 'quiet' }, 'Nothing is deployed here that you may read.'));
    }
    await this.show();
  }

  unmount() {
    this.stopped = true;
    clearTimeout(this.retry);
    this.unsite();
    if (this.open) this.open.unmount();
    this.search.destroy();
    this.view.destroy();
    this.live.stop();
  }

  async load(path) {
    return (await this.ctx.api('/tree', { query: { path } })).children;
  }

  /** Opens what the address names. */
  async show() {
    const path = this.ctx.rest;
    if (this.shown === path && (this.open || this.opening === path)) return;
    if (this.open) this.open.unmount();
    this.open = null;
    this.shown = path;
    document.querySelector('.namespace').classList.toggle('one', Boolean(path));
    if (!path) {
      this.ctx.fill(this.card, this.welcome());
      this.watch();
      return;
    }
    this.opening = path;
    const place = await this.tree.reveal(path);
    if (this.stopped || this.shown !== path || this.opening !== path) return;
    this.opening = null;
    this.view.select(path);
    const back = () => this.ctx.go('namespace');
    if (!place && (await this.follow(path))) return;
    if (!place) this.ctx.fill(this.card, this.ctx.widgets.failure({ message: `There is no '${this.ctx.format.plain(path)}' that you may read.`, hint: 'search finds paths, descriptions and addresses' }));
    else if (place.leaf) this.open = mountCard(this.card, this.ctx, path, { live: this.live, onBack: back });
    else this.open = mountBranch(this.card, this.ctx, place, { onBack: back });
    this.watch();
    this.ctx.twinChanged();
  }

  /** A link with a former path leads to where it is now; false when nothing was called so. */
  async follow(path) {
    try {
      const found = await this.ctx.api(`/renamed/${this.ctx.pathOf(path)}`);
      if (!this.stopped && this.shown === path) this.ctx.go(`namespace/${this.ctx.pathOf(found.path)}`);
      return true;
    } catch {
      return this.stopped || this.shown !== path;
    }
  }

  welcome() {
    const { h } = this.ctx;
    return h(
      'div',
      { class: 'card welcome' },
      h('h2', {}, 'Choose a tag'),
      h('p', { class: 'quiet' }, 'Open the tree, or search. '),
      h(
        'dl',
        { class: 'facts keys' },
        [['/', 'search'], ['↑ ↓', 'walk through the tree'], ['→ ←', 'open and close'], ['Enter', 'show the card'], ['letters', 'jump to a name']].map(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)]),
      ),
    );
  }

  choose(path) {
    if (this.ctx.rest === path) {
      this.shown = null;
      this.show();
    } else this.ctx.go(`namespace/${this.ctx.pathOf(path)}`);
  }

  found(path) {
    this.search.clear();
    this.choose(path);
    this.view.focus();
  }

  /** Watches what is in view: rows of the tree or hits, and the open card. */
  watch() {
    if (!this.view || !this.search) return;
    const searching = !this.search.list.hidden;
    const rows = searching ? [] : this.view.list.visible();
    const tags = new Set(searching ? this.search.tags : rows.filter((each) => each.leaf).map((each) => each.path));
    const branches = new Set(rows.filter((each) => !each.leaf).map((each) => each.path));
    const place = this.shown ? this.tree.known.get(this.shown) : null;
    if (place && place.leaf) tags.add(place.path);
    else if (place) branches.add(place.path);
    this.live.show([...tags], [...branches]);
  }

  values(rows) {
    this.view.values(rows);
    this.search.values(rows);
    if (this.open) this.open.values(rows);
  }

  counts(counts) {
    this.view.counts(counts);
    if (this.open && this.open.counts) this.open.counts(counts);
  }
}
