"use strict";
(function () {
  const report = JSON.parse(document.getElementById("data").textContent);
  const charts = {};
  const PALETTE = ["#3b7ddd", "#e08a1e", "#17a589", "#b45ad6", "#d64f6f", "#7a9a1f", "#2aa7c9", "#9c6b4a", "#6b72d8"];
  const DASHES = ["solid", "dashed", "dotted"];

  // --- small parts ---------------------------------------------------------------------------------------------------

  function color(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  // Every tooltip is HTML, and names are what users wrote.
  function safe(text) {
    return String(text).replace(/[&<>"']/g, (sign) => "&#" + sign.charCodeAt(0) + ";");
  }

  function times(start, steps) {
    const found = [start * 1000];
    for (const step of steps) found.push(found[found.length - 1] + step * 1000);
    return found;
  }

  function utc(milliseconds) {
    return new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ");
  }

  function number(value, digits) {
    return value.toLocaleString("en-US", { maximumFractionDigits: digits === undefined ? 8 : digits });
  }

  function signed(value, digits) {
    return (value > 0 ? "+" : "") + number(value, digits);
  }

  function span(seconds) {
    for (const [unit, length] of [["d", 86400], ["h", 3600], ["m", 60]]) {
      if (seconds % length === 0) return seconds / length + unit;
    }
    return seconds + "s";
  }

  function isNarrow() {
    return window.innerWidth < 640;
  }

  // Axis labels in UTC: a report must not read differently in another time zone.
  function axisTime(value, range) {
    const moment = new Date(value).toISOString();
    if (range > 4 * 86400000) return moment.slice(5, 10);
    return moment.slice(11, 16) === "00:00" ? moment.slice(5, 10) : moment.slice(11, 16);
  }

  function timeAxis(extent, extra) {
    return Object.assign(
      {
        type: "time",
        min: extent[0],
        max: extent[1],
        axisLine: { lineStyle: { color: color("line") } },
        axisTick: { show: false },
        axisLabel: { color: color("muted"), hideOverlap: true, formatter: (value) => axisTime(value, extent[1] - extent[0]) },
        splitLine: { show: false },
        axisPointer: { label: { formatter: (pointer) => utc(pointer.value) } },
      },
      extra
    );
  }

  function valueAxis(name, extra) {
    return Object.assign(
      {
        type: "value",
        scale: true,
        name: name,
        nameTextStyle: { color: color("muted"), align: "left" },
        nameGap: 10,
        axisLabel: { color: color("muted"), hideOverlap: true },
        splitLine: { lineStyle: { color: color("line") } },
      },
      extra
    );
  }

  function tooltipBox() {
    return {
      trigger: "axis",
      confine: true,
      backgroundColor: color("raised"),
      borderColor: color("line"),
      textStyle: { color: color("text"), fontSize: 12 },
      extraCssText: "max-width: 92vw; white-space: normal;",
    };
  }

  function legend(extra) {
    return Object.assign(
      { type: "scroll", top: 0, textStyle: { color: color("text") }, pageTextStyle: { color: color("muted") },
        pageIconColor: color("text"), inactiveColor: color("line") },
      extra
    );
  }

  function slider(axes, bottom) {
    return [
      { type: "inside", xAxisIndex: axes, filterMode: "filter", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false },
      { type: "slider", xAxisIndex: axes, filterMode: "filter", bottom: bottom, height: 22, borderColor: color("line"),
        textStyle: { color: color("muted") }, labelFormatter: (value) => utc(value), showDataShadow: false,
        handleSize: "110%" },
    ];
  }

  function draw(name, option) {
    const element = document.querySelector('[data-chart="' + name + '"]');
    if (!charts[name]) charts[name] = echarts.init(element, null, { renderer: "canvas" });
    charts[name].setOption(Object.assign({ animation: false, backgroundColor: "transparent" }, option), true);
  }

  // --- data ----------------------------------------------------------------------------------------------------------

  for (const bot of report.bots) bot.curve.times = times(bot.curve.start, bot.curve.steps);
  for (const candles of Object.values(report.candles)) candles.times = times(candles.start, candles.steps);

  function pairs(bot, values) {
    const found = [];
    for (let place = 0; place < values.length; place++) {
      if (values[place] !== null) found.push([bot.curve.times[place], values[place]]);
    }
    return found;
  }

  function extentOf(bots) {
    let first = Infinity, last = -Infinity;
    for (const bot of bots) {
      if (!bot.curve.times.length) continue;
      first = Math.min(first, bot.curve.times[0]);
      last = Math.max(last, bot.curve.times[bot.curve.times.length - 1]);
    }
    return [first, last];
  }

  // --- beyond holding: all bots --------------------------------------------------------------------------------------

  function drawVersus() {
    const extent = extentOf(report.bots);
    const series = report.bots.map((bot, place) => {
      const start = bot.curve.equity[0] || 1;
      const beyond = bot.curve.equity.map((equity, at) =>
        bot.curve.hold[at] === null ? null : Math.round(((equity - bot.curve.hold[at]) / start) * 1e6) / 1e4
      );
      return {
        name: bot.name, type: "line", showSymbol: false, data: pairs(bot, beyond), lineStyle: { width: 1.6,
          type: DASHES[Math.floor(place / PALETTE.length) % DASHES.length] },
        color: PALETTE[place % PALETTE.length], emphasis: { focus: "series" },
        markLine: place ? undefined : { silent: true, symbol: "none", label: { show: false },
          lineStyle: { color: color("muted"), type: "solid", width: 1 }, data: [{ yAxis: 0 }] },
      };
    });
    draw("versus", {
      legend: legend(),
      grid: { left: 8, right: 14, top: 52, bottom: 56, containLabel: true },
      tooltip: Object.assign(tooltipBox(), {
        order: "valueDesc",
        formatter: (points) =>
          "<b>" + utc(points[0].value[0]) + " UTC</b><br>" +
          points.slice(0, 16).map((point) => point.marker + safe(point.seriesName) + " <b>" +
            signed(point.value[1], 2) + "%</b>").join("<br>") +
          (points.length > 16 ? "<br>and " + (points.length - 16) + " more" : ""),
      }),
      xAxis: timeAxis(extent),
      yAxis: valueAxis("% of the start", { axisLabel: { color: color("muted"), formatter: "{value}%" } }),
      dataZoom: slider([0], 8),
      series: series,
    });
  }

  // --- one bot: equity, drawdown, candles, volume --------------------------------------------------------------------

  const botSelect = document.querySelector('[data-select="bot"]');
  const marketSelect = document.querySelector('[data-select="market"]');

  function fill(select, names) {
    select.replaceChildren(...names.map((name, place) => new Option(name, String(place))));
  }

  function markSeries(name, marks, sign, candles) {
    const buys = sign > 0;
    const data = marks.filter((mark) => mark[1] === sign).map((mark) => ({
      value: [mark[0] * 1000 + (candles.width * 1000) / 2, mark[2]], mark: mark,
    }));
    return {
      name: name, type: "scatter", xAxisIndex: 2, yAxisIndex: 2, z: 10, data: data,
      symbol: "triangle", symbolRotate: buys ? 0 : 180, symbolSize: 11, symbolOffset: [0, buys ? 9 : -9],
      itemStyle: { color: buys ? color("accent") : color("warn-text"), borderColor: color("ground"), borderWidth: 1 },
      tooltip: { trigger: "item" },
    };
  }

  function markText(mark) {
    const words = (mark[1] > 0 ? "bought " : "sold ") + number(mark[3]) + " at " + (mark[5] > 1 ? "about " : "") +
      number(mark[2]);
    const fills = mark[5] > 1 ? " in " + mark[5] + " fills" : "";
    const why = mark[7] ? " (" + safe(mark[7]) + ")" : "";
    return words + fills + ", fee " + number(mark[4], 6) + why;
  }

  function drawBot() {
    const bot = report.bots[Number(botSelect.value)];
    if (!bot) return;
    const market = bot.markets[Number(marketSelect.value) || 0];
    const candles = report.candles[market];
    const marks = bot.marks[market] || [];
    const extent = extentOf([bot]);
    if (candles && candles.times.length) {
      extent[0] = Math.min(extent[0], candles.times[0]);
      extent[1] = Math.max(extent[1], candles.times[candles.times.length - 1] + candles.width * 1000);
    }
    const bars = candles ? candles.times.map((start, at) =>
      [start + (candles.width * 1000) / 2, candles.open[at], candles.close[at], candles.low[at], candles.high[at]]) : [];
    const volumes = candles ? candles.times.map((start, at) => ({
      value: [start + (candles.width * 1000) / 2, candles.volume[at]],
      itemStyle: { color: color(candles.close[at] >= candles.open[at] ? "up" : "down"), opacity: 0.5 },
    })) : [];
    const narrow = isNarrow();
    const height = document.querySelector('[data-chart="bot"]').clientHeight;
    const left = narrow ? 52 : 78, right = 14;
    const usable = height - 40 - 60 - 3 * 44;
    const rows = [0.28, 0.13, 0.47, 0.12].map((part) => usable * part);
    const tops = [];
    rows.reduce((top, row) => { tops.push(top); return top + row + 44; }, 46);
    const markAt = new Map();
    for (const mark of marks) {
      const at = mark[0] * 1000 + (candles.width * 1000) / 2;
      markAt.set(at, (markAt.get(at) || []).concat([mark]));
    }
    draw("bot", {
      legend: legend({ data: ["Equity", "Hold", "Buy", "Sell"] }),
      axisPointer: { link: [{ xAxisIndex: "all" }], lineStyle: { color: color("muted") } },
      tooltip: Object.assign(tooltipBox(), {
        axisPointer: { type: "line" },
        formatter: (found) => botTooltip(Array.isArray(found) ? found : [found], bot, markAt),
      }),
      grid: rows.map((row, at) => ({ left: left, right: right, top: tops[at], height: row })),
      xAxis: rows.map((_, at) => timeAxis(extent, { gridIndex: at,
        axisLabel: at === 3 ? timeAxis(extent).axisLabel : { show: false } })),
      yAxis: [
        valueAxis("Equity and hold, " + bot.quote, { gridIndex: 0 }),
        valueAxis("Drawdown", { gridIndex: 1, inverse: true, min: 0, scale: false, splitNumber: 2, nameLocation: "start",
          axisLabel: { color: color("muted"), formatter: (value) => value ? "-" + value + "%" : "0%" } }),
        valueAxis(market + (candles ? ", candles of " + span(candles.width) : ""), { gridIndex: 2 }),
        valueAxis("Volume", { gridIndex: 3, scale: false, splitNumber: 2, axisLabel: { color: color("muted"),
          formatter: (value) => value >= 1e6 ? value / 1e6 + "M" : value >= 1e3 ? value / 1e3 + "k" : value } }),
      ],
      dataZoom: slider([0, 1, 2, 3], 8),
      series: [
        { name: "Equity", type: "line", showSymbol: false, data: pairs(bot, bot.curve.equity), color: color("accent"),
          lineStyle: { width: 1.8 }, z: 5 },
        { name: "Hold", type: "line", showSymbol: false, data: pairs(bot, bot.curve.hold), color: color("hold"),
          lineStyle: { width: 1.4, type: "dashed" } },
        { name: "Drawdown", type: "line", xAxisIndex: 1, yAxisIndex: 1, showSymbol: false, color: color("down"),
          data: pairs(bot, bot.curve.drawdown), lineStyle: { width: 1 }, areaStyle: { opacity: 0.25 } },
        { name: "Candles", type: "candlestick", xAxisIndex: 2, yAxisIndex: 2, data: bars, barMaxWidth: 14,
          itemStyle: { color: color("up"), color0: color("down"), borderColor: color("up"), borderColor0: color("down") } },
        candles ? markSeries("Buy", marks, 1, candles) : { name: "Buy", type: "scatter" },
        candles ? markSeries("Sell", marks, -1, candles) : { name: "Sell", type: "scatter" },
        { name: "Volume", type: "bar", xAxisIndex: 3, yAxisIndex: 3, data: volumes, barMaxWidth: 14 },
      ],
    });
    document.querySelector('[data-text="bot"]').textContent = bot.strategy;
    document.querySelector('[data-text="thinned"]').textContent = thinned(bot, candles);
  }

  function botTooltip(found, bot, markAt) {
    if (!found.length) return "";
    const lines = ["<b>" + utc(found[0].axisValue || found[0].value[0]) + " UTC</b>"];
    for (const point of found) {
      const value = point.value;
      if (point.seriesName === "Candles") {
        lines.push("open " + number(value[1]) + " · high " + number(value[4]) + " · low " + number(value[3]) +
          " · close " + number(value[2]));
        for (const mark of markAt.get(value[0]) || []) lines.push("<b>" + markText(mark) + "</b>");
      } else if (point.seriesName === "Buy" || point.seriesName === "Sell") {
        if (found.length === 1) lines.push("<b>" + markText(point.data.mark) + "</b>");
      } else if (point.seriesName === "Drawdown") {
        lines.push(point.marker + "Drawdown " + number(value[1], 2) + "%");
      } else if (point.seriesName === "Volume") {
        lines.push("volume " + number(value[1], 4));
      } else {
        lines.push(point.marker + safe(point.seriesName) + " <b>" + number(value[1]) + "</b> " + safe(bot.quote));
      }
    }
    return lines.join("<br>");
  }

  // Says what the charts leave out.
  function thinned(bot, candles) {
    const lines = [];
    const drawn = bot.curve.times.length;
    if (drawn < bot.curve.points) {
      lines.push("Curves show " + number(drawn) + " of " + number(bot.curve.points) +
        " points: of every stretch its first, last, lowest and highest.");
    }
    if (candles && candles.barsEach > 1) {
      lines.push("Each candle joins up to " + candles.barsEach + " bars of " + span(candles.barWidth) +
        "; fills of one candle and side share a mark at their average price.");
    }
    lines.push("Drag the handles below the chart, pinch, or turn the wheel with Ctrl to zoom. Times are UTC.");
    return lines.join(" ");
  }

  function chooseBot(place) {
    botSelect.value = String(place);
    fill(marketSelect, report.bots[place].markets);
    marketSelect.parentElement.hidden = report.bots[place].markets.length < 2;
    drawBot();
  }

  // --- costs ---------------------------------------------------------------------------------------------------------

  function drawCosts() {
    const bots = report.bots.slice().reverse();
    const element = document.querySelector('[data-chart="costs"]');
    element.style.height = 90 + 26 * bots.length + "px";
    if (charts.costs) charts.costs.resize();
    const part = (bot, amount) => Math.round((amount / (bot.curve.equity[0] || 1)) * 1e6) / 1e4;
    const bar = (name, tint, amount) => ({ name: name, type: "bar", stack: "costs", color: tint, barMaxWidth: 16,
      data: bots.map((bot) => part(bot, amount(bot))) });
    const width = isNarrow() ? 130 : 300;
    draw("costs", {
      legend: legend(),
      grid: { left: 8, right: 24, top: 34, bottom: 8, containLabel: true },
      tooltip: Object.assign(tooltipBox(), {
        axisPointer: { type: "shadow" },
        formatter: (points) => {
          const bot = bots[points[0].dataIndex];
          return "<b>" + safe(bot.name) + "</b><br>" + points.map((point) =>
            point.marker + point.seriesName + " " + signed(point.value, 2) + "% · " +
            number(point.seriesName === "Fees" ? bot.fees : bot.slippage, 6) + " " + safe(bot.quote)).join("<br>");
        },
      }),
      xAxis: valueAxis("", { axisLabel: { color: color("muted"), formatter: "{value}%" }, scale: false }),
      yAxis: { type: "category", data: bots.map((bot) => bot.name), axisTick: { show: false },
        axisLine: { lineStyle: { color: color("line") } },
        axisLabel: { color: color("text"), width: width, overflow: "truncate" } },
      series: [bar("Fees", PALETTE[0], (bot) => bot.fees), bar("Slippage", PALETTE[1], (bot) => bot.slippage)],
    });
  }

  // --- tables --------------------------------------------------------------------------------------------------------

  function sortBy(table, column, ascending) {
    const body = table.tBodies[0];
    const key = (row) => {
      const cell = row.cells[column];
      if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
      return cell.classList.contains("rank") ? Number(cell.textContent) : cell.textContent;
    };
    const order = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (typeof a === "number" && typeof b === "number") return a - b;
      return String(a).localeCompare(String(b));
    };
    const rows = Array.from(body.rows).sort((one, other) => (ascending ? order(one, other) : order(other, one)));
    body.replaceChildren(...rows);
    table.querySelectorAll("th").forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    table.querySelectorAll("th").forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "descending";
        sortBy(table, column, column === 0 || !head.classList.contains("number") ? !(head.getAttribute("aria-sort") === "ascending") : descending);
      });
    });
  }

  // --- start ---------------------------------------------------------------------------------------------------------

  function drawAll() {
    drawVersus();
    drawBot();
    drawCosts();
  }

  fill(botSelect, report.bots.map((bot) => bot.name));
  botSelect.addEventListener("change", () => chooseBot(Number(botSelect.value)));
  marketSelect.addEventListener("change", drawBot);
  for (const link of document.querySelectorAll("a[data-bot]")) {
    link.addEventListener("click", () => chooseBot(Number(link.dataset.bot)));
  }
  if (report.bots.length) {
    drawVersus();
    chooseBot(0);
    drawCosts();
  }
  let pending = 0;
  window.addEventListener("resize", () => {
    window.clearTimeout(pending);
    pending = window.setTimeout(() => {
      Object.values(charts).forEach((chart) => chart.resize());
      drawAll();
    }, 150);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  document.documentElement.dataset.ready = "true";
})();
