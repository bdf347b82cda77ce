"""The model of an atlas and what it reads."""

from __future__ import annotations

from dataclasses import dataclass

from separatrix.heads.windows import ExampleSample, Window, WindowRule, cut_windows
from separatrix.models.backbone import Backbone


@dataclass(frozen=True, eq=False)
class AtlasSource:
    """The model and what it reads; windows are cut again where their maps are shown."""

    backbone: Backbone
    sample: ExampleSample
    rule: WindowRule

    def window(self, example: int, position: int) -> Window:
        """A window of an example of the sample."""
        return cut_windows(self.backbone, [self.sample.examples[example]], self.rule)[0][position]
