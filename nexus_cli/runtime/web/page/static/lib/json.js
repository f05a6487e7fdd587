// JSON whose integers are exact: a 64-bit counter is a BigInt where a JavaScript number would round it.

const MAYBE_LARGE = /9\d{15}|\d{17}/;
const INTEGER = /^-?\d+$/;

function exact(_, given, context) {
  if (typeof given !== 'number' || Number.isSafeInteger(given) || !context) return given;
  return INTEGER.test(context.source) ? BigInt(context.source) : given;
}

/** Parses; the slower way only where a number may be too large. */
export function parse(text) {
  return MAYBE_LARGE.test(text) ? JSON.parse(text, exact) : JSON.parse(text);
}

/** The JSON of a value; a BigInt becomes a plain integer. */
export function stringify(given) {
  return JSON.stringify(given, (_, each) => {
    if (typeof each !== 'bigint') return each;
    return JSON.rawJSON ? JSON.rawJSON(String(each)) : Number(each);
  });
}
