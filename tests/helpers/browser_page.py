"""What tests ask of a page in the browser: what its views show, where things are, what cannot be read or named."""

import numpy as np


def map_data(browser, name):
    return browser.run(f"document.getElementById('map').dataset.{name}")


def selected(browser):
    return browser.run("document.body.dataset.selected")


def box_of(browser, selector):
    """Left, top, width and height of an element that is scrolled into the window."""
    return browser.run(
        f"(() => {{ const one = document.querySelector('{selector}'); one.scrollIntoView({{ block: 'center', "
        "behavior: 'instant' }); const box = one.getBoundingClientRect(); "
        "return [box.left, box.top, box.width, box.height]; })()"
    )


def wrong_rows(report):
    return np.flatnonzero(report.rows.predicted != report.rows.labels)


def point_of(browser, row):
    """Where a row lies in the window."""
    left, top, *_ = box_of(browser, ".plane")
    x, y = browser.run(f"separatrix.maps[0].place({row})")
    return left + 1 + x, top + 1 + y


# Pixels that are not empty, of a canvas of either kind
PAINTED = """(() => {
  const { points } = separatrix.maps[0], copy = document.createElement("canvas");
  separatrix.maps[0].draw();  // a picture of WebGL can be read in the same turn only
  [copy.width, copy.height] = [points.width, points.height];
  const pen = copy.getContext("2d");
  pen.drawImage(points, 0, 0);
  const { data } = pen.getImageData(0, 0, copy.width, copy.height), ground = String(data.slice(0, 4));
  return data.filter((_, at) => at % 4 === 0 && String(data.slice(at, at + 4)) !== ground).length;
})()"""


# Elements whose own text has too little contrast with the ground below it
PALE = """(() => {
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const part = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * part(r / 255) + 0.7152 * part(g / 255) + 0.0722 * part(b / 255);
  const ground = (one) => {
    for (let up = one; up; up = up.parentElement) {
      const colour = rgb(getComputedStyle(up).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.9) return colour;
    }
    return [255, 255, 255];
  };
  const written = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const aside = "script, noscript, svg, .hidden", shown = (one) => one.checkVisibility() && !one.closest(aside);
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  return [...document.querySelectorAll("main *, header *, .selection *")].filter((one) => written(one) && shown(one))
    .filter((one) => contrast(light(rgb(getComputedStyle(one).color)), light(ground(one))) < 4.5)
    .map((one) => one.tagName + "." + one.className + ": " + one.textContent.slice(0, 30));
})()"""


UNNAMED = """[...document.querySelectorAll('button, input, select, [role=button], [role=img], [role=grid], [tabindex]')]
  .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.title))
  .map((one) => one.outerHTML.slice(0, 80))"""
