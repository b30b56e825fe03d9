"use strict";
// Everything works without this file. It searches while you type, and reads again what changes while training.
(() => {
  const LIVE_MS = 2000;
  const form = document.getElementById("search");
  let asked = 0;

  const fetched = async (address) => {
    const answer = await fetch(address, { credentials: "same-origin" });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  };

  const address = () => {
    const values = new URLSearchParams(new FormData(form));
    for (const [name, value] of [...values]) if (!value) values.delete(name);
    const page = new URLSearchParams(location.search).get("page");
    return { text: "/?" + values, page };
  };

  const replaceRows = (page) => {
    const rows = document.getElementById("rows"), fresh = page && page.getElementById("rows");
    if (!rows || !fresh) return;
    const ticked = new Set([...rows.querySelectorAll("input:checked")].map((box) => box.value));
    const focused = rows.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && (focused.value ? `[value="${CSS.escape(focused.value)}"]` : `[href="${CSS.escape(focused.getAttribute("href") || "")}"]`);
    for (const box of fresh.querySelectorAll("input")) box.checked = ticked.has(box.value);
    rows.replaceWith(fresh);
    if (key) fresh.querySelector(key)?.focus();
  };

  const search = async () => {
    const number = ++asked, to = address().text;
    const page = await fetched(to);
    if (number !== asked) return;
    history.replaceState(null, "", to);
    replaceRows(page);
  };

  if (form) {
    let waiting;
    form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 200); });
    form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(waiting); search(); });
  }

  setInterval(async () => {
    if (document.hidden) return;
    const live = document.querySelector("[data-live]");
    if (!live) return;
    const number = asked;
    try {
      const page = await fetched(live.dataset.live || location.href);
      if (number !== asked) return;
      if (live.id === "rows") replaceRows(page);
      else if (page?.getElementById(live.id)) live.replaceWith(page.getElementById(live.id));
    } catch { /* the server has ended: what is shown stays */ }
  }, LIVE_MS);
})();
