// The river of gradients: delta from the loss down to the image. The band's width is its norm; what gates and pools keep
// back is told beside it.

import { address, link, note } from "./address.js";
import { el, svg } from "./dom.js";
import { picker } from "./pictures.js";
import { post } from "./server.js";
import { brief, count, t, term } from "./texts.js";

export async function river(main, app) {
  const { subject } = app;
  let image = Math.min(Number(address().values.image) || 0, subject.count - 1);
  const body = el("div", {});
  const says = el("p", {});

  async function look(chosen) {
    image = chosen;
    const { pass, loss } = await post("/api/pass", { image });
    const { beds } = await post("/api/river", { pass });
    note("river", { image });
    const [first, last] = [beds.at(-1), beds[0]];
    says.textContent = t("river.says", { loss: brief(loss), last: last.layer, from: brief(last.delta), first: first.layer, to: brief(first.delta) });
    body.replaceChildren(draw(beds, image));
  }

  const { label, strip } = picker(subject, image, look);
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.river")),
    el("p", { class: "pale" }, t("river.about"), " ", el("span", { class: "terms" }, term("delta"), term("norm"), term("winner"))),
    el("div", { class: "controls" }, label), strip, says, body);
  await look(image);
}

function draw(beds, image) {
  const narrow = innerWidth < 640;
  const width = narrow ? 110 : 320;
  const high = narrow ? 76 : 48;
  const height = beds.length * high;
  const norms = beds.flatMap(({ delta, passed }) => [delta, passed]);
  const largest = Math.max(...norms, 0) || 1;
  const half = (norm) => (norm > 0 ? Math.max((width / 2 - 4) * Math.sqrt(norm / largest), 0.75) : 0);
  const band = beds.map(({ delta, passed }, at) => {
    const [top, bottom, middle] = [at * high, (at + 1) * high, width / 2];
    const [wide, thin] = [half(delta), half(passed)];
    return svg("path", {
      class: "flow",
      d: `M${middle - wide} ${top}L${middle + wide} ${top}L${middle + wide} ${top + high * 0.45}L${middle + thin} ${bottom - 4}L${middle + thin} ${bottom}L${middle - thin} ${bottom}L${middle - thin} ${bottom - 4}L${middle - wide} ${top + high * 0.45}z`,
    });
  });
  const picture = svg("svg", { class: "river", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, band);
  const rows = beds.map(({ layer, kind, delta, passed, closed, maps, dry }) => {
    const facts = [
      closed > 0 ? t(kind.includes("Pool") ? "river.lost" : "river.closed", { share: Math.round(100 * closed) }) : null,
      dry ? t("river.dry", { dry: count(dry), maps: count(maps) }) : null,
    ].filter(Boolean);
    const row = el("li", {},
      el("a", { href: link("microscope", { image, layer, view: "backward" }) }, layer), " ",
      el("span", { class: "number small pale" }, t("river.norms", { delta: brief(delta), passed: brief(passed) })),
      el("span", { class: "small facts" }, facts.join("; ")));
    row.style.height = `${high}px`;
    return row;
  });
  return el("div", { class: "rivers" }, picture, el("ol", { "aria-label": t("page.river") }, rows));
}
