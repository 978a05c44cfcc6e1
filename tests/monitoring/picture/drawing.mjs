// A dashboard as SVG: its panels where Grafana would put them, with lines, axes and legends.
const CELL = { width: 40, height: 34 }; // of the grid of 24 columns that dashboards are laid out on
const MARGIN = { left: 72, right: 14, top: 30, bottom: 22, gap: 6 };
const LEGEND_LINE = 14;
const LEGEND_LETTERS = 72;
const TITLE = 46;
const COLOURS = ['#3274d9', '#e0752d', '#37872d', '#c4162a', '#8f3bb8', '#b8860b', '#1f9e9e', '#d44a8f', '#5a6b7b', '#7a9e1f'];
const FONT = 'font-family="Helvetica, Arial, sans-serif"';

const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign]);
const rounded = (number) => Number(number.toFixed(1));
const text = (x, y, words, more = '') => `<text x="${rounded(x)}" y="${rounded(y)}" ${more}>${escaped(words)}</text>`;

const significant = (value) => String(Number(value.toPrecision(3)));

/** A value with its unit, by Grafana's names of units. */
function written(value, unit) {
  if (unit === 'percentunit') return `${significant(value * 100)} %`;
  if (unit === 'bytes' || unit === 'Bps') {
    const step = value >= 1e6 ? [1e6, 'MB'] : value >= 1e3 ? [1e3, 'kB'] : [1, 'B'];
    return `${significant(value / step[0])} ${step[1]}${unit === 'Bps' ? '/s' : ''}`;
  }
  return `${significant(value)}${{ pps: ' p/s', cps: '/s', reqps: ' req/s' }[unit] ?? ''}`;
}

/** The distance of about four lines between 0 and the most, as people would choose it. */
function tick(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
}

/** A time since the start as minutes and seconds. */
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;

/** The names in rows of a legend. */
function wrapped(title, names) {
  const rows = [];
  for (const [index, name] of names.entries()) {
    const words = index < names.length - 1 ? `${name},` : name;
    if (rows.length > 0 && rows.at(-1).length + 1 + words.length <= LEGEND_LETTERS) rows.push(`${rows.pop()} ${words}`);
    else rows.push(index === 0 ? `${title}: ${words}` : words);
  }
  return rows;
}

/** `lines`: `{ name, points: [[seconds, value]] }` each; `span`: seconds that were recorded. Of lines that lie on the axis only the names are shown. */
function panel({ title, unit, lines, gridPos }, span) {
  const [width, height] = [gridPos.w * CELL.width - MARGIN.gap * 2, gridPos.h * CELL.height - MARGIN.gap * 2];
  const moving = lines.filter(({ points }) => points.some(([, value]) => value !== 0));
  const still = wrapped('0 all the time', lines.filter((line) => !moving.includes(line)).map(({ name }) => name));
  const bottom = height - MARGIN.bottom - (moving.length + still.length) * LEGEND_LINE;
  const most = Math.max(...moving.flatMap(({ points }) => points.map(([, value]) => value)), 0) || 1;
  const step = tick(most);
  const top = Math.ceil(most / step) * step;
  const x = (seconds) => MARGIN.left + (seconds / span) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
  const drawn = [`<rect width="${width}" height="${height}" rx="3" fill="#fff" stroke="#d8d9dd"/>`, text(10, 19, title, 'font-weight="bold"')];
  for (let value = 0; value <= top * 1.001; value += step) {
    drawn.push(`<path d="M${MARGIN.left} ${rounded(y(value))}H${width - MARGIN.right}" stroke="#e8e9ed"/>`);
    drawn.push(text(MARGIN.left - 6, y(value) + 4, written(value, unit), 'text-anchor="end" font-size="10"'));
  }
  for (let part = 0; part <= 4; part += 1) drawn.push(text(x((span * part) / 4), bottom + 14, clock((span * part) / 4), 'text-anchor="middle" font-size="10"'));
  const row = (index) => bottom + MARGIN.bottom + 4 + index * LEGEND_LINE;
  moving.forEach(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length];
    drawn.push(`<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${points.map(([seconds, value]) => `${rounded(x(seconds))},${rounded(y(value))}`).join(' ')}"/>`);
    drawn.push(`<path d="M10 ${row(index)}h14" stroke="${colour}" stroke-width="3"/>`);
    drawn.push(text(30, row(index) + 4, `${name}: ${written(points.at(-1)[1], unit)}`, 'font-size="10"'));
  });
  still.forEach((names, index) => drawn.push(text(30, row(moving.length + index) + 4, names, 'font-size="10" fill="#6a737d"')));
  return `<g transform="translate(${gridPos.x * CELL.width + MARGIN.gap} ${TITLE + gridPos.y * CELL.height + MARGIN.gap})">\n${drawn.join('\n')}\n</g>`;
}

/** `panels`: `{ title, unit, lines, gridPos }` each. */
export function dashboard({ title, subtitle, panels, span }) {
  const width = 24 * CELL.width;
  const height = TITLE + Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * CELL.height + MARGIN.gap;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ${FONT} font-size="13" fill="#24292e">`,
    `<rect width="${width}" height="${height}" fill="#f4f5f8"/>`,
    text(12, 24, title, 'font-size="18" font-weight="bold"'),
    text(12, 41, subtitle, 'font-size="11"'),
    ...panels.map((each) => panel(each, span)),
    '</svg>',
    '',
  ].join('\n');
}
