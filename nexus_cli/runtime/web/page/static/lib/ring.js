// The newest messages of one filter.

/** A ring buffer, bounded by count and by weight; the newest is last. */
export class Ring {
  constructor(most, heaviest) {
    Object.assign(this, { most, heaviest });
    this.clear();
  }

  get size() {
    return this.kept.length - this.first;
  }

  /** Add an item; the oldest ones leave for it. */
  add(item, weight) {
    this.kept.push([item, weight]);
    this.weight += weight;
    while (this.size > 1 && (this.size > this.most || this.weight > this.heaviest)) {
      this.weight -= this.kept[this.first][1];
      this.kept[this.first] = undefined;
      this.first += 1;
    }
    if (this.first > this.most) {
      this.kept = this.kept.slice(this.first);
      this.first = 0;
    }
  }

  clear() {
    this.kept = [];
    this.first = this.weight = 0;
  }

  /** The newest first. */
  newest() {
    const found = [];
    for (let at = this.kept.length - 1; at >= this.first; at -= 1) found.push(this.kept[at][0]);
    return found;
  }
}
