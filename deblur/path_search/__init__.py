"""The camera's path found in the blurred picture itself, by restoring it along many paths and judging the results."""

from deblur.path_search.judging import Judge
from deblur.path_search.search import PathSearch

__all__ = ["Judge", "PathSearch"]
