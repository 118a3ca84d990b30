"""Tasks of several requests become one call of the model.

A thread of its own calls the model. While it is busy, tasks queue; when it is free, it takes all that fit
together: batches form by themselves under load. Where clients wait for each other's answers, pausing until
all have asked again can do better still: the thread learns what a call costs and how many ask at once, tries
both ways in turns, and pauses only while that is measured to answer more tasks a second.
Calls that are over before that thread would wake up are made by the thread that submits, an event loop's,
once it has read all that came.
A batch that fails is called task by task, so that a bad request fails alone.
"""

from serving.batching.batcher import Batcher, BatchSettings, Deliver, Done, Observe

__all__ = ["BatchSettings", "Batcher", "Deliver", "Done", "Observe"]
