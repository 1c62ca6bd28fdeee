// Questions to the program that serves the page.

import { ask } from "./source.js";
import { language } from "./texts.js";

/** An answer other than what was asked for; its message is meant for the reader. */
export class Refused extends Error {}

/** @param {string} path @returns {Promise<any>} */
export async function get(path) {
  return read(await ask(path, { headers: { "Accept-Language": language } }));
}

/** @param {string} path @param {object} command @returns {Promise<any>} */
export async function post(path, command) {
  const headers = { "Content-Type": "application/json", "Accept-Language": language };
  return read(await ask(path, { method: "POST", headers, body: JSON.stringify(command) }));
}

/** Send the bytes of a file. @param {string} path @param {Blob} blob @returns {Promise<Response>} */
export async function send(path, blob) {
  const headers = { "Content-Type": "application/octet-stream", "Accept-Language": language };
  const answer = await fetch(path, { method: "POST", headers, body: blob });
  if (!answer.ok) await read(answer);
  return answer;
}

async function read(answer) {
  if (answer.ok) return answer.json();
  const text = await answer.text();
  let reason = text;
  try {
    const told = JSON.parse(text);
    reason = told.error ?? told.failed?.[0]?.error ?? text;
  } catch {
    // a plain text says it as it is
  }
  throw new Refused(reason.trim() || String(answer.status));
}

/** Ask for arrays. @param {string} path */
export async function arrays(path) {
  const answer = await ask(path);
  if (!answer.ok) await read(answer);
  return readArrays(answer);
}

/**
 * Arrays in the safetensors layout: eight bytes of length, a JSON header, the numbers.
 * @typedef {{ shape: number[], data: Float32Array | Float64Array }} Tensor
 * @param {Response} answer @returns {Promise<{ arrays: Record<string, Tensor>, metadata: Record<string, string> }>}
 */
export async function readArrays(answer) {
  const bytes = await answer.arrayBuffer();
  const length = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, length)));
  const { __metadata__: metadata = {}, ...entries } = header;
  const found = {};
  for (const [name, { dtype, shape, data_offsets: [begin, end] }] of Object.entries(entries)) {
    const part = bytes.slice(8 + length + begin, 8 + length + end);
    found[name] = { shape, data: dtype === "F64" ? new Float64Array(part) : new Float32Array(part) };
  }
  return { arrays: found, metadata };
}

/** Remember the newest answers, so that hovering over the same place asks once. @param {number} most */
export function remembering(most, find) {
  const known = new Map();
  return (...what) => {
    const key = what.join(" ");
    const found = known.get(key) ?? find(...what);
    known.delete(key);
    known.set(key, found);
    if (known.size > most) known.delete(known.keys().next().value);
    found.catch(() => known.delete(key));
    return found;
  };
}
