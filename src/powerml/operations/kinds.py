"""Kinds of ATen's operators, by their names."""

from __future__ import annotations

from powerml.operations.operation import OperationKind

__all__ = ["ATTENTION", "CONVOLUTIONS", "PRODUCTS", "RECURRENCES", "VIEWS", "kind_of"]

PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot"})
CONVOLUTIONS = frozenset({"convolution", "_convolution", "mkldnn_convolution"})
ATTENTION = frozenset(
    {
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
    }
)
# Functions of PyTorch's recurrent modules, each with all its layers and steps.
RECURRENCES = frozenset({"gru", "lstm", "rnn_tanh", "rnn_relu"})
# They move nothing, but ATen does not declare them as views.
VIEWS = frozenset({"_unsafe_view", "_reshape_alias", "lift_fresh", "detach", "alias"})
_FUNCTIONS = """
    _log_softmax _softmax acos acosh asin asinh atan atan2 atanh celu cos cosh digamma elu erf erfc
    erfinv exp exp2 expm1 gelu glu hardsigmoid lgamma log log10 log1p log2 log_sigmoid_forward
    logaddexp logaddexp2 mish pow rsqrt selu sigmoid silu sin sinh softplus sqrt tan tanh xlogy
"""
_NORMALISATIONS = """
    _batch_norm_no_update _batch_norm_with_update _fused_rms_norm _native_batch_norm_legit
    _native_batch_norm_legit_no_training native_batch_norm native_group_norm native_layer_norm
"""
_POOLINGS = """
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d avg_pool2d
    avg_pool3d max_pool2d_with_indices max_pool3d_with_indices
"""
_REDUCTIONS = """
    all amax amin aminmax any argmax argmin cummax cummin cumprod cumsum linalg_vector_norm
    logcumsumexp logsumexp max mean median min norm prod std std_mean sum var var_mean
"""
_MOVEMENTS = """
    _to_copy arange cat clone col2im constant_pad_nd copy embedding fill flip full gather im2col
    index index_put index_select masked_fill new_zeros ones pixel_shuffle reflection_pad1d
    reflection_pad2d repeat repeat_interleave replication_pad1d replication_pad2d roll scatter
    scatter_add slice_scatter sort stack topk tril triu upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d zeros
"""
_KINDS: dict[str, OperationKind] = {
    **dict.fromkeys(_FUNCTIONS.split(), "function"),
    **dict.fromkeys(_NORMALISATIONS.split(), "normalisation"),
    **dict.fromkeys(_POOLINGS.split(), "pooling"),
    **dict.fromkeys(_REDUCTIONS.split(), "reduction"),
    **dict.fromkeys(_MOVEMENTS.split(), "movement"),
}


def kind_of(name: str) -> OperationKind:
    """Return the kind of an operator that is no product; those that are not named are elementwise.

    ATen has two thousand operators, of which most compute each element from as many.
    """
    return _KINDS.get(name.removesuffix("_"), "elementwise")
