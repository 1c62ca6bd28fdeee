// Images as a person sees them: gray or in color, without a scale.

import { el } from "./dom.js";

/** Draw one image of a tensor (N, H, W, C) with values in [0, 1]. */
export function picture(canvas, { shape, data }, at) {
  const [, height, width, channels] = shape;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const drawn = context.createImageData(width, height);
  const start = at * height * width * channels;
  for (let pixel = 0; pixel < height * width; pixel++) {
    const of = (channel) => 255 * data[start + pixel * channels + (channels < 3 ? 0 : channel)];
    drawn.data.set([of(0), of(1), of(2), 255], 4 * pixel);
  }
  context.putImageData(drawn, 0, 0);
  return canvas;
}

/** A labeled picture as large as `space` allows. */
export function thumbnail(tensor, at, space, attributes = {}) {
  const canvas = picture(el("canvas", { "aria-hidden": "true", ...attributes }), tensor, at);
  const [, height, width] = tensor.shape;
  const scale = space / Math.max(height, width);
  canvas.style.width = `${Math.round(width * scale)}px`;
  canvas.style.height = `${Math.round(height * scale)}px`;
  return canvas;
}
