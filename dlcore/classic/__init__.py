"""The classics, by hand: perceptron and gates, descent, derivatives, backpropagation, graphs, clusters, components."""

from dlcore.classic._average import exponential_average
from dlcore.classic._backpropagation import (
    Backward,
    Forward,
    backpropagate,
    bias_gradient,
    error_through_layer,
    feedforward,
    output_error,
    update,
    weight_gradient,
)
from dlcore.classic._derivatives import GradientCheck, check_gradient, numerical_gradient
from dlcore.classic._descent import Descent, gradient_descent
from dlcore.classic._gates import (
    and_gate,
    crossed,
    nand_gate,
    or_gate,
    xor_by_crossing,
    xor_by_layers,
    xor_by_oscillation,
)
from dlcore.classic._graph import Graph, Node, trace_graph
from dlcore.classic._kmeans import KMeans, kmeans
from dlcore.classic._pca import PCA, pca
from dlcore.classic._perceptron import PerceptronFit, fit_perceptron, is_separable, perceptron
from dlcore.classic._regression import linear_regression, logistic_regression

__all__ = [
    "Backward",
    "Descent",
    "Forward",
    "GradientCheck",
    "Graph",
    "KMeans",
    "Node",
    "PCA",
    "PerceptronFit",
    "and_gate",
    "backpropagate",
    "bias_gradient",
    "check_gradient",
    "crossed",
    "error_through_layer",
    "exponential_average",
    "feedforward",
    "fit_perceptron",
    "gradient_descent",
    "is_separable",
    "kmeans",
    "linear_regression",
    "logistic_regression",
    "nand_gate",
    "numerical_gradient",
    "or_gate",
    "output_error",
    "pca",
    "perceptron",
    "trace_graph",
    "update",
    "weight_gradient",
    "xor_by_crossing",
    "xor_by_layers",
    "xor_by_oscillation",
]
