// The frame of all pages: what there is, in which language, light or dark, and whether the program still answers.

import { address, link } from "./address.js";
import { bench } from "./bench.js";
import { biography } from "./biography.js";
import { el } from "./dom.js";
import { begin, choosers } from "./frame.js";
import { journey } from "./journey.js";
import { lab } from "./lab.js";
import { microscope } from "./microscope.js";
import { products } from "./products.js";
import { river } from "./river.js";
import { saving } from "./save.js";
import { get } from "./server.js";
import { isSaved } from "./source.js";
import { count, t } from "./texts.js";
import { time } from "./time.js";
import { goTo, showTour, stops } from "./tour.js";
import { train } from "./train.js";
import { tryIt } from "./try.js";
import { Training } from "./training.js";

const PAGES = { train, journey, microscope, products, river, biography, time, try: tryIt, lab, bench };

// What a page needs besides a network.
const NEEDS = { train: canTrain, biography: canTrain, time: (subject) => canTrain(subject) || subject.beside !== null };

function canTrain({ can_train }) {
  return can_train;
}

function pagesOf(subject) {
  return Object.keys(PAGES).filter((name) => subject.lesson?.includes(name) ?? NEEDS[name]?.(subject) ?? true);
}

const app = { subject: null, training: null };
let leave = () => {};
let shown = 0;

function header(page) {
  const { subject, training } = app;
  const pages = pagesOf(subject);
  const state = el("span", { role: "status" });
  const tell = () => {
    state.className = training.isConnected || isSaved ? "" : "lost";
    const isPreparing = training.state === "running" && !training.points.length;
    state.textContent = t(isSaved ? "lesson" : !training.isConnected ? "connection-lost" : isPreparing ? "state.preparing" : `state.${training.state}`);
  };
  app.stopTelling?.();
  app.stopTelling = training.listen(tell);
  tell();
  document.querySelector("#skip").textContent = t("skip");
  document.querySelector("#header").replaceChildren(
    el("a", { class: "brand", href: link("") }, "rot180"),
    el("nav", { "aria-label": t("pages") }, pages.map((name) => el("a", { href: link(name), "aria-current": name === page ? "page" : null }, t(`page.${name}`)))),
    el("div", { class: "tools" },
      el("span", { class: "name", title: subject.notation }, subject.name), state,
      choosers(subject.languages, show, () => training.connect())));
}

function front(main) {
  const { subject } = app;
  const pages = pagesOf(subject);
  main.replaceChildren(
    el("h1", { tabindex: "-1" }, t("front.title")),
    el("p", {}, t(app.training.step ? "front.in-training" : subject.is_trained ? "front.trained" : "front.untrained", { name: subject.name, updates: count(app.training.step) }), " ", subject.dataset ? t("front.data", { name: subject.dataset }) : t("front.noise")),
    el("p", { class: "number small pale" }, subject.notation),
    el("p", {}, el("button", { type: "button", class: "primary", onclick: () => goTo(subject, 0) }, t("tour.begin", { steps: stops(subject).length }))),
    el("ul", { class: "cards" }, pages.map((name) => el("li", {}, el("a", { class: "card", href: link(name) }, el("h2", {}, t(`page.${name}`)), el("p", { class: "small" }, t(`front.${name}`)))))));
}

async function show() {
  const turn = ++shown;
  leave();
  leave = () => {};
  const main = document.querySelector("#main");
  const { page } = address();
  app.subject = await get("/api/subject");
  if (turn !== shown) return;
  header(page);
  showTour(app.subject);
  document.title = page in PAGES ? `${t(`page.${page}`)} · rot180` : "rot180";
  try {
    if (page in PAGES) {
      leave = (await PAGES[page](main, app)) ?? leave;
      if (turn === shown) main.append(saving(main));
    } else front(main);
  } catch (error) {
    main.replaceChildren(el("h1", {}, t("refused")), el("p", { class: "notice bad" }, error.message));
  }
  document.body.dataset.shown = page || "front";
}

addEventListener("hashchange", async () => {
  delete document.body.dataset.shown;
  await show();
  document.querySelector("#main h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
});
app.subject = await get("/api/subject");
await begin(app.subject.language, show);
app.training = new Training();
await show();
