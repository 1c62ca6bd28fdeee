// Saving a panel as a picture: SVG, in which maps stay sharp and digits stay text, or PNG.

import { el, svg } from "./dom.js";
import { t } from "./texts.js";

const PANELS = "figure, svg.curve, .ledger, .rivers, article.card, .product, table";
const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font", "text-anchor", "dominant-baseline", "paint-order", "vector-effect"];
const TWICE = 2; // pixels of a PNG for each of the page's

/** A line at the end of a page, with which any of its panels is saved. @param {HTMLElement} main */
export function saving(main) {
  const box = el("select", { id: "panel", onfocus: fill, onpointerdown: fill });
  let panels = null;

  function fill() {
    const found = panelsOf(main);
    if (found.length === panels?.length && found.every((panel, at) => panel === panels[at])) return;
    const chosen = Math.max(box.selectedIndex, 0);
    panels = found;
    box.replaceChildren(...(panels.length ? [] : [el("option", {}, t("save.none"))]), ...panels.map((panel, at) => el("option", { value: at, selected: at === chosen }, `${at + 1}. ${nameOf(panel)}`)));
  }

  async function save(kind) {
    fill();
    const panel = panels[box.selectedIndex];
    if (!panel) return;
    const drawing = drawn(panel);
    const data = kind === "svg" ? new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" }) : await pixels(drawing);
    const link = el("a", { href: URL.createObjectURL(data), download: `rot180-${nameOf(panel).replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60)}.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  fill();
  return el("div", { class: "controls saving small" }, el("label", { for: "panel" }, t("save"), box),
    ["svg", "png"].map((kind) => el("button", { type: "button", onclick: () => save(kind) }, kind.toUpperCase())));
}

/** The outermost panels that are shown. */
function panelsOf(main) {
  return [...main.querySelectorAll(PANELS)].filter((panel) => !panel.parentElement.closest(PANELS) && panel.getBoundingClientRect().width > 0);
}

function nameOf(panel) {
  return panel.querySelector("figcaption, h2, h3")?.firstChild?.textContent.trim() || panel.closest("[aria-label]")?.getAttribute("aria-label") || document.querySelector("#main h1").textContent;
}

/** A panel as SVG: its canvases as images, its SVG as it is, its texts where they stand. @param {Element} panel */
export function drawn(panel) {
  panel.classList.add("whole"); // what is scrolled out of sight, too
  try {
    return draw(panel);
  } finally {
    panel.classList.remove("whole");
  }
}

function draw(panel) {
  const frame = panel.getBoundingClientRect();
  const [width, height] = [Math.ceil(frame.width) + 16, Math.ceil(frame.height) + 16];
  const root = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `-8 -8 ${width} ${height}` },
    svg("rect", { x: -8, y: -8, width, height, fill: getComputedStyle(document.documentElement).backgroundColor }));
  const place = (box) => ({ x: box.left - frame.left, y: box.top - frame.top, width: box.width, height: box.height });

  function visit(node) {
    if (node.nodeType === Node.TEXT_NODE) {
      for (const [text, box] of linesOf(node)) root.append(textOf(text, box, getComputedStyle(node.parentElement), frame));
      return;
    }
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    const style = getComputedStyle(node);
    const box = node.getBoundingClientRect();
    if (style.display === "none" || style.visibility === "hidden" || node.matches(".hidden, [popover], .term")) return;
    if (node.tagName === "CANVAS") {
      if (node.width && node.height) root.append(svg("image", { ...place(box), href: node.toDataURL(), preserveAspectRatio: "none", "image-rendering": "pixelated" }));
    } else if (node.tagName === "svg") {
      root.append(copied(node, place(box)));
    } else if (node.matches("input[type=number]")) {
      root.append(textOf(node.value, { left: box.left + parseFloat(style.paddingLeft), top: box.top, height: box.height }, style, frame));
    } else if (node.matches(".cell")) {
      if (!node.matches(".idle")) root.append(svg("rect", { ...place(box), fill: "none", stroke: style.outlineColor, "stroke-width": 2 }));
    } else {
      if (style.backgroundColor !== "rgba(0, 0, 0, 0)") root.append(svg("rect", { ...place(box), fill: style.backgroundColor }));
      if (node.matches("tr")) root.append(svg("path", { d: `M${box.left - frame.left} ${box.bottom - frame.top}h${box.width}`, stroke: getComputedStyle(node.cells[0] ?? node).borderBottomColor, "stroke-width": 0.5 }));
      for (const child of node.childNodes) visit(child);
    }
  }

  visit(panel);
  return root;
}

/** An SVG with its styles inside, as a file has no style sheet. */
function copied(node, place) {
  const copy = node.cloneNode(true);
  const [from, to] = [node, copy].map((one) => [...one.querySelectorAll("*")]);
  from.forEach((one, at) => {
    const style = getComputedStyle(one);
    for (const name of DRAWN) to[at].style.setProperty(name, style.getPropertyValue(name));
  });
  for (const [name, value] of Object.entries(place)) copy.setAttribute(name, value);
  copy.setAttribute("overflow", "visible");
  return copy;
}

/** The lines into which a text is broken on the page, each with its box. */
function linesOf(node) {
  const range = document.createRange();
  const lines = [];
  for (let at = 0; at < node.length; at++) {
    range.setStart(node, at);
    range.setEnd(node, at + 1);
    const box = range.getClientRects()[0];
    if (!box || !box.width) continue;
    const last = lines.at(-1);
    if (last && Math.abs(last[1].top - box.top) < 2) last[0] += node.data[at];
    else lines.push([node.data[at], box]);
  }
  return lines;
}

function textOf(text, box, style, frame) {
  return svg("text", {
    x: box.left - frame.left, y: box.top - frame.top + box.height * 0.78, fill: style.color, "xml:space": "preserve",
    "font-weight": style.fontWeight, "font-size": style.fontSize, "font-family": style.fontFamily.replaceAll('"', "'"),
  }, text);
}

async function pixels(drawing) {
  const address = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(drawing)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = el("canvas", { width: image.width * TWICE, height: image.height * TWICE });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}
