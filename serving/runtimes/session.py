"""A small TensorFlow function as a session's callable: a fifth of the time that an eager operation takes.

An eager operation that calls a function costs 0.1 ms beside what the function computes, a session 0.02 ms.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.tensors import Tensor

MOST_CAPTURED = 40  # each takes 2 ms to set up, once: so many, 2 % of what importing TensorFlow takes
MOST_BYTES = 8 << 20  # held by graph and session too; with more, 0.1 ms is little of what a call takes
READING = {
    *("ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"),
    *("StatefulPartitionedCall", "If", "While", "Case"),  # have the state that the functions they call have
    "Assert",
}

# Operations run in the calling thread; their kernels have the process's threads, whatever a session says
# https://www.tensorflow.org/api_docs/python/tf/compat/v1/ConfigProto
# https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/common_runtime/local_device.cc
_CONFIG = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1, allow_soft_placement=True)

Run = Callable[[Sequence[Tensor]], list[Tensor]]

log = logging.getLogger("serving")


def session_run(function: Any, inputs: int) -> Run | None:
    """`function`, TensorFlow's concrete one, of so many arrays; None where it is not worth it or not sure.

    It computes with a copy of the variables: sure is what only reads them, and has no other state.
    The callable raises tf.errors.OpError.
    """
    try:
        captured = _captured(function)
        if not (_is_small(captured) and _only_reads(function)):
            return None
        return _run(function, inputs, captured)
    except Exception as error:  # whatever a session lacks, the function can be called without one
        log.debug("a function is called without a session: %s", error)
        return None


def _captured(function: Any) -> list[Any]:
    """What `function` takes after its inputs: a variable for each handle of one, else the tensor."""
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    return [variables.get(id(tensor), tensor) for tensor in function.captured_inputs]


def _is_small(captured: Sequence[Any]) -> bool:
    sizes = [each.shape.num_elements() for each in captured]
    if None in sizes or len(sizes) > MOST_CAPTURED:
        return False
    taken: int = sum(size * each.dtype.size for size, each in zip(sizes, captured, strict=True))
    return taken <= MOST_BYTES


def _only_reads(function: Any) -> bool:
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    return all(_has_no_state(name) for name in {node.op for node in nodes} - READING)


def _has_no_state(name: str) -> bool:
    from tensorflow.python.framework import op_def_registry  # nothing public knows operations by name

    operation = op_def_registry.get(name)
    return bool(operation and not operation.is_stateful)


def _run(function: Any, inputs: int, captured: Sequence[Any]) -> Run:
    from tensorflow.core.protobuf.config_pb2 import CallableOptions

    values = [each.numpy() for each in captured]  # raises where a resource is no variable
    with tf.Graph().as_default(), tf.compat.v1.Session(config=_CONFIG).as_default() as session:
        given = [tf.compat.v1.placeholder(spec.dtype, spec.shape) for spec in function.inputs[:inputs]]
        constants = [tf.constant(value, each.dtype) for value, each in zip(values, captured, strict=True)]
        results = tf.raw_ops.StatefulPartitionedCall(
            args=[*given, *_held(constants, captured, session)],
            Tout=[tensor.dtype for tensor in function.outputs],
            f=function,
        )
    names = {"feed": [each.name for each in given], "fetch": [each.name for each in results]}
    # The public make_callable feeds by way of Session.run, which takes 0.25 ms a call
    call = session._make_callable_from_options(CallableOptions(**names))
    return lambda arrays: [_apart(output, arrays) for output in call(*arrays)]


def _held(constants: Sequence[Any], captured: Sequence[Any], session: Any) -> list[Any]:
    """The constants, but the handle of a variable of the session's where a variable was captured."""
    held, assigned = [], []
    for number, (constant, each) in enumerate(zip(constants, captured, strict=True)):
        if isinstance(each, tf.Variable):
            handle = tf.raw_ops.VarHandleOp(dtype=each.dtype, shape=each.shape, shared_name=str(number))
            assigned.append(tf.raw_ops.AssignVariableOp(resource=handle, value=constant))
            held.append(handle)
        else:
            held.append(constant)
    session.run(assigned)
    return held


def _apart(output: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    """`output` in memory of its own: what a session passes through, or reshapes, is its input's memory."""
    return output.copy() if any(np.may_share_memory(output, each) for each in inputs) else output
