// The tree as it was opened so far. Nothing below a closed branch is known, or asked for.

/** One place: an area, line, device or tag, with its children once they were loaded. */
export class Place {
  constructor(given, parent, position, size) {
    Object.assign(this, given);
    this.parent = parent;
    this.depth = parent ? parent.depth + 1 : -1;
    this.position = position;
    this.size = size;
    this.children = null;
    this.open = false;
    this.loading = null;
    this.problem = null;
  }

  get leaf() {
    return this.kind === 'tag';
  }
}

export class Tree {
  /** load(path) gives a promise of the children of a path, "" for the areas; `changed` is called when rows are others. */
  constructor(load, changed) {
    this.load = load;
    this.changed = changed;
    this.root = new Place({ path: '', name: '', kind: 'site', tags: 0 }, null, 1, 1);
    this.root.open = true;
    this.known = new Map();
    this.rows = [];
  }

  /** Loads the areas, and again what was open before. */
  async begin() {
    const open = [...this.known.values()].filter((each) => each.open).map((each) => each.path);
    this.known.clear();
    this.root.children = null;
    this.root.open = true;
    await this._fetch(this.root);
    for (const path of open) {
      const found = this.known.get(path);
      if (found && !found.leaf) await this.open(found);
    }
    this._flatten();
  }

  async open(place) {
    if (place.leaf || place.open) return;
    place.open = true;
    if (!place.children) {
      this._flatten();
      await this._fetch(place);
    }
    this._flatten();
  }

  close(place) {
    place.open = false;
    this._flatten();
  }

  /** Opens everything above a path; gives its place, null where there is none. */
  async reveal(path) {
    if (!this.root.children) await this._fetch(this.root);
    const names = path.split('/');
    for (let count = 1; count < names.length; count += 1) {
      const above = this.known.get(names.slice(0, count).join('/'));
      if (!above) return null;
      await this.open(above);
    }
    return this.known.get(path) || null;
  }

  _fetch(place) {
    if (place.loading) return place.loading;
    place.problem = null;
    place.loading = this.load(place.path)
      .then((children) => {
        place.children = children.map((each, at) => new Place(each, place, at + 1, children.length));
        for (const each of place.children) this.known.set(each.path, each);
      })
      .catch((error) => {
        place.problem = error;
        place.open = place === this.root;
      })
      .finally(() => {
        place.loading = null;
        this._flatten();
      });
    return place.loading;
  }

  _flatten() {
    const rows = [];
    const walk = (place) => {
      for (const each of place.children || []) {
        rows.push(each);
        if (each.open) walk(each);
      }
    };
    walk(this.root);
    this.rows = rows;
    this.changed();
  }
}
