// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system has it, or as the person chose.  No module: it must run before the first paint.
(() => {
  const KEY = "scheme";
  const NAMES = { system: "Colours: system", light: "Colours: light", dark: "Colours: dark" };
  const root = document.documentElement;

  const chosen = () => {
    try {
      const value = localStorage.getItem(KEY) ?? "";
      return value in NAMES ? value : "system";
    } catch {
      return "system"; // storage may be forbidden
    }
  };

  /** @param {string} scheme */
  const apply = (scheme) => {
    if (scheme === "system") delete root.dataset.scheme;
    else root.dataset.scheme = scheme;
  };

  apply(chosen());

  document.addEventListener("DOMContentLoaded", () => {
    const select = document.createElement("select");
    select.className = "scheme";
    select.setAttribute("aria-label", "Colours");
    for (const [value, name] of Object.entries(NAMES)) select.add(new Option(name, value));
    select.value = chosen();
    const show = () => {
      apply(select.value);
      document.dispatchEvent(new Event("schemechange"));
    };
    select.addEventListener("change", () => {
      try {
        if (select.value === "system") localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, select.value);
      } catch {
        // Then the choice holds for this page alone.
      }
      show();
    });
    // Chosen in another tab, or before this page went into the browser's cache of pages.
    const follow = () => {
      if (select.value === chosen()) return;
      select.value = chosen();
      show();
    };
    addEventListener("storage", follow);
    addEventListener("pageshow", follow);
    document.querySelector(".top")?.append(select);
  });
})();
