// Charts are drawn on canvases, which style sheets do not reach: repaint their text and lines when the page
// changes between light and dark, and on paper.
(() => {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const colors = (dark) => dark
    ? { ink: "#d5dae1", soft: "#a2abb7", line: "#3b434d", grid: "#2b3138" }
    : { ink: "#1d2127", soft: "#5b6470", line: "#a9b0ba", grid: "#e6e9ed" };
  const looks = {
    axis: (c) => ({
      axis_label_text_color: c.soft, major_label_text_color: c.soft, axis_line_color: c.line,
      major_tick_line_color: c.line, minor_tick_line_color: null,
    }),
    grid: (c) => ({ grid_line_color: c.grid }),
    legend: (c) => ({ label_text_color: c.ink }),
    title: (c) => ({ text_color: c.ink }),
    label: (c) => ({ text_color: c.soft }),
    rule: (c) => ({ line_color: c.soft }),
  };
  const paint = (dark) => {
    for (const doc of Bokeh.documents)
      for (const root of doc.roots())
        for (const model of root.references())
          for (const tag of model.tags ?? [])
            if (tag in looks) model.setv(looks[tag](colors(dark)));
  };
  const repaint = () => paint(query.matches);
  let left = 200;  // the charts are set up after this script has run
  const wait = setInterval(() => {
    if (window.Bokeh && Bokeh.documents.length > 0) { clearInterval(wait); repaint(); }
    else if (--left === 0) clearInterval(wait);
  }, 50);
  query.addEventListener("change", repaint);
  addEventListener("beforeprint", () => paint(false));
  addEventListener("afterprint", repaint);
})();
