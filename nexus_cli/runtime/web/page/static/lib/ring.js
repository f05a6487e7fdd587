// The newest messages of one filter.

/** A ring buffer; the newest is last. */
export class Ring {
  constructor(most) {
    this.most = most;
    this.kept = new Array(most);
    this.next = 0;
    this.size = 0;
    this.total = 0; // ever added
  }

  add(item) {
    this.kept[this.next] = item;
    this.next = (this.next + 1) % this.most;
    this.size = Math.min(this.most, this.size + 1);
    this.total += 1;
  }

  clear() {
    this.kept = new Array(this.most);
    this.next = this.size = 0;
  }

  /** The newest first. */
  newest() {
    return Array.from({ length: this.size }, (_, back) => this.kept[(this.next - 1 - back + this.most) % this.most]);
  }
}
