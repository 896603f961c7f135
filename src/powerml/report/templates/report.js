"use strict";

(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
  // In pixels; the heights are those of the style sheet for print.
  const PRINTED = { pair: 320, whole: 660, height: 240, tall: 384, low: 128 };

  // Plotly reads a few tags in its texts: what a study holds must not be among them.
  const plain = (text) =>
    String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const digits = (value) => (value === null ? "-" : value.toFixed(3));
  const cost = (trial, phase) => trial.costs[phase] ?? null;
  const hasCosts = (trial) => study.phases.every((phase) => cost(trial, phase) !== null);

  const open = (symbol, size, width) => (ink) => ({
    symbol: `${symbol}-open`, size, color: ink.other, line: { width },
  });
  const LEAST_INFEASIBLE = {
    name: "least infeasible",
    mark: '<path d="M9 2l6 6-6 6-6-6z" fill="none" stroke="var(--best)" stroke-width="2"/>',
    has: (trial) => trial.least_infeasible,
    marker: (ink) => ({
      symbol: "diamond-open", size: 12, color: ink.best, line: { width: 2 },
    }),
  };
  const PRUNED = {
    name: "not trained",
    mark: '<path d="M9 3v10" stroke="var(--other)" stroke-width="2"/>',
    has: (trial) => trial.outcome === "pruned" && !trial.least_infeasible,
    marker: open("line-ns", 10, 2),
  };
  const OVER = {
    name: "outside the limits",
    mark: '<rect x="5" y="4" width="8" height="8" fill="none" stroke="var(--other)" stroke-width="1.5"/>',
    has: (trial) => trial.outcome === "over_limits" && !trial.least_infeasible,
    marker: open("square", 9, 1.5),
  };
  const OTHER = {
    name: "other trials",
    mark: '<circle cx="9" cy="8" r="4" fill="none" stroke="var(--other)" stroke-width="1.5"/>',
    has: (trial) => trial.outcome === "complete" && !trial.onFront,
    marker: open("circle", 9, 1.5),
  };
  const FRONT = {
    name: "on the front: no other is as good in all three",
    mark: '<circle cx="9" cy="8" r="4.5" fill="var(--front)"/>',
    has: (trial) => trial.outcome === "front" || (trial.outcome === "complete" && trial.onFront),
    marker: (ink) => ({ symbol: "circle", size: 9, color: ink.front }),
  };
  const BEST = {
    name: "the best",
    mark: '<path d="M9 1l7 7-7 7-7-7z" fill="var(--best)"/>',
    has: (trial) => trial.outcome === "best",
    marker: (ink) => ({ symbol: "diamond", size: 14, color: ink.best }),
  };
  const STEPS = {
    name: "highest score at each cost",
    mark: '<path d="M0 12h9V4h9" fill="none" stroke="var(--front)" opacity=".6" stroke-width="1.5"/>',
  };
  // In the order in which they are drawn, one over the other.
  const KINDS = [PRUNED, OVER, OTHER, FRONT, LEAST_INFEASIBLE, BEST];

  function inks() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ground", "raised", "ink", "soft", "line", "front", "best", "other"];
    return Object.fromEntries(
      names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    );
  }

  function hover(trial) {
    const lines = [
      `<b>${plain(trial.name)}</b>`,
      `trial ${trial.number}${trial.least_infeasible ? ", least infeasible" : ""}`,
    ];
    if (trial.outcome === "failed") {
      return [...lines, `failed: ${plain(trial.remark.slice(0, 80))}`].join("<br>");
    }
    lines.push(
      `score ${digits(trial.score)}`,
      ...study.phases.map((phase) =>
        `${phase} ${digits(cost(trial, phase))} x (${plain(trial.cycles[phase] ?? "-")})`,
      ),
    );
    if (trial.objective !== null) lines.push(`objective ${digits(trial.objective)}`);
    if (trial.remark) lines.push(plain(trial.remark.slice(0, 80)));
    return lines.join("<br>");
  }

  function axis(ink, title, more) {
    return {
      title: { text: title, standoff: 8, font: { size: 13, color: ink.soft } },
      tickfont: { size: 12, color: ink.soft },
      gridcolor: ink.line,
      linecolor: ink.line,
      zeroline: false,
      automargin: true,
      fixedrange: true,
      ...more,
    };
  }

  function layout(ink, more) {
    return {
      font: { family: getComputedStyle(document.body).fontFamily, color: ink.ink },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 12, t: 24, b: 8 },
      showlegend: false,
      dragmode: false,
      hovermode: "closest",
      hoverlabel: {
        align: "left",
        bgcolor: ink.raised,
        bordercolor: ink.other,
        font: { size: 13, color: ink.ink, family: getComputedStyle(document.body).fontFamily },
      },
      ...more,
    };
  }

  function points(trials, x, y, marker, more) {
    return {
      type: "scatter",
      mode: "markers",
      x: trials.map(x),
      y: trials.map(y),
      text: trials.map(hover),
      hoverinfo: "text",
      cliponaxis: false,
      marker,
      ...more,
    };
  }

  // The trials that no other beats in score and this one cost, from the cheapest on.
  function frontIn(phase) {
    const trained = study.trials.filter((trial) => trial.score !== null && hasCosts(trial));
    trained.sort((one, other) => cost(one, phase) - cost(other, phase) || other.score - one.score);
    let highest = -Infinity;
    return trained.filter((trial) => {
      const better = trial.score > highest;
      highest = Math.max(highest, trial.score);
      return better;
    });
  }

  function padded(values, part) {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const room = (high - low || Math.abs(high) || 1) * part;
    return [low - room, high + room];
  }

  function tradeOff(phase, ink) {
    const known = study.trials.filter(hasCosts);
    const scores = known.filter((trial) => trial.score !== null).map((trial) => trial.score);
    const [low, high] = padded(scores.length ? scores : [0, 1], 0.12);
    const range = [low, Math.max(high, study.leastScore === null ? high : study.leastScore + 0.02)];
    const most = study.most[phase];
    const marked = most === null ? [1] : [1, most];
    const costs = padded([...known.map((trial) => cost(trial, phase)), ...marked], 0.06);
    const front = frontIn(phase);
    const traces = [
      {
        type: "scatter",
        mode: "lines",
        x: front.map((trial) => cost(trial, phase)),
        y: front.map((trial) => trial.score),
        line: { shape: "hv", width: 1.5, color: ink.front },
        opacity: 0.6,
        hoverinfo: "skip",
      },
      ...KINDS.map((kind) =>
        points(
          known.filter(kind.has),
          (trial) => cost(trial, phase),
          // What was not trained has a cost and no score: it stands on the axis.
          (trial) => (trial.score === null ? range[0] : trial.score),
          kind.marker(ink),
        ),
      ),
    ];
    const upright = { type: "line", xref: "x", yref: "paper", y0: 0, y1: 1 };
    const level = { type: "line", xref: "paper", x0: 0, x1: 1, yref: "y" };
    const dashed = { line: { dash: "dash", width: 1.5, color: ink.soft }, layer: "below" };
    const said = { showarrow: false, font: { size: 12, color: ink.soft } };
    const shapes = [];
    const annotations = [];
    for (const [name, x, yanchor] of [["reference", 1, "bottom"], ["limit", most, "top"]]) {
      if (x === null) continue;
      shapes.push({ ...upright, ...dashed, x0: x, x1: x });
      annotations.push({
        ...said, text: name, x, xref: "x", y: 1, yref: "paper", yanchor,
        xanchor: 2 * x > costs[0] + costs[1] ? "right" : "left",
      });
    }
    if (study.leastScore !== null) {
      shapes.push({ ...level, ...dashed, y0: study.leastScore, y1: study.leastScore });
      annotations.push({
        ...said, text: "least score", x: 1, xref: "paper", xanchor: "right",
        // Below the line: the front of a search that found something is above it.
        y: study.leastScore, yref: "y", yanchor: "top",
      });
    }
    return [
      traces,
      layout(ink, {
        shapes,
        annotations,
        xaxis: axis(ink, `${phase} cost, multiple of the reference’s`, { range: costs, nticks: 6 }),
        yaxis: axis(ink, "score", { range, nticks: 7, tickformat: ".2~f" }),
      }),
    ];
  }

  // What has no place on the scale stands on a line of its own below it.
  function apart() {
    const offScale = (trial) =>
      trial.outcome !== "pruned" && trial.outcome !== "failed" && trial.objective === null;
    const lines = [
      { name: "failed", symbol: "x-thin-open", has: (trial) => trial.outcome === "failed" },
      { name: "not trained", symbol: "line-ns-open", has: (trial) => trial.outcome === "pruned" },
      { name: "score too low", symbol: "square-open", has: (trial) => !study.pareto && offScale(trial) },
    ];
    return lines.filter((line) => study.trials.some(line.has));
  }

  function search(ink) {
    const below = apart();
    const traces = [];
    const all = study.pareto
      ? [
          ["score", (trial) => trial.score],
          ...study.phases.map((phase) => [`${phase} cost, x`, (trial) => cost(trial, phase)]),
        ]
      : [["objective", (trial) => trial.objective]];
    const rows = all.filter(([, value]) =>
      study.trials.some((trial) => trial.score !== null && value(trial) !== null),
    );
    const lowest = below.length ? "y9" : `y${rows.length > 1 ? rows.length : ""}`;
    const more = {
      xaxis: axis(ink, "trial", {
        anchor: lowest, range: [0.4, study.trials.length + 0.6], tickformat: "d",
        nticks: Math.min(study.trials.length + 1, 11), dtick: study.trials.length <= 12 ? 1 : undefined,
        showgrid: false,
      }),
    };
    const floor = rows.length ? 0.08 * below.length : 1;
    const height = (1 - floor - (below.length ? 0.04 : 0)) / rows.length;
    rows.forEach(([title, value], place) => {
      const name = place === 0 ? "" : String(place + 1);
      const top = 1 - place * height;
      more[`yaxis${name}`] = axis(ink, title, {
        domain: [top - height + (place < rows.length - 1 ? 0.05 : 0), top], nticks: rows.length > 1 ? 4 : 7,
      });
      if (title === "objective") {
        traces.push({
          type: "scatter", mode: "lines", hoverinfo: "skip",
          x: study.trials.map((trial) => trial.number), y: study.bestSoFar,
          line: { shape: "hv", width: 2, color: ink.front },
        });
      }
      for (const kind of KINDS) {
        const shown = study.trials.filter(
          (trial) => kind.has(trial) && trial.score !== null && value(trial) !== null,
        );
        // Among objectives there is no front.
        const marker = (title === "objective" && kind === FRONT ? OTHER : kind).marker(ink);
        traces.push(
          points(shown, (trial) => trial.number, value, marker, {
            yaxis: `y${name}`,
          }),
        );
      }
    });
    if (below.length) more.yaxis9 = axis(ink, "", {
      domain: [0, floor], range: [-0.6, below.length - 0.4],
      tickvals: below.map((_, place) => place), ticktext: below.map((line) => line.name),
      showgrid: false, showline: false,
    });
    below.forEach((line, place) => {
      const marker = { symbol: line.symbol, size: 9, color: ink.soft, line: { width: 2 } };
      traces.push(
        points(study.trials.filter(line.has), (trial) => trial.number, () => place, marker, {
          yaxis: "y9",
        }),
      );
    });
    return [traces, layout(ink, { ...more, margin: { l: 8, r: 12, t: 8, b: 8 } })];
  }

  const PLOTS = {
    ...Object.fromEntries(study.phases.map((phase) => [
      `plot-${phase}`, { draw: (ink) => tradeOff(phase, ink), printed: PRINTED.pair },
    ])),
    "plot-search": { draw: search, printed: PRINTED.whole },
  };

  function legend() {
    const list = document.getElementById("legend");
    const isShown = (kind) => study.trials.some((trial) => kind.has(trial) && hasCosts(trial));
    const shown = [...KINDS].reverse().filter(isShown);
    if (study.phases.some((phase) => frontIn(phase).length > 1)) shown.push(STEPS);
    for (const { name, mark } of shown) {
      const item = document.createElement("li");
      item.innerHTML = `<svg viewBox="0 0 18 16" aria-hidden="true">${mark}</svg>`;
      item.append(name);
      list.append(item);
    }
  }

  function draw(printed) {
    const ink = inks();
    for (const [id, plot] of Object.entries(PLOTS)) {
      const element = document.getElementById(id);
      if (!element) continue;
      const [traces, shape] = plot.draw(ink);
      const kind = ["tall", "low"].find((name) => element.classList.contains(name)) ?? "height";
      if (printed) Object.assign(shape, { width: plot.printed, height: PRINTED[kind] });
      Plotly.react(element, traces, shape, config);
    }
  }

  // A trial that is pointed at in one panel is shown in the others.
  function link(ids) {
    const panels = ids.map((id) => document.getElementById(id));
    let busy = false;
    const passOn = (from, act) => {
      if (busy) return;
      busy = true;
      for (const panel of panels) if (panel !== from) act(panel);
      busy = false;
    };
    for (const panel of panels) {
      panel.on("plotly_hover", ({ points: [{ curveNumber, pointNumber }] }) =>
        passOn(panel, (to) => Plotly.Fx.hover(to, [{ curveNumber, pointNumber }])),
      );
      panel.on("plotly_unhover", () => passOn(panel, (to) => Plotly.Fx.unhover(to)));
    }
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.value ?? cell.textContent.trim();
      if (text === "" || text === "-") return null;
      return cell.classList.contains("number") ? Number(text) : text;
    };
    const order = (one, other) =>
      typeof one === "number" ? one - other : one.localeCompare(other, "en");
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const each of heads) each.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((one, other) => {
          const [first, second] = [value(one, column), value(other, column)];
          // What is not known is last, whichever way is sorted.
          if (first === null || second === null) return (first === null) - (second === null);
          return down ? order(second, first) : order(first, second);
        });
        body.append(...rows);
      });
    });
  }

  const table = document.getElementById("trials");
  if (table) {
    sortable(table);
    legend();
    draw(false);
    link(study.phases.map((phase) => `plot-${phase}`));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(false));
    addEventListener("beforeprint", () => draw(true));
    addEventListener("afterprint", () => draw(false));
  }
})();
