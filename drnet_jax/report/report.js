// Shows swaps beside their sources, plays rollouts, and says which boxes scroll.
// Without it, the page has the same pictures, which then stand still.
"use strict";

const numbers = (text) => text.split(" ").map(Number);

// Draws a square part of a picture, its top left corner at (x, y), over the whole canvas.
function crop(canvas, image, x, y, side) {
  canvas.width = canvas.height = side;
  canvas.getContext("2d").drawImage(image, x, y, side, side, 0, 0, side, side);
}

function inspectSwaps(figure) {
  const image = figure.querySelector("img");
  const side = Number(figure.dataset.side);
  const [lefts, tops] = [numbers(figure.dataset.lefts), numbers(figure.dataset.tops)];
  const panel = figure.querySelector(".sources");
  const [content, pose, swap] = panel.querySelectorAll("canvas");
  const cells = new Map();

  const show = (row, column) => {
    crop(content, image, lefts[0], tops[row], side);
    crop(pose, image, lefts[column], tops[0], side);
    crop(swap, image, lefts[column], tops[row], side);
    panel.querySelector("output").textContent = `Content ${row}, pose ${column}`;
    cells.forEach((cell, key) => {
      const chosen = key === `${row} ${column}`;
      cell.tabIndex = chosen ? 0 : -1; // The Tab key stops at the grid once.
      cell.classList.toggle("chosen", chosen);
    });
  };

  const move = (event, row, column) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const [down, right] = by[event.key] ?? [0, 0];
    const next = cells.get(`${row + down} ${column + right}`);
    if (!(event.key in by)) return;
    event.preventDefault(); // The page would scroll.
    next?.focus();
  };

  for (let row = 1; row !== tops.length; row++) {
    for (let column = 1; column !== lefts.length; column++) {
      const cell = document.createElement("button");
      cell.type = "button";
      cell.ariaLabel = `Content ${row} with pose ${column}`;
      cell.style.left = `${(100 * lefts[column]) / image.naturalWidth}%`;
      cell.style.top = `${(100 * tops[row]) / image.naturalHeight}%`;
      cell.style.width = `${(100 * side) / image.naturalWidth}%`;
      cell.style.height = `${(100 * side) / image.naturalHeight}%`;
      for (const event of ["focus", "pointerenter", "click"]) {
        cell.addEventListener(event, () => show(row, column));
      }
      cell.addEventListener("keydown", (event) => move(event, row, column));
      cells.set(`${row} ${column}`, cell);
      image.parentElement.append(cell);
    }
  }
  show(1, 1);
  panel.hidden = false;
}

function playRollout(figure) {
  const sheet = figure.querySelector("img");
  const player = figure.querySelector(".player");
  const [button, slider, time] = ["button", "input", ".time"].map((s) => player.querySelector(s));
  const [side, clips, columns, observed, last, scale] = numbers(figure.dataset.sheet);
  const steps = numbers(figure.dataset.steps);
  const border = 2;
  const stride = side * scale + 4 * border;
  let timer = null;

  const show = (index) => {
    const kind = observed >= steps[index] ? "observed" : "generated";
    const color = getComputedStyle(player).getPropertyValue(`--${kind}`);
    const [left, top] = [(index % columns) * clips * side, Math.floor(index / columns) * 2 * side];
    player.querySelectorAll("canvas").forEach((canvas, row) => {
      canvas.width = clips * stride;
      canvas.height = side * scale + 2 * border;
      const pen = canvas.getContext("2d");
      pen.imageSmoothingEnabled = false;
      for (let clip = 0; clip !== clips; clip++) {
        const x = clip * stride + border;
        const size = side * scale;
        pen.fillStyle = color;
        if (row === 1) pen.fillRect(x - border, 0, size + 2 * border, size + 2 * border);
        const [fromX, fromY] = [left + clip * side, top + row * side];
        pen.drawImage(sheet, fromX, fromY, side, side, x, border, size, size);
      }
    });
    slider.value = index;
    time.textContent = `t = ${steps[index]} of ${last}, ${kind}`;
    time.style.color = color;
    slider.setAttribute("aria-valuetext", time.textContent);
  };

  const pause = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  };
  const play = () => {
    const next = () => show((Number(slider.value) + 1) % steps.length);
    timer = setInterval(next, 1000 / Number(figure.dataset.fps));
    button.textContent = "Pause";
  };

  slider.max = steps.length - 1;
  button.addEventListener("click", () => (timer === null ? play() : pause()));
  slider.addEventListener("input", () => {
    pause();
    show(Number(slider.value));
  });
  show(0);
  player.hidden = false;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) play();
}

function sayWhatScrolls(box) {
  const look = () => box.toggleAttribute("data-scrolls", box.scrollWidth > box.clientWidth + 1);
  new ResizeObserver(look).observe(box);
}

const whenDrawn = (figure, start) =>
  figure.querySelector("img").decode().then(() => start(figure));
document.querySelectorAll("[data-lefts]").forEach((figure) => whenDrawn(figure, inspectSwaps));
document.querySelectorAll("[data-sheet]").forEach((figure) => whenDrawn(figure, playRollout));
document.querySelectorAll(".wide").forEach(sayWhatScrolls);
