// Messages a second of each topic, over the last seconds: the server gives them for the short time between two answers.

const WINDOW_MS = 5000;
const SHORTEST_MS = 1000;

export class TopicRates {
  constructor(nowMs) {
    this.begun = this.last = nowMs;
    this.counted = []; // {at, counts}: messages by topic that came until then
  }

  /** Take the rates since the answer before. */
  take(rates, nowMs) {
    const seconds = Math.max(0.001, (nowMs - this.last) / 1000);
    this.last = nowMs;
    const counts = Object.entries(rates).map(([topic, each]) => [topic, each * seconds]);
    if (counts.length) this.counted.push({ at: nowMs, counts });
    this.forget(nowMs);
  }

  forget(nowMs) {
    while (this.counted.length && this.counted[0].at < nowMs - WINDOW_MS) this.counted.shift();
  }

  /** By topic, and their sum. */
  now(nowMs) {
    this.forget(nowMs);
    const seconds = Math.min(WINDOW_MS, Math.max(SHORTEST_MS, nowMs - this.begun)) / 1000;
    const topics = new Map();
    let sum = 0;
    for (const { counts } of this.counted) {
      for (const [topic, each] of counts) {
        topics.set(topic, (topics.get(topic) ?? 0) + each / seconds);
        sum += each / seconds;
      }
    }
    return { topics, sum };
  }
}
