"use strict";
(() => {
  const byId = (id) => document.getElementById(id);

  // Tables: a heading sorts by its column; missing values stay last in either direction.
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => {
        const ascending = heading.getAttribute("aria-sort") !== "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
        const sign = ascending ? 1 : -1;
        const keyed = [...table.tBodies[0].rows].map((row) => {
          const cell = row.cells[column];
          const number = cell.dataset.sort;
          return [row, number === undefined ? cell.textContent : number === "" ? null : Number(number)];
        });
        keyed.sort(([, a], [, b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
        });
        table.tBodies[0].append(...keyed.map(([row]) => row));
      });
    });
  }

  // Paper cannot be unfolded: print everything, and fold up again what was.
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details:not([open])")];
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
  });

  // The browser of pictures.
  const browser = byId("browser");
  if (!browser) return;
  const book = JSON.parse(byId("book").textContent);
  browser.hidden = false;
  const stage = byId("stage");
  const sides = ["left", "right"].map((side) => ({
    layer: byId(`${side}-layer`), tag: byId(`${side}-tag`), arm: byId(`${side}-arm`),
  }));
  const filters = ["detector", "blur", "deblurrer", "effect", "class"].map((key) => ({ key, select: byId(`filter-${key}`) }));
  let shown = [];
  let current = null;

  const option = (text, value) => {
    const element = document.createElement("option");
    element.textContent = text;
    element.value = value;
    return element;
  };

  const truthOf = (example) => book.truths[example.detector][example.picture];
  const classesOf = (example) => {
    const confident = example.arms.flatMap((arm) => arm.boxes.filter((box) => box[5] >= book.confidence));
    return new Set([...truthOf(example).boxes, ...confident].map((box) => book.classes[box[4]]));
  };
  const classSets = new Map(book.examples.map((example) => [example, classesOf(example)]));

  for (const { key, select } of filters) {
    const values = key === "class"
      ? [...new Set([...classSets.values()].flatMap((set) => [...set]))].sort()
      : [...new Set(book.examples.map((example) => example[key]))];
    select.append(option("all", "0"), ...values.map((value, place) => option(value, String(place + 1))));
    select.addEventListener("change", refresh);
    select.values = values;
  }

  function matches(example) {
    return filters.every(({ key, select }) => {
      if (select.value === "0") return true;
      const wanted = select.values[Number(select.value) - 1];
      return key === "class" ? classSets.get(example).has(wanted) : example[key] === wanted;
    });
  }

  function refresh() {
    shown = book.examples.filter(matches);
    const pictures = new Set(shown.map((example) => example.picture)).size;
    byId("count").textContent =
      `${shown.length} of ${book.examples.length} examples, on ${pictures} ${pictures === 1 ? "picture" : "pictures"}`;
    byId("thumbs").replaceChildren(...shown.map(thumb));
    byId("viewer").hidden = shown.length === 0;
    if (shown.length) open(shown.includes(current) ? current : shown[0]);
  }

  function thumb(example) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const image = document.createElement("img");
    const words = document.createElement("span");
    button.type = "button";
    image.alt = "";
    image.loading = "lazy";
    image.src = book.images[example.arms.at(-1).image];
    words.textContent = `${example.effect}, F1 ${example.before.toFixed(2)} → ${example.after.toFixed(2)}`;
    button.setAttribute("aria-label", `${example.picture}: ${words.textContent}, ${example.detector}, ${example.blur}, ${example.deblurrer}`);
    button.append(image, words);
    button.addEventListener("click", () => open(example));
    item.append(button);
    return item;
  }

  function open(example) {
    const names = example.arms.map((arm) => arm.name);
    const kinds = current ? sides.map(({ arm }) => kind(current.arms[Number(arm.value)])) : ["blurred", "restored"];
    current = example;
    sides.forEach(({ arm }, side) => {
      arm.replaceChildren(...names.map((name, place) => option(name, String(place))));
      const same = example.arms.findIndex((candidate) => kind(candidate) === kinds[side]);
      arm.value = String(same >= 0 ? same : Math.max(0, names.length - 2 + side));
    });
    const change = example.effect === "helped" ? "Helped" : "Hurt";
    byId("picture-title").textContent =
      `${change} #${example.rank}: ${example.picture} · ${example.detector} · ${example.blur} · ${example.deblurrer} · F1 ${example.before.toFixed(2)} → ${example.after.toFixed(2)}`;
    [...byId("thumbs").querySelectorAll("button")].forEach((button, place) => {
      button.setAttribute("aria-current", String(shown[place] === example));
    });
    const { width, height } = truthOf(example);
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.style.maxWidth = `calc(75vh * ${width / height})`;
    draw();
  }

  function kind(arm) {
    return arm.name.split(" ")[0];
  }

  function draw() {
    const truth = truthOf(current);
    const confidence = Number(byId("confidence").value);
    byId("confidence-value").textContent = confidence.toFixed(2);
    for (const { layer, tag, arm } of sides) {
      const chosen = current.arms[Number(arm.value)];
      const image = layer.querySelector("img");
      image.src = book.images[chosen.image];
      image.alt = `${current.picture}, ${chosen.name}`;
      const boxes = chosen.boxes.filter((box) => box[5] >= confidence);
      const hits = boxes.filter((box) => fits(box, truth.boxes)).length;
      tag.textContent = `${chosen.name}: ${hits} of ${boxes.length} boxes fit`;
      overlay(layer.querySelector("svg"), truth, boxes);
    }
  }

  function overlay(svg, truth, boxes) {
    svg.setAttribute("viewBox", `0 0 ${truth.width} ${truth.height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.replaceChildren();
    const add = (tag, attributes, text) => {
      const element = document.createElementNS(svg.namespaceURI, tag);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      if (text !== undefined) element.textContent = text;
      svg.append(element);
    };
    const frame = ([x, y, right, bottom], name) => {
      const place = { x, y, width: Math.max(0, right - x), height: Math.max(0, bottom - y) };
      add("rect", { class: `rim ${name}`, ...place });
      add("rect", { class: `box ${name}`, ...place });
    };
    if (byId("show-truth").checked) truth.boxes.forEach((box) => frame(box, "truth"));
    if (!byId("show-boxes").checked) return;
    const size = Math.max(truth.width, truth.height) / 46;
    for (const box of [...boxes].reverse()) {
      const name = fits(box, truth.boxes) ? "hit" : "false";
      frame(box, name);
      if (!byId("show-names").checked) continue;
      const text = `${book.classes[box[4]]} ${box[5].toFixed(2)}`;
      const wide = size * (0.56 * text.length + 0.5);
      const x = Math.max(0, Math.min(box[0], truth.width - wide));
      const y = box[1] >= size * 1.25 ? box[1] - size * 1.25 : Math.max(0, box[1]);
      add("rect", { class: `plate ${name}`, x, y, width: wide, height: size * 1.25 });
      add("text", { class: "name", x: x + size * 0.25, y: y + size * 0.97, "font-size": size, textLength: wide - size * 0.5, lengthAdjust: "spacingAndGlyphs" }, text);
    }
  }

  function fits(box, truths) {
    return truths.some((real) => {
      if (real[4] !== box[4]) return false;
      const wide = Math.min(real[2], box[2]) - Math.max(real[0], box[0]);
      const high = Math.min(real[3], box[3]) - Math.max(real[1], box[1]);
      if (wide <= 0 || high <= 0) return false;
      const area = ([x, y, right, bottom]) => (right - x) * (bottom - y);
      return (wide * high) / (area(real) + area(box) - wide * high) >= 0.5;
    });
  }

  function step(by) {
    if (shown.length) open(shown[(shown.indexOf(current) + by + shown.length) % shown.length]);
  }

  const split = byId("split");
  const divide = () => {
    stage.style.setProperty("--split", `${split.value}%`);
    split.setAttribute("aria-valuetext", `${split.value} % left picture`);
  };
  const drag = (event) => {
    const { left, width } = stage.getBoundingClientRect();
    split.value = String(Math.round((100 * (event.clientX - left)) / width));
    divide();
  };
  stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); drag(event); });
  stage.addEventListener("pointermove", (event) => { if (stage.hasPointerCapture(event.pointerId)) drag(event); });
  split.addEventListener("input", divide);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  const confidence = byId("confidence");
  confidence.min = String(book.lowest);
  confidence.value = String(book.confidence);
  for (const id of ["left-arm", "right-arm", "show-boxes", "show-truth", "show-names"]) byId(id).addEventListener("change", draw);
  confidence.addEventListener("input", draw);
  divide();
  refresh();
})();
