// Work that is due once a second is done together with a batch of values where one comes: a frame of its own costs as
// much as the batch, whatever little changes in it.

const EVERY_MS = 1000;
const EARLY_MS = 150;
const LATE_MS = 300;
const due = new Set();
let timer = 0;

/** Calls `fn` about once a second while the page is seen; returns a function that ends it. */
export function everySecond(fn) {
  const entry = { fn, doneMs: performance.now() };
  due.add(entry);
  timer ||= setInterval(() => doDue(EVERY_MS + LATE_MS), LATE_MS);
  return () => {
    due.delete(entry);
    if (due.size) return;
    clearInterval(timer);
    timer = 0;
  };
}

/** A batch of values was shown: what is due goes into the same frame. */
export function beat() {
  doDue(EVERY_MS - EARLY_MS);
}

function doDue(afterMs) {
  if (document.visibilityState === 'hidden') return;
  const now = performance.now();
  for (const entry of [...due]) {
    if (now - entry.doneMs < afterMs) continue;
    entry.doneMs = now;
    entry.fn();
  }
}
