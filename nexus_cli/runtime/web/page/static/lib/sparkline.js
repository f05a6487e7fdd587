// A value of the last minutes as one small line. It is decoration: the plot below it has the numbers.

const WIDTH = 160;
const HEIGHT = 36;

/** points: [[ms, number or null]…] by time. Gives an <svg> to be replaced by the next one. */
export function sparkline(h, points, { from, to }) {
  to = Math.max(to, points.length ? points[points.length - 1][0] : to); // a device's clock may be ahead
  const first = points.find(([, value]) => typeof value === 'number');
  from = first ? Math.max(from, Math.min(first[0], to - 1000)) : from;
  const numbers = points.filter(([, value]) => typeof value === 'number');
  const least = Math.min(...numbers.map(([, value]) => value));
  const most = Math.max(...numbers.map(([, value]) => value));
  const span = most - least || 1;
  const x = (ms) => Math.max(0, ((ms - from) / (to - from)) * WIDTH);
  const y = (value) => HEIGHT - 3 - ((value - least) / span) * (HEIGHT - 6);
  const path = [];
  let pen = false;
  let before = 0;
  for (const [ms, value] of points) {
    if (typeof value !== 'number') {
      pen = false;
      continue;
    }
    path.push(pen ? `H${x(ms).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(ms).toFixed(1)} ${y(value).toFixed(1)}`);
    pen = true;
    before = value;
  }
  if (pen && numbers.length) path.push(`H${WIDTH}`);
  return h(
    'svg',
    { class: 'sparkline', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, 'aria-hidden': 'true', preserveAspectRatio: 'none' },
    before !== null && path.length ? h('path', { d: path.join('') }) : null,
  );
}
