// What the page knows of the training, from the stream of events.

import { isSaved } from "./source.js";
import { language } from "./texts.js";

/** @typedef {[number, number, number, number, number]} Point batches, loss, correct, images, learning rate */

export class Training {
  constructor() {
    Object.assign(this, { state: "idle", reason: "", step: 0, batches: 0, of_epochs: 0, generation: 0, epochs: [], isConnected: false });
    /** @type {Point[]} */
    this.points = [];
    this.listeners = new Set();
    this.connect();
  }

  /** Listen to the events, in the language of the page; called anew when that changes. */
  connect() {
    if (isSaved) return;
    this.source?.close();
    this.source = new EventSource(`/api/events?language=${language}`);
    this.source.onopen = () => this.told({ isConnected: true });
    this.source.onerror = () => this.told({ isConnected: false });
    this.source.onmessage = ({ data }) => {
      const { points, is_new, ...rest } = JSON.parse(data);
      this.points = is_new ? points : this.points.concat(points);
      this.told({ ...rest, isConnected: true });
    };
  }

  told(news) {
    Object.assign(this, news);
    for (const listener of this.listeners) listener(this);
  }

  /** @param {(training: Training) => void} listener @returns {() => void} stops it */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
