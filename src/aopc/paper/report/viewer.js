// The viewer: an image whose regions are replaced one by one, and the class score that follows.
(function () {
  "use strict";
  const root = document.getElementById("viewer");
  if (!root) return;
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const find = (name) => root.querySelector("[data-viewer=" + name + "]");
  const panelBox = find("panel"), imageBox = find("image"), explainerBox = find("explainer");
  const slider = find("step"), canvas = find("perturbed"), heatmap = find("heatmap");
  const plot = find("plot"), said = find("said"), play = find("play");
  const NS = "http://www.w3.org/2000/svg";
  const LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 40;
  let W = 640, H = 300;
  let panel, image, explainer, ranks, original, noise, marker, guide, timer = null, ticket = 0;

  function fill(box, items) {
    box.replaceChildren(...items.map(([value, text]) => {
      const option = document.createElement("option");
      option.value = value;
      option.textContent = text;
      return option;
    }));
  }

  function decodeRanks(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] + 256 * bytes[2 * i + 1]);
  }

  function pixelsOf(address) {
    return new Promise((resolve) => {
      const picture = new Image();
      picture.onload = () => {
        const board = document.createElement("canvas");
        board.width = panel.width;
        board.height = panel.height;
        const context = board.getContext("2d", { willReadFrequently: true });
        context.drawImage(picture, 0, 0);
        resolve(context.getImageData(0, 0, panel.width, panel.height));
      };
      picture.src = address;
    });
  }

  function element(name, attributes, text) {
    const node = document.createElementNS(NS, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  let low = 0, high = 1;
  const x = (step) => LEFT + (W - LEFT - RIGHT) * step / panel.steps;
  const y = (value) => TOP + (H - TOP - BOTTOM) * (high - value) / (high - low);
  const line = (curve) => curve.map((v, k) => (k ? "L" : "M") + x(k).toFixed(1) + " " + y(v).toFixed(1)).join("");

  function drawPlot() {
    // One unit is one pixel, so that text keeps its size on a phone.
    W = Math.max(280, plot.parentElement.clientWidth - 34 > 700 ? 700 : plot.parentElement.clientWidth - 34);
    H = Math.max(230, Math.round(W * 0.45));
    plot.setAttribute("viewBox", "0 0 " + W + " " + H);
    const all = image.explainers.flatMap((e) => e.curve);
    low = Math.min(...all);
    high = Math.max(...all);
    const room = (high - low || 1) * 0.05;
    low -= room;
    high += room;
    plot.replaceChildren();
    for (let i = 0; i <= 4; i++) {
      const value = low + (high - low) * i / 4;
      plot.append(element("line", { x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
      plot.append(element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(1)));
      const step = Math.round(panel.steps * i / 4);
      plot.append(element("text", { x: x(step), y: H - BOTTOM + 16, "text-anchor": "middle" }, step));
    }
    plot.append(element("text", { x: (LEFT + W - RIGHT) / 2, y: H - 6, "text-anchor": "middle" }, "regions replaced, k"));
    plot.append(element("text", { x: 12, y: (TOP + H - BOTTOM) / 2, "text-anchor": "middle",
      transform: "rotate(-90 12 " + (TOP + H - BOTTOM) / 2 + ")" }, "class score f"));
    for (const other of image.explainers) {
      if (other !== explainer) {
        plot.append(element("path", { d: line(other.curve), class: other.name === "random" ? "other random" : "other" }));
      }
    }
    plot.append(element("path", { d: line(explainer.curve), class: "own", stroke: panel.colours[explainer.name] }));
    guide = element("line", { y1: TOP, y2: H - BOTTOM, class: "guide" });
    marker = element("circle", { r: 6, class: "marker", fill: panel.colours[explainer.name] });
    plot.append(guide, marker);
  }

  function drawStep() {
    const step = Number(slider.value), result = new ImageData(panel.width, panel.height);
    const to = new Uint32Array(result.data.buffer);
    const from = new Uint32Array(original.data.buffer), other = new Uint32Array(noise.data.buffer);
    for (let row = 0, i = 0; row < panel.height; row++) {
      const start = Math.floor(row / panel.region) * panel.columns;
      for (let column = 0; column < panel.width; column++, i++) {
        to[i] = ranks[start + Math.floor(column / panel.region)] < step ? other[i] : from[i];
      }
    }
    canvas.getContext("2d").putImageData(result, 0, 0);
    const value = explainer.curve[step];
    for (const [key, number] of [["x1", x(step)], ["x2", x(step)]]) guide.setAttribute(key, number);
    marker.setAttribute("cx", x(step));
    marker.setAttribute("cy", y(value));
    const drop = explainer.curve[0] - value;
    said.textContent = "k = " + step + " of " + panel.steps + " regions: f = " + value.toFixed(2) +
      ", " + Math.abs(drop).toFixed(2) + (drop < 0 ? " above" : " below") + " the whole image";
    slider.setAttribute("aria-valuetext", said.textContent);
  }

  async function show() {
    const mine = ++ticket;
    image = panel.images[Number(imageBox.value)];
    const before = explainerBox.value;
    fill(explainerBox, image.explainers.map((e) => [e.name, panel.labels[e.name]]));
    if (image.explainers.some((e) => e.name === before)) explainerBox.value = before;
    explainer = image.explainers.find((e) => e.name === explainerBox.value) || image.explainers[0];
    const loaded = await Promise.all([pixelsOf(image.image), pixelsOf(image.noise)]);
    if (mine !== ticket) return; // another choice was made meanwhile
    [original, noise] = loaded;
    ranks = decodeRanks(explainer.ranks);
    heatmap.hidden = !explainer.heatmap;
    if (explainer.heatmap) heatmap.src = explainer.heatmap;
    const label = panel.labels[explainer.name];
    heatmap.alt = "Heatmap of " + label + " for the class " + image.class;
    canvas.setAttribute("aria-label", "The image " + image.id + " with regions replaced in the order of " + label);
    drawPlot();
    drawStep();
    root.dataset.ready = image.id + " " + explainer.name;
  }

  function choosePanel() {
    panel = data[Number(panelBox.value)];
    canvas.width = panel.width;
    canvas.height = panel.height;
    slider.max = panel.steps;
    slider.value = Math.min(Number(slider.value), panel.steps);
    fill(imageBox, panel.images.map((entry, i) => [i, entry.class + " (" + entry.id + ")"]));
    return show();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) >= panel.steps) slider.value = 0;
    play.textContent = "Pause";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      drawStep();
      if (Number(slider.value) >= panel.steps) stop();
    }, 120);
  });
  slider.addEventListener("input", drawStep);
  panelBox.addEventListener("change", choosePanel);
  imageBox.addEventListener("change", show);
  explainerBox.addEventListener("change", show);
  fill(panelBox, data.map((entry, i) => [i, entry.title]));
  window.addEventListener("resize", () => {
    if (!marker) return;
    drawPlot();
    drawStep();
  });
  choosePanel().then(() => {
    // The claim is on LRP; start there where it is.
    if ("lrp-alpha2-beta1" in panel.labels) {
      explainerBox.value = "lrp-alpha2-beta1";
      show();
    }
  });
})();
