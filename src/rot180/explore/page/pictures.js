// A strip of images to choose from.

import { el } from "./dom.js";
import { thumbnail } from "./picture.js";
import { arrays, remembering } from "./server.js";
import { t } from "./texts.js";

const AT_ONCE = 24;

const load = remembering(20, async (first) => {
  const { arrays: { images }, metadata } = await arrays(`/api/images/${first}`);
  return { images, labels: JSON.parse(metadata.labels) };
});

/**
 * A number to type, and the images around it to click.
 * @param {any} subject @param {number | null} image null for one's own @param {(image: number) => void} choose
 */
export function picker(subject, image, choose) {
  const last = subject.count - 1;
  const box = el("input", { type: "number", id: "image", min: 0, max: last, value: image ?? "", onchange: () => take(Number(box.value)) });
  const strip = el("div", { class: "strip", role: "group", "aria-label": t("images") });
  let shown = -1;

  function take(number) {
    const chosen = Math.min(Math.max(Math.trunc(number) || 0, 0), last);
    box.value = chosen;
    draw(chosen);
    choose(chosen);
  }

  async function draw(chosen) {
    const first = Math.floor(chosen / AT_ONCE) * AT_ONCE;
    if (first !== shown) {
      shown = first;
      const { images, labels } = await load(first);
      if (shown !== first) return;
      strip.replaceChildren(...labels.map((label, at) => el("button", {
        type: "button", class: "thumbnail", "data-image": first + at, onclick: () => take(first + at),
        "aria-label": t("image-says", { image: first + at, label: subject.classes[label] ?? label }),
      }, thumbnail(images, at, 32))));
    }
    for (const button of strip.children) button.setAttribute("aria-pressed", String(button.dataset.image === box.value));
  }

  draw(image ?? 0);
  return { label: el("label", { for: "image" }, t(`image.${subject.part}`), box), strip };
}
