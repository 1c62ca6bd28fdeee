// Time: one image through the training on this page. What would the network have answered then, and when was it decided?

import { address, link, note } from "./address.js";
import { beside } from "./beside.js";
import { el, svg } from "./dom.js";
import { picker } from "./pictures.js";
import { post } from "./server.js";
import { brief, count, t, term } from "./texts.js";

export async function time(main, app) {
  const { subject, training } = app;
  const { values } = address();
  let image = Math.min(Number(values.image) || 0, subject.count - 1);
  let at = null;
  let [replayed, refusal, told] = [null, null, ""];
  const body = el("div", { class: "phase" });
  const other = subject.beside === null ? null : beside(main, app);

  async function look(chosen) {
    image = chosen;
    other?.look(image);
    if (!training.step) {
      body.replaceChildren(el("p", {}, t("time.none"), " ", el("a", { href: link("train") }, t("page.train"))));
      return;
    }
    draw(await post("/api/time", { image }));
  }

  function draw({ steps, probabilities, losses, decided, label }) {
    const last = steps.length - 1;
    const final = probabilities[last].indexOf(Math.max(...probabilities[last]));
    const figure = el("div", {});
    const says = el("p", { class: "number", "aria-live": "polite" });
    const place = el("p", {});
    const slider = el("input", { type: "range", id: "moment", min: 0, max: last, value: Math.min(at ?? last, last), oninput: () => show(Number(slider.value)) });
    const name = (one) => subject.classes[one] ?? one;

    function show(moment) {
      at = moment;
      const row = probabilities[moment];
      const answer = row.indexOf(Math.max(...row));
      says.textContent = t("time.says", { step: count(steps[moment]), answer: name(answer), share: (100 * row[answer]).toFixed(1), loss: brief(losses[moment]) });
      place.replaceChildren(el("a", { href: link("microscope", { image, moment: steps[moment] }) }, t("time.microscope", { step: count(steps[moment]) })));
      figure.replaceChildren(curves(steps, probabilities, label, final, moment, Math.max(main.clientWidth - 48, 280)));
    }

    body.replaceChildren(
      el("p", {}, t(final === label ? "time.decided-right" : "time.decided-wrong", { answer: name(final), label: name(label), step: count(decided) })),
      figure, el("p", { class: "small pale" }, t("time.caption", { label: name(label), answer: name(final) })),
      el("label", { class: "scrub", for: "moment" }, t("time.moment"), slider), says, place);
    show(Math.min(at ?? last, last));
    note("time", { image });
  }

  /** Steps of a run that has ended, again from its checkpoints; and whether the weights came out the same. */
  function replay() {
    replayed = el("div", { "aria-live": "polite" });
    refusal = el("p", { class: "notice bad", hidden: true, role: "alert" });
    const again = async (from) => {
      refusal.hidden = true;
      try {
        await post("/api/train", { command: "replay", from });
        await post("/api/train", { command: "run" });
      } catch (refused) {
        refusal.textContent = refused.message;
        refusal.hidden = false;
      }
    };
    tellReplay();
    return el("section", { class: "phase", "aria-label": t("replay") },
      el("h2", {}, t("replay")), el("p", { class: "small" }, t(subject.checkpoints.length ? "replay.about" : "replay.none"), " ", el("span", { class: "terms" }, term("checkpoint"))),
      el("div", { class: "controls" }, subject.checkpoints.map((from) => el("button", { type: "button", onclick: () => again(from) }, t("replay.from", { step: count(from) })))),
      refusal, replayed);
  }

  function tellReplay() {
    if (!replayed) return;
    const said = [training.replayed_from, training.state, training.compared?.length].join(" ");
    if (said === told) return;
    told = said;
    const { replayed_from: from, compared = [] } = training;
    replayed.replaceChildren(
      from === null || from === undefined ? "" : el("p", {}, t(compared.length ? "replay.done" : "replay.running", { step: count(from) })),
      ...compared.map(({ step, sha256, same }) => el("p", { class: same ? "notice" : "notice bad", "data-same": String(same) },
        t(same ? "replay.same" : "replay.other", { step: count(step) }), " ", el("span", { class: "number small" }, sha256))));
    if (compared.length && training.state === "ended") look(image);
  }

  const { label, strip } = picker(subject, image, look);
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("page.time")),
    el("p", { class: "pale" }, t("time.about"), " ", el("span", { class: "terms" }, term("moment"))),
    el("div", { class: "controls" }, label, el("button", { type: "button", onclick: () => look(image) }, t("look-again"))), strip,
    ...(subject.is_trained && subject.can_train ? [replay()] : []), body, ...(other ? [other.element] : []));
  const stop = training.listen(tellReplay);
  await look(image);
  return stop;
}

/** The probability of each class over the updates: the label's, that of the final answer, and the others in gray. */
function curves(steps, rows, label, final, moment, width) {
  const [height, left] = [240, 48];
  const x = (step) => left + ((width - left - 12) * (step - steps[0])) / Math.max(steps.at(-1) - steps[0], 1);
  const y = (share) => height - 26 - (height - 44) * share;
  const path = (one) => rows.map((row, at) => `${at ? "L" : "M"}${x(steps[at]).toFixed(1)} ${y(row[one]).toFixed(1)}`).join("");
  const classes = rows[0].map((_, one) => one);
  return svg("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("time.picture") },
    [0, 0.5, 1].map((share) => [
      svg("line", { class: "axis", x1: left, x2: width - 12, y1: y(share), y2: y(share) }),
      svg("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" }, `${100 * share}%`),
    ]),
    classes.filter((one) => one !== label && one !== final).map((one) => svg("path", { class: "other", d: path(one) })),
    final === label ? null : svg("path", { class: "wrong", d: path(final) }),
    svg("path", { class: "loss", d: path(label) }),
    svg("line", { class: "now", x1: x(steps[moment]), x2: x(steps[moment]), y1: 10, y2: height - 26 }),
    svg("text", { x: left, y: height - 8 }, count(steps[0])), svg("text", { x: width - 12, y: height - 8, "text-anchor": "end" }, t("time.updates", { count: count(steps.at(-1)) })));
}
