// Where answers come from: the program that serves the page; or, on a page that was saved as a file, that file.

import { language, t } from "./texts.js";

const file = document.querySelector("#answers");

/** Whether the page was saved, so that nothing but what it holds can be asked. */
export const isSaved = file !== null;

let answers = null;

async function unpack() {
  const bytes = Uint8Array.from(atob(file.textContent.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** As `fetch`. @param {string} path @param {{ method?: string, headers?: Record<string, string>, body?: string }} [options] */
export async function ask(path, options = {}) {
  if (!isSaved) return fetch(path, options);
  answers ??= await unpack();
  const found = answers[`${options.method ?? "GET"} ${path} ${options.body ?? ""}`];
  if (found === undefined) return new Response(JSON.stringify({ error: t("not-saved") }), { status: 404 });
  if (found.bytes !== undefined) return new Response(Uint8Array.from(atob(found.bytes), (letter) => letter.charCodeAt(0)));
  return new Response(JSON.stringify({ ...found.values, ...found.said[language] }));
}
