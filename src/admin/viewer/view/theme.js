// Light, dark, or as the system has it; remembered by the browser.

import { byId } from "./dom.js";

const KEY = "pounce.theme";
/** @type {Record<string, { next: string, label: string }>} */
const THEMES = {
  auto: { next: "light", label: "Theme: system" },
  light: { next: "dark", label: "Theme: light" },
  dark: { next: "auto", label: "Theme: dark" },
};

function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "auto";
  } catch {
    return "auto";
  }
}

/** @param {string} theme */
function apply(theme) {
  const known = theme in THEMES ? theme : "auto";
  if (known === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", known);
  byId("theme").textContent = THEMES[known]?.label ?? "";
  return known;
}

export function start() {
  let theme = apply(remembered());
  const next = () => {
    theme = apply(THEMES[theme]?.next ?? "auto");
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // It is not remembered, then.
    }
  };
  byId("theme").addEventListener("click", next);
  return next;
}
