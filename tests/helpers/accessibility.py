"""What axe-core says of a page that is open in a browser, and where the focus goes."""

from __future__ import annotations

from pathlib import Path

from chromium import Chromium

AXE = Path(__file__).parent / "axe" / "axe.min.js"
# When a page of any kind has drawn itself
READY = (
    "document.readyState === 'complete' && (!document.querySelector('[data-draw]') || window.separatrixReady === true)"
)
# Rules of every level, practices that axe only recommends with them; a line a finding: impact, rule, element, why
FINDINGS = """(async () => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  return violations.flatMap(({ impact, id, nodes }) => nodes.map((node) =>
    [impact, id, node.target.join(" "), node.failureSummary.split("\\n").slice(1).join(" ").trim().slice(0, 160)]
      .join(": ")));
})()"""
# The element that has the focus: what it is, whether it can be seen, and whether it shows that it has the focus
FOCUSED = """(() => {
  const one = document.activeElement, look = (each) => getComputedStyle(each);
  if (!one || one === document.body) return null;
  const box = one.getBoundingClientRect(), marks = [one, one.closest("label")].filter((each) => each);
  const name = one.getAttribute("aria-label") || one.labels?.[0]?.textContent || one.textContent || one.title || "";
  const up = [];
  for (let each = one; each; each = each.parentElement) up.push(each.getAttribute("class") || "", each.id);
  return { inside: up.join(" ").split(/\\s+/u), name: name.trim().slice(0, 40), tag: one.tagName, id: one.id,
    seen: box.bottom > 0 && box.top < innerHeight && box.width > 0 && box.height > 0,
    marked: marks.some((each) => look(each).outlineStyle !== "none" && parseFloat(look(each).outlineWidth) >= 2)
      || look(one.querySelector(".shade") || one).strokeWidth !== look(document.body).strokeWidth };
})()"""


def axe_findings(browser: Chromium) -> list[str]:
    """All that axe-core finds on the page that is open, as it is now."""
    if not browser.run("typeof axe === 'object'"):
        browser.run(AXE.read_text(encoding="utf-8") + "; true")
    return browser.run(FINDINGS)
