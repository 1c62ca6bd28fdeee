// The address holds what is shown: #/microscope?image=7&layer=conv1&cell=...

/** @returns {{ page: string, values: Record<string, string> }} */
export function address() {
  const [page, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page, values: Object.fromEntries(new URLSearchParams(query)) };
}

/** @param {string} page @param {Record<string, any>} [values] */
export function link(page, values = {}) {
  const kept = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
  return `#/${page}${query ? `?${query}` : ""}`;
}

/** Change the address without going anywhere. @param {string} page @param {Record<string, any>} values */
export function note(page, values) {
  history.replaceState(null, "", link(page, values));
}
