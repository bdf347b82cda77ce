"""The head atlas, from a corpus to a page: extract, cluster and associate on the rows of attention heads.

story        the verb: five steps that restart, each an artefact of its own
features     what of a map is compared and clustered
clusters     three methods, and the largest cluster clustered again
controls     whether clusters and heads still agree where length and context are held
page         heads, exemplars, distances, pictures, the page; `importance` and `deciles` beside them
reading      the model, and the windows that it reads
result       what comes back
qa           fine-tune for question answering, so that maps before and after can be compared
"""

from separatrix.analysis.heads.result import HeadAtlas
from separatrix.analysis.heads.story import head_atlas

__all__ = ["HeadAtlas", "head_atlas"]
