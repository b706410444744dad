"""What a process makes when it loads its first model, and keeps: patterns by which transformers renames weights.

They take longer than the loading of a tiny model; processes that are forked from one that has them need not make them.
"""

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

get_checkpoint_conversion_mapping("")
