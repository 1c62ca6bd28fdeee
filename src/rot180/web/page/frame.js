// What stands around every page: light or dark, and the language.

import { forgetColors } from "./colors.js";
import { el } from "./dom.js";
import { speak, t } from "./texts.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

function useTheme() {
  const theme = localStorage.getItem("theme") ?? "auto";
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  forgetColors();
}

/** Begin in the reader's language and colors; `show` draws the page again when the colors change. @param {string} language */
export async function begin(language, show) {
  useTheme();
  dark.addEventListener("change", () => {
    useTheme();
    show();
  });
  await speak(localStorage.getItem("language") ?? language);
}

/**
 * Two lists to choose the language and the colors from.
 * @param {Record<string, string>} languages @param {() => void} show @param {() => void} [spoken] called before `show`
 */
export function choosers(languages, show, spoken = () => {}) {
  const choose = (name, options, chosen, take) =>
    el("select", { "aria-label": t(name), name, onchange: (event) => take(event.target.value) },
      options.map(([code, text]) => el("option", { value: code, selected: code === chosen }, text)));
  return [
    choose("language", Object.entries(languages), document.documentElement.lang, async (code) => {
      localStorage.setItem("language", code);
      await speak(code);
      spoken();
      await show();
    }),
    choose("theme", ["auto", "light", "dark"].map((name) => [name, t(`theme.${name}`)]), localStorage.getItem("theme") ?? "auto", (theme) => {
      localStorage.setItem("theme", theme);
      useTheme();
      show();
    }),
  ];
}
