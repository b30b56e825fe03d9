// One action on an element that `read_page.js` reported: click it, or put a value into it.
([index, action, value, kind]) => {
  const e = (window.__webtest || [])[index];
  if (!e || !e.isConnected) return { gone: true };
  const changed = (target) => {
    target.dispatchEvent(new Event("input", { bubbles: true }));
    target.dispatchEvent(new Event("change", { bubbles: true }));
  };
  if (action === "fill") {
    // A field for numbers takes no other text; it becomes a plain one when its form is sent, not before.
    e.__webtestText = e.type === "number" && Number.isNaN(Number(value)) ? value : undefined;
    const prototype = e.tagName === "TEXTAREA" ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, "value").set.call(e, value);
    changed(e);
    e.__webtestKind = kind;
    return {};
  }
  if (action === "choose") {
    if (e.tagName === "SELECT") {
      const destructive = new RegExp(DESTRUCTIVE_WORDS, "i"); // such as the entry "Delete selected" of a list of actions
      const options = [...e.options].filter((option) => !option.disabled && !destructive.test(`${option.textContent} ${option.value.replace(/[^A-Za-z]+/g, " ")}`));
      const chosen = value === "last" ? options[options.length - 1] : options.find((option) => option.value) || options[0];
      if (chosen) e.value = chosen.value;
      changed(e);
    } else {
      const group = e.type === "radio" ? [...document.querySelectorAll("input[type=radio]")].filter((other) => other.name === e.name && other.form === e.form && !other.disabled) : [e];
      (value === "last" ? group[group.length - 1] : group[0]).click();
    }
    e.__webtestKind = kind;
    return {};
  }
  const form = e.tagName === "FORM" ? e : e.form;
  const violations = [];
  if (form && action === "submit") {
    form.noValidate = true; // the server is tested, not the browser
    for (const field of form.elements) {
      if (field.__webtestText === undefined) continue;
      field.type = "text";
      field.value = field.__webtestText;
    }
    const radios = new Set();
    for (const field of [...form.elements].slice(0, 100)) {
      if (!field.name || field.disabled || field.type === "hidden" || field.type === "password") continue;
      const text = (field.value || "").trim();
      let wrong = false;
      if (field.type === "radio") {
        if (!field.required || radios.has(field.name)) continue;
        radios.add(field.name);
        wrong = !form.querySelector(`input[type=radio][name="${CSS.escape(field.name)}"]:checked`);
      } else if (field.type === "checkbox") wrong = field.required && !field.checked;
      else if (!text) wrong = field.required === true;
      else if (field.type === "email") wrong = !/^[\w.!#$%&'*+\/=?^`{|}~-]+@[\w-]+(\.[\w-]+)*$/.test(text);
      else if (field.min || field.max || field.getAttribute("inputmode") === "numeric") {
        const number = Number(text);
        wrong = Number.isNaN(number) || (field.min !== "" && number < Number(field.min)) || (field.max !== "" && number > Number(field.max));
      } else if (field.pattern) {
        try { wrong = !new RegExp("^(?:" + field.pattern + ")$", "v").test(text); } catch { wrong = false; }
      }
      if (wrong) violations.push(field.name.slice(0, 80));
    }
  }
  if (e.target) e.target = "_self"; // one tab
  if (form && form.hasAttribute("target")) form.setAttribute("target", "_self");
  const before = location.href;
  let prevented = action === "submit"; // until the form is really sent
  const watch = (event) => { prevented = event.defaultPrevented; };
  const type = action === "submit" ? "submit" : "click";
  window.addEventListener(type, watch);
  try {
    if (e.tagName === "FORM") e.requestSubmit();
    else e.click();
  } finally {
    window.removeEventListener(type, watch);
  }
  let loads = false;
  if (!prevented && action === "submit") loads = true;
  else if (!prevented && e.tagName === "A" && e.href) {
    const target = new URL(e.href, document.baseURI), now = new URL(before);
    const samePage = target.pathname === now.pathname && target.search === now.search && target.hash;
    loads = /^https?:$/.test(target.protocol) && !samePage && !e.hasAttribute("download");
  }
  return { loads, violations };
}
