// Runs before the scripts of each page: native dialogs and windows would block or leave the tab that is tested.
(() => {
  if (window.__webtestPrepared) return;
  window.__webtestPrepared = true;
  let dialogs = 0;
  const destructive = new RegExp(DESTRUCTIVE_WORDS, "i");
  const dialog = (answer) => (message) => {
    dialogs += 1;
    if (dialogs > 20) throw new Error("webtest: more than 20 dialogs");
    return answer(String(message));
  };
  window.alert = dialog(() => undefined);
  window.confirm = dialog((message) => !destructive.test(message));
  window.prompt = dialog(() => null);
  window.print = () => undefined;
  // A page made for a window of its own fails without its opener, so such a window is not opened at all.
  const nothing = () => undefined;
  window.open = () => ({
    closed: false, name: "", opener: window, location: { href: "", assign: nothing, replace: nothing },
    document: document.implementation.createHTMLDocument(""),
    focus: nothing, blur: nothing, close: nothing, print: nothing, postMessage: nothing, moveTo: nothing,
    resizeTo: nothing, addEventListener: nothing, removeEventListener: nothing,
  });
})();
