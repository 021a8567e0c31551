// Charts of the situation: drawn from the data that their elements carry, again after each refresh and change of size.
"use strict";
(() => {
  const root = document.getElementById("situation");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const size = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
  const go = (link) => { if (link) location.href = link; };
  let drawn = [];

  function frame() {
    const ink = colour("--ink-2");
    const text = { color: ink, fontSize: size() * 0.86, fontFamily: getComputedStyle(document.body).fontFamily };
    const axis = { axisLine: { lineStyle: { color: colour("--line-strong") } }, axisTick: { show: false }, axisLabel: text, splitLine: { lineStyle: { color: colour("--line") } } };
    const tooltip = { renderMode: "richText", backgroundColor: colour("--raised"), borderColor: colour("--line-strong"), textStyle: { ...text, color: colour("--ink") } };
    return { text, axis, tooltip };
  }
  function bars(chart, data, colours) {
    const { text, axis, tooltip } = frame();
    const series = data.series.map((one, at) => ({ name: one.label, type: "bar", stack: "all", data: one.values, barCategoryGap: "22%", itemStyle: { color: colours(one, at) } }));
    chart.setOption({
      animation: false, textStyle: text,
      grid: { left: size() * 3, right: size(), top: size() * 2.6, bottom: size() * 2 },
      legend: { top: 0, left: 0, textStyle: text, itemWidth: size(), itemHeight: size() * 0.7, type: "scroll", pageTextStyle: text },
      tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, ...tooltip },
      xAxis: { type: "category", data: data.labels, ...axis }, yAxis: { type: "value", minInterval: 1, ...axis }, series,
    });
    chart.getZr().on("click", (event) => {  // anywhere in a step's column
      const at = chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
      if (event.offsetY > size() * 2.6) go(data.links[at]);
    });
  }
  // Three columns, consumers, datasets, systems; an edge's place is that of its ends.
  function flow(chart, edges) {
    const { text, tooltip } = frame();
    const columns = [new Map(), new Map(), new Map()];
    const short = (name) => (name.length > 34 ? `…${name.slice(-33)}` : name);
    const add = (column, name) => { if (name && !columns[column].has(name)) columns[column].set(name, columns[column].size); };
    for (const one of edges) { add(0, one.consumer); add(1, one.dataset); add(2, one.system); }
    const nodes = columns.flatMap((names, column) => [...names].map(([name, at]) => ({
      name: `${column} ${name}`, value: name, x: column * 100, y: ((at + 0.5) * 100) / names.size,
      symbol: ["circle", "rect", "roundRect"][column], symbolSize: size() * 0.8, itemStyle: { color: colour(["--ink-2", "--accent", "--good"][column]) },
      label: { show: true, position: column ? "right" : "left", formatter: short(name), ...text },
    })));
    const styles = {
      declared: { color: colour("--line-strong"), width: 1.5, type: "dashed" },
      used: { color: colour("--good"), width: 1.5, type: "solid" },
      observed: { color: colour("--accent"), width: 1.5, type: "solid" },
      suspicious: { color: colour("--sev-critical"), width: 2.5, type: "dashed" },
      both: { color: colour("--sev-high"), width: 2.5, type: "solid" },
    };
    const belongs = new Map(edges.filter((one) => one.system).map((one) => [one.dataset, one.system]));
    const width = (one) => styles[one.kind].width + Math.min(3, Math.log10(1 + one.events) / 2);  // 3 more for a million events
    const links = edges.map((one) => ({ source: `0 ${one.consumer}`, target: `1 ${one.dataset}`, value: one.said, link: one.link, lineStyle: { ...styles[one.kind], width: width(one) } }));
    for (const [dataset, system] of belongs) links.push({ source: `1 ${dataset}`, target: `2 ${system}`, value: "", lineStyle: { color: colour("--line-strong"), width: 1, type: "dotted" } });
    chart.setOption({
      animation: false, textStyle: text,
      tooltip: { ...tooltip, formatter: (at) => (at.dataType === "node" ? at.data.value : at.data.value ? `${at.data.source.slice(2)} → ${at.data.target.slice(2)}\n${at.data.value}` : "") },
      series: [{ type: "graph", layout: "none", data: nodes, links, left: "24%", right: "16%", top: size(), bottom: size(), roam: false, nodeScaleRatio: 0, edgeSymbol: ["none", "arrow"], edgeSymbolSize: size() * 0.5, emphasis: { focus: "adjacency" } }],
    });
    chart.on("click", (event) => { if (event.dataType === "edge") go(event.data.link); });
  }
  const kinds = {
    course: (chart, data) => bars(chart, data, (one) => colour(`--sev-${one.name}`)),
    systems: (chart, data) => bars(chart, data, (_, at) => ["#5b8ff9", "#e8a33d", "#5ac8a8", "#b37feb", "#e0699a", "#8bb9e8", "#c9b458", "#7d8ca3", "#9aa5b1"][at]),
    flow,
  };
  function draw() {
    for (const chart of drawn) chart.dispose();
    drawn = [...root.querySelectorAll(".chart")].map((element) => {
      const chart = echarts.init(element, null, { renderer: "canvas" });
      kinds[element.dataset.kind](chart, JSON.parse(element.dataset.chart));
      return chart;
    });
    root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1);
  }
  document.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target === root) draw(); });
  addEventListener("resize", () => { for (const chart of drawn) chart.resize(); });
  draw();
})();
