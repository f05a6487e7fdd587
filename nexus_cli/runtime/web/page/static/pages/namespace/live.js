// What is in view is watched, and nothing else: values of tags, counts of branches. A hidden page watches nothing.

import { beat, everySecond } from '../../lib/beat.js';

const MOST_KEPT = 3000;
const WAIT_MS = 120;

/** Newest values by path, as rows `[path, value, quality, timeUs, reason, label]`. */
export class Live {
  constructor(socket, { onValues, onCounts, everyMs = 250 }) {
    this.values = new Map();
    this.counts = new Map();
    this.wanted = { tags: [], branches: [] };
    this.watched = socket.watch([], (rows) => this._take(rows, onValues), { everyMs });
    this.counted = socket.counts([], (counts) => {
      for (const [path, each] of Object.entries(counts)) this.counts.set(path, each);
      this.uncounted = { ...this.uncounted, ...counts };
    }, { everyMs: 1000 });
    this.uncounted = null;
    this.unbeat = everySecond(() => {
      if (this.uncounted) onCounts(this.uncounted);
      this.uncounted = null;
    });
    this.seen = () => this._ask();
    document.addEventListener('visibilitychange', this.seen);
  }

  stop() {
    clearTimeout(this.timer);
    this.unbeat();
    document.removeEventListener('visibilitychange', this.seen);
    this.watched.stop();
    this.counted.stop();
  }

  /** What is in view now. */
  show(tags, branches) {
    this.wanted = { tags, branches };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this._ask(), WAIT_MS);
  }

  _ask() {
    const hidden = document.visibilityState === 'hidden';
    const tags = hidden ? [] : this.wanted.tags;
    const branches = hidden ? [] : this.wanted.branches;
    const key = `${tags.join('\n')}\t${branches.join('\n')}`;
    if (key === this.asked) return;
    this.asked = key;
    this.watched.paths(tags);
    this.counted.paths(branches);
  }

  _take(rows, onValues) {
    if (this.values.size > MOST_KEPT) this.values.clear();
    for (const row of rows) this.values.set(row[0], row);
    onValues(rows);
    beat();
  }
}
