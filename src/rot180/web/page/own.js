// The image that a person has drawn, changed or brought: bytes, as the network takes them.

/** @type {{ bytes: Uint8Array | null }} it is forgotten when the page is closed */
export const own = { bytes: null };

/** Bytes in base64, as a command holds them. @param {Uint8Array} bytes */
export function base64(bytes) {
  let text = "";
  for (let begin = 0; begin < bytes.length; begin += 8192) text += String.fromCharCode(...bytes.subarray(begin, begin + 8192));
  return btoa(text);
}

/** What names an image in a command: its number, or its pixels. @param {number | null} image */
export function named(image) {
  return image === null ? { pixels: base64(own.bytes) } : { image };
}
