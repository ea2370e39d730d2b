"use strict";
/* Draws the charts of a page with Bokeh, out of the data that the page carries. Colours are those of the style sheet,
   so that the charts follow the reader's choice of light or dark. A chart is drawn once it comes into view. */
(() => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const HEIGHT = 190;
  const PIXELS_A_TICK = 62;
  const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const numbers = (values) => values.map((value) => (value === null ? NaN : value));

  function shown(chart, value) {
    return value === null ? "–" : `${chart.prefix}${number.format(value)}${chart.suffix}`;
  }

  function reading(chart, index) {
    const parts = chart.lines.map((line) =>
      `${chart.lines.length > 1 ? line.label + " " : ""}${shown(chart, line.values[index])}`);
    if (chart.band && chart.band[0][index] !== null) {
      const [expected, low, high] = chart.band.map((values) => shown(chart, values[index]));
      parts.push(`expected ${expected} (${low} to ${high})`);
    }
    return parts.join(", ");
  }

  function highest(chart) {
    const seen = chart.lines.flatMap((line) => line.values);
    const expected = chart.band ? chart.band[0] : [];
    return Math.max(0, ...[...seen, ...expected].filter((value) => value !== null));
  }

  function thinned(ticks, width) {
    const step = Math.max(1, Math.ceil((ticks.length * PIXELS_A_TICK) / width));
    return ticks.filter((_, position) => position % step === 0);
  }

  function addMarks(figure) {
    const { BoxAnnotation, Span } = Bokeh;
    for (const mark of data.marks) {
      if (mark.kind === "change") {
        figure.add_layout(new Span({
          location: mark.from, dimension: "height", line_color: colour("change"), line_dash: [4, 3], line_width: 1,
        }));
      } else {
        figure.add_layout(new BoxAnnotation({
          left: mark.from, right: mark.to, line_color: null, level: "underlay",
          fill_color: colour(mark.kind), fill_alpha: mark.kind === "incident" ? 0.22 : 0.3,
        }));
      }
    }
  }

  function style(figure, ticks) {
    const [[xaxis], [yaxis]] = [figure.below, figure.left];
    for (const axis of [xaxis, yaxis]) {
      axis.axis_line_color = null;
      axis.major_tick_line_color = null;
      axis.minor_tick_line_color = null;
      axis.major_label_text_color = colour("muted");
      axis.major_label_text_font = "system-ui, sans-serif";
      axis.major_label_text_font_size = "12px";
    }
    xaxis.ticker = new Bokeh.FixedTicker({ ticks: ticks.map(([time]) => time) });
    xaxis.major_label_overrides = new Map(ticks);
    yaxis.ticker = new Bokeh.BasicTicker({ desired_num_ticks: 4 });
    for (const grid of figure.center.filter((one) => one instanceof Bokeh.Grid)) {
      grid.grid_line_color = grid.dimension === 0 ? null : colour("line");
    }
  }

  function draw(place) {
    const chart = data.charts.find((one) => one.id === place.dataset.chart);
    const width = place.clientWidth;
    const [low, high] = chart.scale ?? [0, highest(chart) * 1.25 || 1];
    const figure = Bokeh.Plotting.figure({
      height: HEIGHT,
      sizing_mode: "stretch_width",
      x_range: [data.from, data.to],
      y_range: [low, high + (high - low) * 0.04],
      tools: [],
      toolbar_location: null,
      background_fill_color: null,
      border_fill_color: null,
      outline_line_color: null,
      min_border_right: 10,
    });
    style(figure, thinned(data.ticks, width));
    addMarks(figure);
    const columns = {
      x: data.x,
      when: data.when,
      reading: data.x.map((_, index) => reading(chart, index)),
    };
    if (chart.band) {
      [columns.expected, columns.low, columns.high] = chart.band.map(numbers);
    }
    chart.lines.forEach((line, position) => { columns[`line${position}`] = numbers(line.values); });
    const source = new Bokeh.ColumnDataSource({ data: columns });
    const field = (name) => ({ field: name });
    if (chart.band) {
      figure.varea({
        x: field("x"), y1: field("low"), y2: field("high"), source, fill_color: colour("band"), fill_alpha: 1,
      });
      figure.line({
        x: field("x"), y: field("expected"), source, line_color: colour("expected"), line_dash: [6, 4], line_width: 1.2,
      });
    }
    const inks = ["seen", "seen-2", "seen-3"];
    const seen = chart.lines.map((_, position) => figure.line({
      x: field("x"), y: field(`line${position}`), source, line_color: colour(inks[position]), line_width: 1.8,
    }));
    // A point that stands alone is no line.
    figure.scatter({
      x: field("x"), y: field("line0"), source, size: data.x.length > 120 ? 2.5 : 4, fill_color: colour("seen"),
      line_color: null,
    });
    figure.add_tools(new Bokeh.HoverTool({
      renderers: [seen[0]], mode: "vline", line_policy: "nearest", point_policy: "snap_to_data",
      tooltips: [["", "@when"], ["", "@reading"]], attachment: "horizontal", show_arrow: false,
    }));
    place.replaceChildren();
    Bokeh.Plotting.show(figure, place);
  }

  const places = [...document.querySelectorAll(".plot")];
  const drawn = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting && !drawn.has(entry.target)) {
        drawn.add(entry.target);
        draw(entry.target);
      }
    }
  }, { rootMargin: "200px" });
  places.forEach((place) => watcher.observe(place));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => places.filter((place) => !drawn.has(place)).forEach((place) => {
    drawn.add(place);
    draw(place);
  }));
})();
