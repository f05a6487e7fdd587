// Asking again and again, with one line about what is missing and without anybody's doing when it is back.

const SLOWEST_MS = 15_000;

/**
 * Ask at an interval; a failure is shown and asked again, slower and slower.
 *
 * @param {object} options `{ask(signal), shown(answer), failed(error | null), everyMs}`; `failed(null)` when it works again.
 * @returns {{now: Function, stop: Function}}
 */
export function askEvery({ ask, shown, failed, everyMs }) {
  let timer = 0;
  let ended = false;
  let failures = 0;
  let running = null;

  async function once() {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    let wait = everyMs;
    try {
      const answer = await ask(mine.signal);
      if (ended || mine !== running) return;
      failures = 0;
      failed(null);
      shown(answer);
    } catch (error) {
      if (ended || mine !== running || mine.signal.aborted) return;
      failures += 1;
      wait = Math.min(SLOWEST_MS, everyMs * 2 ** Math.min(failures, 4));
      failed(error);
    }
    if (ended || mine !== running) return; // what was shown has ended it, or asked again
    running = null;
    timer = setTimeout(once, document.hidden ? Math.max(wait, SLOWEST_MS) : wait);
  }

  const onVisible = () => {
    if (!document.hidden && !ended) once();
  };
  document.addEventListener('visibilitychange', onVisible);
  once();
  return {
    now: once,
    stop() {
      ended = true;
      clearTimeout(timer);
      running?.abort();
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}
