"use strict";
// The page of a training that goes on: asks for what is new, shows it, and becomes the report when the training is finished.
(() => {
  const PAUSE = 1000;  // milliseconds between two questions
  const live = document.querySelector(".live"), lost = document.querySelector(".lost"), ended = lost.textContent, now = () => live.firstElementChild.dataset;
  // Only what has changed is replaced: a table that is read or scrolled stays as it is while the steps count up.
  const update = (next) => {
    const own = live.firstElementChild, parts = [...next.children];
    Object.assign(own.dataset, next.dataset);
    parts.forEach((part, at) => {
      const before = own.children[at];
      if (!before) own.append(part);
      else if (!before.isEqualNode(part)) before.replaceWith(part);
    });
    while (own.children.length > parts.length) own.lastElementChild.remove();
  };
  const ask = async () => {
    try {
      const answer = await fetch("progress?" + new URLSearchParams({ seen: now().seen }));
      if (!answer.ok) throw new Error(await answer.text());
      if (answer.status === 200) {
        // What Python rendered and escaped; a document that was parsed so runs no script.
        update(new DOMParser().parseFromString(await answer.text(), "text/html").body.firstElementChild);
      }
      lost.hidden = true;
      if (now().state === "finished") return location.reload();
    } catch (error) {
      lost.textContent = error instanceof TypeError ? ended : error.message;  // nothing answered, or a server refused
      lost.hidden = false;
    }
    return setTimeout(ask, PAUSE);
  };
  if (now().state === "finished") location.reload();
  else setTimeout(ask, PAUSE);
  window.separatrixReady = true;
})();
