// What the form of a submit control holds, as [name, value] of its fields; no passwords.
(index) => {
  const e = (window.__webtest || [])[index];
  const form = e && (e.tagName === "FORM" ? e : e.form);
  const textual = /^(text|email|url|tel|search|number|textarea)$/;
  const fields = form ? [...form.elements].slice(0, 60).filter((field) => field.name && textual.test(field.type)) : [];
  return fields.map((field) => [field.name, field.value.slice(0, 300)]);
}
