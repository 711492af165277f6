"""The neuron engine: questions to groups of units, answered exactly from codes and a few exact values."""

from odin_graph.neurons.aggregates import AGGREGATES, aggregate
from odin_graph.neurons.answer import Answer, Decision, DecisionEstimate, Estimate, Measured, Work
from odin_graph.neurons.block import Block, Exact, Part, Values
from odin_graph.neurons.compare import compare, compare_estimate
from odin_graph.neurons.distances import DISTANCES, distance
from odin_graph.neurons.measure import Measure
from odin_graph.neurons.scan import bounds, highest, highest_estimate, nearest, nearest_estimate, values
from odin_graph.neurons.toplists import TopLists

__all__ = [
    "AGGREGATES",
    "Answer",
    "Block",
    "DISTANCES",
    "Decision",
    "DecisionEstimate",
    "Estimate",
    "Exact",
    "Measure",
    "Measured",
    "Part",
    "TopLists",
    "Values",
    "Work",
    "aggregate",
    "bounds",
    "compare",
    "compare_estimate",
    "distance",
    "highest",
    "highest_estimate",
    "nearest",
    "nearest_estimate",
    "values",
]
