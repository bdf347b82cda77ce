// Draw every section, then say so: tests and printers wait for the flag. A section that fails says it and leaves the others alone.
(() => {
  const drawn = [...document.querySelectorAll("[data-draw]")].map(async (section) => {
    try {
      await separatrix.draw[section.dataset.draw](section, JSON.parse(section.querySelector('script[type="application/json"]').textContent));
    } catch (error) {
      console.error(error);
      section.append(separatrix.element("p", "This part could not be drawn: " + error.message, { class: "alarm" }));
    }
  });
  Promise.all(drawn).then(() => {
    window.separatrixReady = true;
    document.documentElement.dataset.separatrixReady = "true";
  });
})();
