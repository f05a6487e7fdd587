// Writing a tag: what it holds, what it will hold, and what the device says afterwards.

/** Opens the dialog. newest(): the live row of the tag, or undefined. Calls onDone() after a command. */
export function openWrite(ctx, card, { newest, onDone = () => {} }) {
  const { h, fill, format, widgets } = ctx;
  const unit = card.unit ? ` ${format.unit(card.unit)}` : '';
  const input = inputFor(ctx, card, newest());
  const reason = h('input', { name: 'reason', maxlength: 500, autocomplete: 'off' });
  const same = h('input', { type: 'checkbox', name: 'expect' });
  const result = h('div', { 'aria-live': 'polite' });
  const twin = h('code', {});
  const now = h('strong', {});
  let checked = null;
  let busy = false;

  const form = h(
    'form',
    { onsubmit: submit, oninput: changed, class: 'write' },
    widgets.facts([
      ['Tag', format.plain(card.path)],
      ['Holds', now],
      ['Range', rangeWords(card, format) || null],
    ]),
    widgets.field('New value', input.element, { hint: input.hint }),
    widgets.field('Reason', reason, { hint: 'for the audit trail' }),
    h('label', { class: 'check' }, same, ' only if it still holds the value shown'),
    result,
    h('p', { class: 'quiet twin-note' }, 'Command line: ', twin),
    h(
      'div',
      { class: 'write-actions' },
      h('button', { type: 'button', onclick: () => opened.close() }, 'Close'),
      h('button', { type: 'submit', class: 'primary', name: 'go' }, 'Check'),
    ),
  );
  const go = form.querySelector('[name=go]');
  const opened = widgets.dialog({ title: `Write ${format.plain(card.name)}`, body: form, onClose: () => clearInterval(ticking) });
  const ticking = setInterval(show, 250);
  show();
  changed();
  input.element.focus();

  function show() {
    const row = newest();
    const text = row ? `${format.value(row[1], row[5])}${row[1] === null ? '' : unit}${row[2] === 'GOOD' ? '' : ` (${row[2]})`}` : '–';
    if (now.textContent !== text) now.textContent = text;
  }

  function changed() {
    checked = null;
    go.textContent = 'Check';
    fill(result);
    const row = newest();
    const words = ['nexus write', format.shell(card.path), format.shell(input.text())];
    if (same.checked && row) words.push('--expect', format.shell(String(row[1])));
    if (reason.value) words.push('--reason', format.shell(reason.value));
    twin.textContent = words.join(' ');
  }

  function asked() {
    const body = { path: card.path, value: input.value() };
    if (reason.value.trim()) body.reason = reason.value.trim();
    const row = newest();
    if (same.checked && row) body.expect = row[1];
    return body;
  }

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    let body;
    try {
      body = checked || asked();
    } catch (error) {
      fill(result, widgets.failure(error));
      input.element.focus();
      return;
    }
    busy = true;
    go.disabled = true;
    try {
      if (checked) await write(body);
      else await check(body);
    } catch (error) {
      fill(result, widgets.failure(error));
      checked = null;
      go.textContent = 'Check';
    } finally {
      busy = false;
      go.disabled = false;
    }
  }

  async function check(body) {
    const found = await ctx.api('/commands', { method: 'POST', body: { ...body, dry_run: true } });
    if (found.refusal) {
      fill(result, widgets.failure(refusalOf(found.refusal)));
      return;
    }
    checked = body;
    fill(
      result,
      h(
        'p',
        { class: 'change' },
        h('span', { class: 'quiet' }, format.value(found.old), unit),
        ' → ',
        h('strong', {}, format.value(found.will_be), unit),
        h('span', { class: 'quiet' }, ' Nothing is written yet.'),
      ),
    );
    go.textContent = 'Write now';
  }

  async function write(body) {
    fill(result, h('p', { class: 'quiet' }, 'Writing…'));
    const response = await ctx.api('/commands', { method: 'POST', body, timeoutMs: 90_000 });
    checked = null;
    go.textContent = 'Check';
    fill(result, outcome(ctx, response, unit));
    onDone(response);
  }
}

/** How a command ended, in words: old → written → read back. */
export function outcome({ h, format, widgets }, response, unit) {
  const done = response.state === 'done';
  const steps = [
    ['before', response.old],
    ['written', response.value],
    ['read back', response.read_back],
  ].filter(([, each]) => each !== null && each !== undefined);
  return [
    h(
      'p',
      { class: done ? 'note' : 'failure', role: done ? 'status' : 'alert' },
      h('strong', {}, { done: 'Done.', refused: 'Refused.', failed: 'Failed.', unknown: 'Not known whether it was done.' }[response.state] || format.plain(response.state)),
      response.detail ? ` ${format.plain(response.detail)}` : '',
      response.code ? h('code', {}, ` ${format.plain(response.code)}`) : '',
    ),
    steps.length
      ? h(
          'p',
          { class: 'change' },
          steps.map(([word, each], at) => [at ? ' → ' : '', h('span', { class: 'quiet' }, `${word} `), h('strong', {}, format.value(each), unit)]),
        )
      : null,
  ];
}

function refusalOf(refusal) {
  return typeof refusal === 'string' ? { message: refusal } : { code: refusal.code, message: refusal.message || refusal.detail, hint: refusal.hint };
}

function rangeWords(card, format) {
  if (!card.range) return '';
  const [low, high] = card.range;
  const unit = card.unit ? ` ${format.unit(card.unit)}` : '';
  if (low === null) return `at most ${format.number(high)}${unit}`;
  if (high === null) return `at least ${format.number(low)}${unit}`;
  return `${format.number(low)} to ${format.number(high)}${unit}`;
}

function inputFor({ h, format }, card, row) {
  const names = Object.entries(card.names || {});
  if (names.length) {
    const element = h('select', { name: 'value' }, names.map(([code, name]) => h('option', { value: name }, `${format.plain(name)} (${code})`)));
    if (row && row[5]) element.value = row[5];
    return { element, hint: '', text: () => element.value, value: () => element.value };
  }
  if (card.type === 'bool') {
    const element = h('select', { name: 'value' }, h('option', { value: 'true' }, 'true'), h('option', { value: 'false' }, 'false'));
    if (row && row[1] !== null) element.value = String(!row[1]);
    return { element, hint: '', text: () => element.value, value: () => element.value === 'true' };
  }
  const held = row && row[1] !== null && typeof row[1] !== 'object' ? String(row[1]) : '';
  const element = h('input', { name: 'value', autocomplete: 'off', spellcheck: 'false', value: held });
  if (card.type === 'string') return { element, hint: '', text: () => element.value, value: () => element.value };
  if (/^(u?int|float)/.test(card.type)) {
    element.setAttribute('inputmode', 'decimal');
    const hint = `${card.type}${card.unit ? `, in ${format.unit(card.unit)}` : ''}`;
    return { element, hint, text: () => element.value, value: () => numberOf(element.value.trim(), card.type) };
  }
  return { element, hint: `${card.type}, as JSON`, text: () => element.value, value: () => jsonOf(element.value) };
}

function numberOf(text, type) {
  if (/^[+-]?\d+$/.test(text)) {
    const whole = BigInt(text.replace('+', ''));
    const number = Number(whole);
    return Number.isSafeInteger(number) || !/int/.test(type) ? number : whole;
  }
  const number = Number(text);
  if (text === '' || !Number.isFinite(number)) {
    throw new Error(text.includes(',') ? 'Write the decimals behind a point: 72.5.' : 'That is not a number.');
  }
  return number;
}

function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('That is not JSON.');
  }
}
