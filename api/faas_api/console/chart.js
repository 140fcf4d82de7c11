// A bar for each day, as SVG, and the same numbers as a table.

import { drawing, element, table } from "./document.js";

const WIDTH = 720;
const HEIGHT = 220;
const LEFT = 8;
const TOP = 38;
const BOTTOM = 38;

/** `days` is a list of `{day, value}`, oldest first; `told` makes words of a value. */
export function chart(title, days, told) {
  const most = Math.max(...days.map(({ value }) => value), 0);
  const sum = days.reduce((total, { value }) => total + value, 0);
  const step = (WIDTH - 2 * LEFT) / days.length;
  const height = (value) => (most === 0 ? 0 : (value / most) * (HEIGHT - TOP - BOTTOM));
  const base = HEIGHT - BOTTOM;
  const bars = days.map(({ day, value }, index) => drawing(
    "rect", {
      class: "bar", x: LEFT + index * step + step * 0.1, width: step * 0.8,
      y: base - Math.max(height(value), value > 0 ? 2 : 0), height: Math.max(height(value), value > 0 ? 2 : 0), rx: Math.min(3, step / 8),
    }, drawing("title", {}, `${day}: ${told(value)}`),
  ));
  const text = (x, anchor, y, words) => drawing("text", { x, y, "text-anchor": anchor }, words);
  const summary = `${title}: ${told(sum)} from ${days[0].day} to ${days.at(-1).day}, at most ${told(most)} on a day`;
  return element(
    "figure", { class: "chart" },
    drawing(
      "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary },
      drawing("line", { class: "axis", x1: LEFT, x2: WIDTH - LEFT, y1: base, y2: base }),
      drawing("line", { class: "grid", x1: LEFT, x2: WIDTH - LEFT, y1: TOP, y2: TOP }),
      text(LEFT, "start", TOP - 8, told(most)),
      bars,
      text(LEFT, "start", HEIGHT - 10, days[0].day),
      text(WIDTH - LEFT, "end", HEIGHT - 10, days.at(-1).day),
    ),
    element("figcaption", {}, summary),
    element(
      "details", {}, element("summary", {}, "As a table"),
      table(title, ["Day", title], days.map(({ day, value }) => [day, told(value)])),
    ),
  );
}
