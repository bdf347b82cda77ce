"""The head atlas, from a corpus to a page.

story        the verb: four steps that restart
extract, features, cluster, atlas    the steps
association            what the clusters have to do with layer, head, length, context
qa           fine-tune for question answering, so that maps before and after can be compared
"""

from separatrix.analysis.heads.story import HeadAtlas, head_atlas, open_atlas

__all__ = ["HeadAtlas", "head_atlas", "open_atlas"]
