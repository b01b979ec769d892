// Plots as SVG, written by hand: grouped bars or lines, with axes that carry units. No script, no font that must be there.

/** Values of several series for each group: nights, stages, sizes. */
export interface Chart {
  readonly title: string;
  /** What the vertical axis shows, with its unit. */
  readonly axis: string;
  /** What the groups are. */
  readonly groupAxis: string;
  readonly groups: readonly string[];
  /** One value for each group; undefined where nothing was measured. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | undefined)[] }[];
}

/** Okabe and Ito's colours, told apart by colour-blind people too. */
const colours = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00', '#56b4e9', '#8a8a00', '#555555'];
const widthPixels = 960;
const plotHeight = 320;
const left = 78;
const right = 20;
/** Rough width of a character at 13 pixels. */
const characterPixels = 7.4;

const escapeXml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escapeXml(content)}</text>`;
}

/** A round step that divides `top` into four to eight parts. */
function niceStep(top: number): number {
  const rough = top / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return (([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power) as number;
}

function shortNumber(value: number): string {
  if (value === 0) return '0';
  if (value >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(value >= 100 ? 3 : 2)));
}

/** The legend, wrapped into lines. @returns its elements and how high it is, in pixels. */
function drawLegend(names: readonly string[], top: number): { elements: string[]; height: number } {
  const elements: string[] = [];
  let x = left;
  let y = top;
  for (const [index, name] of names.entries()) {
    const width = 24 + name.length * characterPixels + 18;
    if (x + width > widthPixels - right && x > left) {
      x = left;
      y += 22;
    }
    elements.push(`<rect x="${x}" y="${y}" width="14" height="14" fill="${colours[index % colours.length]}"/>`);
    elements.push(text(x + 20, y + 12, name));
    x += width;
  }
  return { elements, height: y + 22 - top };
}

/** What bars and lines share: legend, title, axes. */
interface Frame {
  readonly elements: string[];
  readonly bottom: number;
  /** Where a value stands, in pixels. */
  readonly y: (value: number) => number;
}

function drawFrame(chart: Chart): Frame {
  const { elements, height } = drawLegend(
    chart.series.map(({ name }) => name),
    44,
  );
  const top = 44 + height + 18;
  const bottom = top + plotHeight;
  const values = chart.series.flatMap((series) => series.values.filter((value) => value !== undefined));
  const highest = Math.max(...values, 1e-9);
  const step = niceStep(highest);
  const axisTop = Math.ceil((highest * 1.04) / step) * step;
  const y = (value: number): number => bottom - (value / axisTop) * plotHeight;
  for (let tick = 0; tick <= axisTop + step / 2; tick += step) {
    elements.push(
      `<line x1="${left}" x2="${widthPixels - right}" y1="${y(tick)}" y2="${y(tick)}" stroke="${tick === 0 ? '#333' : '#ddd'}"/>`,
    );
    elements.push(text(left - 8, y(tick) + 4, shortNumber(tick), 'text-anchor="end"'));
  }
  elements.push(text(left + (widthPixels - left - right) / 2, bottom + 44, chart.groupAxis, 'text-anchor="middle"'));
  const middle = top + plotHeight / 2;
  elements.push(text(20, middle, chart.axis, `text-anchor="middle" transform="rotate(-90 20 ${middle})"`));
  elements.push(text(left, 28, chart.title, 'font-size="17" font-weight="bold"'));
  return { elements, bottom, y };
}

function finishDocument({ elements, bottom }: Frame): string {
  const total = bottom + 58;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${widthPixels}" height="${total}" viewBox="0 0 ${widthPixels} ${total}" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="13" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
${elements.join('\n')}
</svg>
`;
}

/** Lines over groups that are too many for bars: nights. */
export function drawLines(chart: Chart): string {
  const frame = drawFrame(chart);
  const { elements, bottom, y } = frame;
  const count = chart.groups.length;
  const x = (group: number): number => left + ((group + 0.5) * (widthPixels - left - right)) / count;
  const every = Math.max(1, Math.ceil(count / 20));
  for (const [group, label] of chart.groups.entries())
    if (group === 0 || (group + 1) % every === 0)
      elements.push(text(x(group), bottom + 20, label, 'text-anchor="middle"'));
  for (const [index, { values }] of chart.series.entries()) {
    const points = values.flatMap((value, group) =>
      value === undefined ? [] : [`${x(group).toFixed(1)},${y(value).toFixed(1)}`],
    );
    const colour = colours[index % colours.length];
    elements.push(`<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`);
  }
  return finishDocument(frame);
}

/** The chart as a whole SVG document. */
export function drawBars(chart: Chart): string {
  const frame = drawFrame(chart);
  const { elements, bottom, y } = frame;
  const groupWidth = (widthPixels - left - right) / chart.groups.length;
  const barWidth = Math.min(64, (groupWidth * 0.8) / chart.series.length);
  // Numbers stand on the bars where they fit.
  const isWide = barWidth >= 30;
  for (const [group, label] of chart.groups.entries()) {
    const centre = left + (group + 0.5) * groupWidth;
    elements.push(text(centre, bottom + 20, label, 'text-anchor="middle"'));
    for (const [index, series] of chart.series.entries()) {
      const value = series.values[group];
      if (value === undefined) continue;
      const x = centre + (index - chart.series.length / 2) * barWidth;
      const colour = colours[index % colours.length];
      elements.push(
        `<rect x="${x.toFixed(1)}" y="${y(value).toFixed(1)}" width="${(barWidth * 0.92).toFixed(1)}" height="${(bottom - y(value)).toFixed(1)}" fill="${colour}"><title>${escapeXml(`${series.name}, ${label}: ${shortNumber(value)}`)}</title></rect>`,
      );
      if (isWide)
        elements.push(
          text(x + barWidth * 0.46, y(value) - 4, shortNumber(value), 'text-anchor="middle" font-size="11"'),
        );
    }
  }
  return finishDocument(frame);
}
