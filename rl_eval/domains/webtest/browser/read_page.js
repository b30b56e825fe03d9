// What a tester sees of a page, as JSON. It reads at most `most.nodes` nodes and reports at most `most.elements`.
(most) => {
  const whole = (text) => String(text || "").toWellFormed(); // no halves of surrogate pairs, which no file can hold
  const clean = (text, length) => whole(String(text || "").replace(/\s+/g, " ").trim().slice(0, length));
  const visible = (e) => {
    if (e.checkVisibility && !e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) return false;
    const box = e.getBoundingClientRect();
    return box.width > 0 && box.height > 0;
  };
  const nodes = [];
  let text = "";
  const walker = document.createTreeWalker(document.body || document.documentElement, 5);
  const main = document.querySelector("main, [role=main]");
  for (let seen = 0; seen < most.nodes && walker.nextNode(); seen += 1) {
    const node = walker.currentNode;
    if (node.nodeType === 1) nodes.push(node);
    else if (text.length < 4000) {
      const parent = node.parentElement;
      if (parent && (!main || main.contains(parent)) && !parent.closest("script,style,noscript,template,a,button,option,textarea,label"))
        text += " " + node.nodeValue.slice(0, 2000);
    }
  }
  const clickable = 'a[href],area[href],button,input,select,textarea,summary,[role=button],[role=link],[role=tab],[role=menuitem],[role=checkbox],[role=switch],[onclick]';
  const textual = new Set(["text", "email", "url", "tel", "search", "date", "datetime-local", "month", "week", "time", ""]);
  const label = (e) => {
    const labels = e.labels && e.labels.length ? [...e.labels].map((l) => l.textContent).join(" ") : "";
    const shown = /^(INPUT|SELECT|TEXTAREA)$/.test(e.tagName) ? (/^(submit|button|reset)$/.test(e.type) ? e.value : "") : e.textContent.slice(0, 400);
    const picture = e.querySelector && e.querySelector("img[alt]");
    return clean(e.getAttribute("aria-label") || labels || shown || e.placeholder || (picture && picture.alt) || e.title || e.alt || "", 100);
  };
  // In a form that has a field of that name, `form.id` is the field.
  const stringOf = (e, name) => typeof e[name] === "string" ? e[name] : "";
  const quoted = (value) => '"' + String(value).replace(/["\\]/g, "\\$&").replace(/\n/g, "\\a ") + '"';
  const selector = (e) => {
    const tag = e.tagName.toLowerCase();
    let css;
    const id = stringOf(e, "id");
    if (id && document.querySelectorAll("#" + CSS.escape(id)).length === 1) css = "#" + CSS.escape(id);
    else if (tag === "form") css = e.hasAttribute("action") ? `form[action=${quoted(e.getAttribute("action"))}]` : "form";
    else if (tag === "a" && e.hasAttribute("href")) css = `a[href=${quoted(e.getAttribute("href"))}]`;
    else {
      const form = e.form && e.form.hasAttribute("action") ? `form[action=${quoted(e.form.getAttribute("action"))}] ` : "";
      const name = e.getAttribute("name") ? `[name=${quoted(e.getAttribute("name"))}]` : "";
      const value = /^(radio|checkbox)$/.test(e.type) && e.hasAttribute("value") ? `[value=${quoted(e.getAttribute("value"))}]` : "";
      css = form + tag + name + value;
    }
    return [css, Math.max(0, [...document.querySelectorAll(css)].indexOf(e))];
  };
  const place = (e) => {
    if (e.closest("footer,[role=contentinfo]")) return "footer";
    if (e.closest("nav,[role=navigation]")) return "navigation";
    if (e.closest("header,[role=banner]") && !e.closest("main,article")) return "header";
    return e.form || e.tagName === "FORM" ? "form" : "main";
  };
  const action = (form) => form ? (typeof form.action === "string" ? form.action : document.baseURI) : "";
  // What a button does, in addition to its text: another address of its form, its value, hidden fields that name an action, code.
  const does = (e) => {
    if (e.tagName === "A") return clean(e.getAttribute("onclick"), 200);
    const form = e.tagName === "FORM" ? e : e.form;
    const hidden = form ? [...form.elements].slice(0, 100).filter((f) => f.type === "hidden" && /^\W*(_?method|action|op|cmd|command|do|task|event)$/i.test(f.name)) : [];
    const own = e.tagName === "FORM" ? [] : [e.hasAttribute("formaction") ? e.formAction : "", /^(submit|button|image)$/.test(e.type) ? e.value : ""];
    return clean([...own, ...hidden.map((f) => f.value), e.getAttribute("onclick") || ""].map((part) => String(part).slice(0, 200)).join(" "), 600);
  };
  const found = [];
  const kept = (window.__webtest = []);
  const groups = new Set();
  const add = (e, role, extra) => {
    if (found.length >= most.elements) return;
    const [css, nth] = selector(e);
    found.push({
      role, tag: e.tagName.toLowerCase(), type: stringOf(e, "type"), text: label(e), name: whole(e.getAttribute("name")), id: whole(stringOf(e, "id")),
      placeholder: whole(stringOf(e, "placeholder")), href: stringOf(e, "href"), onclick: e.hasAttribute("onclick"),
      action: action(e.tagName === "FORM" ? e : e.form), form: e.form ? [...document.forms].indexOf(e.form) : e.tagName === "FORM" ? [...document.forms].indexOf(e) : -1,
      place: place(e), does: does(e), css: whole(css), nth, index: kept.length, touched: e.__webtestKind || "", empty: !e.value, ...extra,
    });
    kept.push(e);
  };
  const limits = (e) => ({ required: e.required === true, least: whole(e.min), most: whole(e.max), longest: e.maxLength > 0 ? e.maxLength : 0, shortest: e.minLength > 0 ? e.minLength : 0, pattern: whole(e.pattern) });
  for (const e of nodes) {
    if (!e.matches(clickable) || e.disabled || e.readOnly || e.closest("[inert],[aria-hidden=true]")) continue;
    const tag = e.tagName, type = (e.type || "").toLowerCase();
    if (tag === "INPUT" && /^(hidden|file|reset|range|color)$/.test(type)) continue;
    if (!visible(e) && !(/^(radio|checkbox)$/.test(type) && e.labels && [...e.labels].some(visible))) continue;
    if (tag === "SELECT") {
      if (e.options.length > 1) add(e, "choice", { ...limits(e), options: e.options.length });
    } else if (tag === "TEXTAREA") add(e, "text", limits(e));
    else if (tag === "INPUT" && type === "radio") {
      const group = (e.form ? [...document.forms].indexOf(e.form) : -1) + " " + e.name;
      if (!groups.has(group)) add(e, "choice", { ...limits(e), empty: !document.querySelector(`input[type=radio][name=${quoted(e.name)}]:checked`) });
      groups.add(group);
    } else if (tag === "INPUT" && type === "number") add(e, "number", limits(e));
    else if (tag === "INPUT" && type === "password") add(e, "secret", limits(e));
    else if (tag === "INPUT" && textual.has(type)) add(e, "text", limits(e));
    else if (e.form && (type === "submit" || type === "image")) add(e, "submit", {});
    else if (tag === "A" || tag === "AREA" || e.getAttribute("role") === "link") add(e, "link", {});
    else add(e, "button", {});
  }
  for (const form of [...document.forms].slice(0, 30)) {
    const controls = [...form.elements].slice(0, 100);
    if (!controls.some((e) => /^(submit|image)$/.test(e.type)) && controls.some((e) => e.type !== "hidden" && visible(e))) add(form, "submit", {});
  }
  const wrong = '[role=alert],[aria-invalid=true],.error,.errors,.errorlist,.error-message,.errormessage,.alert-danger,.alert-error,.alert-warning,.invalid-feedback,.is-invalid,.has-error,.field-error,.help-block.error,.flash-error,.text-danger,.system-message-error';
  const errorsShown = [...document.querySelectorAll(wrong)].slice(0, 50).some((e) => (e.getAttribute("aria-invalid") === "true" || clean(e.textContent, 10)) && visible(e));
  const money = (cell) => {
    const match = cell && clean(cell.textContent, 60).match(/^[^\d-]{0,4}(-?)[^\d-]{0,4}(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{2}))?[^\d]{0,5}$/);
    return match ? (match[1] ? -1 : 1) * (Number(match[2].replace(/,/g, "")) * 100 + Number(match[3] || 0)) : null;
  };
  const tables = [...document.querySelectorAll("table")].slice(0, 20).filter((t) => t.tFoot && t.tBodies.length && visible(t)).map((t) => ({
    lines: [...t.tBodies].flatMap((b) => [...b.rows]).slice(0, 200).map((r) => money(r.cells[r.cells.length - 1])),
    sums: [...t.tFoot.rows].slice(0, 20).map((r) => [clean(r.cells[0] && r.cells[0].textContent, 30), money(r.cells[r.cells.length - 1])]),
  }));
  const forms = [...document.forms].slice(0, 30).map((form) => ({
    action: action(form), method: (form.getAttribute("method") || "get").toLowerCase(),
    fields: [...form.elements].slice(0, 60).filter((e) => e.name && (e.tagName === "TEXTAREA" || (e.tagName === "INPUT" && (textual.has(e.type) || e.type === "number"))))
      .map((e) => ({ name: clean(e.name, 80), value: whole(e.value.slice(0, 300)) })),
  }));
  const head = [...document.querySelectorAll("header,nav,[role=banner]")].slice(0, 5).map((e) => clean(e.textContent, 1000)).join(" ");
  const cart = head.match(/\b(?:cart|basket|bag)\b\D{0,4}(\d+)/i);
  const heading = document.querySelector("h1");
  return {
    url: location.href, title: clean(document.title, 200), heading: clean(heading && heading.textContent, 200), text: clean(text, 2000),
    head, cart: cart ? Number(cart[1]) : -1, elements: found, errorsShown, tables, forms,
    probes: [...document.querySelectorAll("[data-webtest-probe]")].slice(0, 20).map((e) => clean(e.getAttribute("data-webtest-probe"), 200)),
    secret: [...document.querySelectorAll("input[type=password]")].slice(0, 5).some(visible),
  };
}
