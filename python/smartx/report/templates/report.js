"use strict";
// Searches, sorts and draws. Everything that names or rows hold is set as text, never as markup.
(function () {
  const told = JSON.parse(document.getElementById("told").textContent);
  const tasks = told.tasks, count = tasks.name.length, total = Math.max(1, told.total);
  const SVG = "http://www.w3.org/2000/svg";
  const FIRST = 25, STEP = 100;
  const at = tasks.at ? places(tasks.at) : null;
  const find = (id) => document.getElementById(id);
  const search = find("search"), given = find("given"), body = find("tasks"), more = find("more");
  const share = (i) => tasks.rows[i] / total;
  const part = (i) => tasks.capacity[i] / Math.max(1, told.held);
  const ratio = (i) => part(i) ? share(i) / part(i) : 0;
  const widest = Math.max(...tasks.name.map((_, i) => Math.max(share(i), part(i), tasks.equal[i] / total)), 1e-9);
  const values = {
    name: (i) => tasks.name[i].toLowerCase(), rows: (i) => tasks.rows[i], share: share, proportional: part,
    equal: (i) => tasks.equal[i], ratio: ratio, used: (i) => tasks.rows[i] / Math.max(1, tasks.capacity[i]),
    held: (i) => tasks.held && tasks.held[i] !== null ? tasks.held[i] : -1,
    tokens: (i) => tasks.tokens && tasks.rows[i] ? tasks.tokens[i] / tasks.rows[i] : -1,
    gain: (i) => tasks.gain && tasks.gain[i] !== null ? tasks.gain[i] : -Infinity,
  };
  const names = tasks.name.map((name, i) => (name + " " + tasks.source[i]).toLowerCase());
  const sources = new Set(tasks.source).size > 1;
  const state = { by: "rows", down: true, shown: FIRST, chosen: -1 };

  function whole(value) { return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ","); }
  function rows(value) { return whole(value) + (value === 1 ? " row" : " rows"); }
  function percent(value) {
    const p = 100 * value;
    return (p >= 10 || p === 0 ? p.toFixed(0) : p >= 1 ? p.toFixed(1) : p.toFixed(2)) + "\u00a0%";
  }
  function times(value) { return (value < 1 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)) + " ×"; }
  function few(value) { return value === null ? "–" : String(Number(value.toPrecision(4))); }
  function make(kind, text, kindOf) {
    const element = document.createElement(kind);
    if (text !== undefined) element.textContent = text;
    if (kindOf) element.className = kindOf;
    return element;
  }
  function name(text) { return make("bdi", text); }

  // The table.
  function order() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const value = values[state.by], way = state.down ? -1 : 1;
    const found = [];
    for (let i = 0; i < count; i++)
      if (words.every((word) => names[i].includes(word)) && (!given.checked || tasks.rows[i])) found.push(i);
    return found.sort((a, b) => { const x = value(a), y = value(b); return x < y ? -way : x > y ? way : a - b; });
  }
  function bar(i) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 18");
    svg.setAttribute("preserveAspectRatio", "none");
    for (const [kind, x, wide, y, high] of [["bar", 0, share(i), 3, 12], ["mark", part(i), 0, 0, 18], ["tick", tasks.equal[i] / total, 0, 0, 18]]) {
      const box = document.createElementNS(SVG, "rect");
      box.setAttribute("class", kind);
      box.setAttribute("x", (99 * x / widest).toFixed(2));
      box.setAttribute("y", y);
      box.setAttribute("height", high);
      box.setAttribute("width", wide || kind === "bar" ? (99 * wide / widest).toFixed(2) : 0.8);
      svg.append(box);
    }
    return svg;
  }
  function line(i) {
    const row = make("tr", undefined, (tasks.rows[i] ? "" : "none ") + (i === state.chosen ? "chosen" : ""));
    const first = make("td", undefined, "name"), button = make("button");
    button.type = "button";
    button.append(name(tasks.name[i] || "(no name)"));
    button.addEventListener("click", () => choose(i, true));
    first.title = tasks.name[i];
    first.append(button);
    if (sources) {
      const small = make("small");
      small.append(name(tasks.source[i]));
      first.append(small);
    }
    const picture = make("td", undefined, "bars");
    picture.append(bar(i));
    row.append(first, picture, make("td", whole(tasks.rows[i])), make("td", percent(share(i))),
      make("td", percent(part(i)), "less"), make("td", percent(tasks.equal[i] / total), "less"),
      make("td", tasks.rows[i] ? times(ratio(i)) : "–"), make("td", percent(values.used(i)), "less"));
    if (tasks.held) row.append(make("td", tasks.held[i] === null ? "–" : percent(tasks.held[i]), "less"));
    if (tasks.tokens) row.append(make("td", tasks.rows[i] ? whole(values.tokens(i)) : "–", "less"));
    if (tasks.gain) row.append(make("td", few(tasks.gain[i]), "less"));
    return row;
  }
  function table() {
    const found = order();
    body.replaceChildren(...found.slice(0, state.shown).map(line));
    more.hidden = found.length <= state.shown;
    more.textContent = "show " + whole(Math.min(STEP, found.length - state.shown)) + " more of " + whole(found.length);
    find("found").textContent = whole(found.length) + (found.length === 1 ? " task" : " tasks");
    for (const head of document.querySelectorAll("th[data-by]"))
      head.setAttribute("aria-sort", head.dataset.by !== state.by ? "none" : state.down ? "descending" : "ascending");
  }
  function again() { state.shown = FIRST; table(); }
  search.addEventListener("input", again);
  given.addEventListener("change", again);
  more.addEventListener("click", () => { state.shown += STEP; table(); });
  for (const head of document.querySelectorAll("th[data-by]"))
    head.firstElementChild.addEventListener("click", () => {
      state.down = head.dataset.by === state.by ? !state.down : head.dataset.by !== "name";
      state.by = head.dataset.by;
      again();
    });
  find("csv").addEventListener("click", () => {
    // A cell that a spreadsheet would take for a formula is marked as text.
    const cell = (value) => {
      let text = String(value);
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
      return /[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
    };
    const lines = ["source,task,rows,rows in the corpus,share,proportional share,equal share"];
    for (const i of order())
      lines.push([tasks.source[i], tasks.name[i], tasks.rows[i], tasks.capacity[i], share(i), part(i), tasks.equal[i] / total].map(cell).join(","));
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
    link.download = "tasks.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // Maps.
  function places(text) {
    const bytes = atob(text), found = new Uint16Array(2 * bytes.length / 3);
    for (let i = 0, j = 0; i < bytes.length; i += 3, j += 2) {
      const a = bytes.charCodeAt(i), b = bytes.charCodeAt(i + 1), c = bytes.charCodeAt(i + 2);
      found[j] = a << 4 | b >> 4;
      found[j + 1] = (b & 15) << 8 | c;
    }
    return found;
  }
  function field(canvas, tip, edge, dots, words, click) {
    // edge: room around what is drawn, for the largest dot.  dots(): [x, y, radius, colour, opacity, ring] of places 0..4095, those behind first.
    let drawn = [];
    function draw() {
      const wide = canvas.clientWidth, high = canvas.clientHeight, dense = window.devicePixelRatio || 1;
      if (!wide) return;
      canvas.width = wide * dense;
      canvas.height = high * dense;
      const pen = canvas.getContext("2d"), side = Math.min(wide, high) - 2 * edge;
      pen.scale(dense, dense);
      const style = getComputedStyle(document.documentElement);
      drawn = dots().map(([x, y, r, colour, opacity, ring]) => [wide / 2 + (x / 4095 - .5) * side, high / 2 - (y / 4095 - .5) * side, r, colour, opacity, ring]);
      for (const [x, y, r, colour, opacity, ring] of drawn) {
        pen.globalAlpha = opacity;
        pen.fillStyle = style.getPropertyValue(colour);
        pen.beginPath();
        pen.arc(x, y, r, 0, 2 * Math.PI);
        pen.fill();
        if (!ring) continue;
        pen.globalAlpha = 1;
        pen.lineWidth = 2.5;
        pen.strokeStyle = style.getPropertyValue("--ink");
        pen.stroke();
      }
    }
    function nearest(event) {
      const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = -1, least = 18;
      drawn.forEach((dot, i) => {
        const far = Math.hypot(dot[0] - x, dot[1] - y) - dot[2];
        if (far < least) { least = far; best = i; }
      });
      return best;
    }
    canvas.addEventListener("pointermove", (event) => {
      const i = nearest(event), text = i < 0 ? "" : words(i);
      tip.hidden = !text;
      if (!text) return;
      tip.textContent = text;
      const left = drawn[i][0] > canvas.clientWidth / 2;
      tip.style.left = left ? "auto" : drawn[i][0] + 10 + "px";
      tip.style.right = left ? canvas.clientWidth - drawn[i][0] + 10 + "px" : "auto";
      tip.style.top = Math.max(0, drawn[i][1] - 14) + "px";
    });
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    canvas.addEventListener("click", (event) => { const i = nearest(event); if (i >= 0 && click) click(i); });
    new ResizeObserver(draw).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    return draw;
  }
  let drawTasks = () => {}, drawRows = () => {};
  if (at) {
    const behind = tasks.name.map((_, i) => i).sort((a, b) => tasks.rows[b] - tasks.rows[a]);
    const most = Math.max(1, ...tasks.rows);
    const wide = Math.min(20, Math.max(4, 160 / Math.sqrt(count)));
    drawTasks = field(find("map"), find("map-tip"), wide + 6, () => behind.map((i) => [
      at[2 * i], at[2 * i + 1], tasks.rows[i] ? 2.5 + wide * Math.sqrt(tasks.rows[i] / most) : 2,
      !tasks.rows[i] ? "--pale" : ratio(i) >= 1 ? "--mark" : "--main", tasks.rows[i] ? .5 : .8, i === state.chosen,
    ]), (k) => tasks.name[behind[k]] + ": " + whole(tasks.rows[behind[k]]) + " of " + whole(tasks.capacity[behind[k]]) + " rows", (k) => choose(behind[k], false));
    drawRows = field(find("rows"), find("rows-tip"), 14, () => {
      if (state.chosen < 0) return [];
      const own = places(tasks.points[state.chosen]), all = own.length / 2, others = all - tasks.picked[state.chosen];
      const size = all > 400 ? 2 : 3;
      return Array.from({ length: all }, (_, k) => [own[2 * k], own[2 * k + 1], k < others ? size : size + 1, k < others ? "--pale" : "--main", k < others ? .8 : .75]);
    }, (k) => k < places(tasks.points[state.chosen]).length / 2 - tasks.picked[state.chosen] ? "not in the mixture" : "in the mixture");
  }

  // One task.
  function why(i) {
    const said = [], unit = told.unit, one = tasks.capacity[i] === 1, free = tasks.capacity[i] - tasks.near[i] - tasks.out[i];
    said.push((one ? "Its only row is " + (tasks.rows[i] ? "" : "not ") : whole(tasks.rows[i]) + " of its " + whole(tasks.capacity[i]) + " rows are ") + "in the mixture: " + percent(share(i)) + " of it. In proportion to its size it would have " + percent(part(i)) + ", with equal shares " + percent(tasks.equal[i] / total) + ".");
    if (unit === "rows" && tasks.asked[i] > tasks.rows[i])
      said.push("The weights asked for " + rows(tasks.asked[i]) + "; what was not to be had, or was capped, went to other tasks.");
    else if (unit === "rows" && tasks.asked[i] < tasks.rows[i])
      said.push("The weights asked for " + rows(tasks.asked[i]) + "; the others are what other tasks could not give, or what was demanded.");
    if (tasks.rows[i] >= free && tasks.rows[i]) said.push("It is used up.");
    if (tasks.held && tasks.held[i] !== null) said.push("To the ranking they are worth " + percent(tasks.held[i]) + " of what all its rows are.");
    for (const [column, words] of [["near", ["is a near duplicate of another and stays out", "are near duplicates of others and stay out"]], ["out", ["stands in an evaluation set or was trained on before", "stand in evaluation sets or were trained on before"]], ["cut", ["is longer than the encoder reads", "are longer than the encoder reads"]], ["shared", ["has the very vector of another one", "have the very vector of another one"]]])
      if (tasks[column][i]) said.push(whole(tasks[column][i]) + " of its rows " + words[tasks[column][i] === 1 ? 0 : 1] + ".");
    return said;
  }
  function sample(one) {
    const [kind, rank, gain, prompt, response, cosine] = one, box = make("div", undefined, "sample");
    box.append(make("span", kind, kind === "picked" ? "tag on" : "tag"));
    box.append(make("span", "rank " + whole(rank) + (gain === null ? "" : ", gain " + few(gain)) + (cosine === null ? "" : ", cosine " + cosine.toFixed(2) + " with the nearest picked row"), "soft"));
    for (const text of [prompt, response]) {
      const block = make("pre", text);
      block.dir = "auto";
      box.append(block);
    }
    return box;
  }
  function choose(i, scroll) {
    state.chosen = i;
    find("task-name").replaceChildren(name(tasks.name[i] || "(no name)"));
    find("why").replaceChildren(...why(i).map((text) => make("p", text)));
    if (tasks.points) {
      const all = places(tasks.points[i]).length / 2, on = tasks.picked[i];
      find("of-rows").hidden = all < 2;
      find("rows-count").textContent = "Shown: " + whole(on) + " of " + whole(tasks.rows[i]) + " rows of the mixture and " + whole(all - on) + " of " + whole(tasks.capacity[i] - tasks.rows[i]) + " others.";
    }
    const templates = tasks.templates[i].filter((one) => one[0]);
    find("templates").replaceChildren(...templates.map(([text, rows, held]) => {
      const row = make("tr"), first = make("td");
      first.append(name(text));
      row.append(first, make("td", whole(rows)), make("td", whole(held)));
      return row;
    }));
    find("of-templates").hidden = !templates.length;
    if (tasks.examples) {
      find("examples").replaceChildren(...tasks.examples[i].map(sample));
      find("about-ranks").hidden = !tasks.examples[i].length;
    }
    find("panel").hidden = false;
    table();
    drawTasks();
    drawRows();
    if (scroll) find("panel").scrollIntoView({ block: "start" });
  }

  for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
  table();
  // First a task of which rows were taken and others passed over.
  if (count) choose(Math.max(0, tasks.rows.findIndex((rows, i) => rows && 2 * rows < tasks.capacity[i])), false);
})();
