// Draw every section, then say so: tests and printers wait for the flag.
(() => {
  const drawAll = () => Promise.all([...document.querySelectorAll("[data-draw]")].map((section) => {
    const text = section.querySelector('script[type="application/json"]').textContent;
    return separatrix.draw[section.dataset.draw](section, JSON.parse(text));
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll().then(() => {
    window.separatrixReady = true;
    document.documentElement.dataset.separatrixReady = "true";
  });
})();
