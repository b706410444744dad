"""The same network in fewer passes over memory, where it runs on a CPU in float32.

What is replaced is no part of a model: its blocks and norms are computed from the same weights by other kernels.
Benchmarks: ``benchmarks/fast_kernels.py``, ``benchmarks/fast_norms.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.activations import GELU
from diffusers.models.attention import FeedForward
from diffusers.models.autoencoders.autoencoder_kl_wan import WanRMS_norm
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor, WanTransformerBlock
from torch.nn import Dropout, Linear, ModuleList, RMSNorm, functional

PARTS = [WanAttention, WanAttention, FeedForward, FP32LayerNorm, FP32LayerNorm]
KINDS = {*PARTS, Dropout, GELU, Linear, ModuleList, RMSNorm}


@contextmanager
def fast_kernels(network: torch.nn.Module, device: torch.device, one_text: bool = False) -> Iterator[None]:
    """While this lasts, the blocks of a network on a CPU in float32 compute with these kernels; others are left alone.

    The answers are the same but for rounding (1e-5 of the mini reasoner's). They have no gradient: for `torch.no_grad`.

    Parameters
    ----------
    network : WanTransformer3DModel
    device : torch.device
        Where it computes. Offloaded weights lie on the CPU until a hook inside the call moves them.
    one_text : bool
        Whether all states have the same text, so that one of them stands for all.
    """
    plain = [block for block in network.blocks if device.type == "cpu" and _is_plain(block)]
    try:
        for block in plain:
            block.forward = partial(_forward, block, one_text)
        yield
    finally:
        for block in plain:
            del block.forward


def _is_plain(block: torch.nn.Module) -> bool:
    """Whether a block is diffusers' own, in float32 on the CPU, with nothing put into its place or its parts'."""
    if type(block) is not WanTransformerBlock or "forward" in vars(block) or not torch.backends.mkldnn.is_available():
        return False
    attentions = [block.attn1, block.attn2]
    if [type(each) for each in (*attentions, block.ffn, block.norm1, block.norm3)] != PARTS:
        return False
    # These are not called: an adapter in their place, or what listens to them, would not be heard.
    below = [each for part in (*attentions, block.ffn, block.norm1, block.norm3) for each in part.modules()]
    return (
        all(type(each) in KINDS and not _is_watched(each) for each in below)
        and all(type(each.processor) is WanAttnProcessor and not each.fused_projections for each in attentions)
        and block.ffn.net[0].approximate == "tanh"
        and all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in block.parameters())
    )


def _is_watched(module: torch.nn.Module) -> bool:
    return bool("forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks)


def _forward(
    block: WanTransformerBlock,
    one_text: bool,
    hidden_states: torch.Tensor,
    encoder_hidden_states: torch.Tensor,
    temb: torch.Tensor,
    rotary_emb: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """A block's own forward; scale with shift, and gate with sum, go once over the tokens in place of twice."""
    parts = (block.scale_shift_table + temb).unbind(-2)
    if temb.ndim == 3:  # one timestep for all tokens
        parts = tuple(part[:, None] for part in parts)
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = parts

    normed = block.norm1(hidden_states)
    attended = _attend_to_tokens(block.attn1, torch.addcmul(shift, normed, 1 + scale, out=normed), rotary_emb)
    # A new tensor, since the given one is another's; what follows may write into it.
    hidden_states = torch.addcmul(hidden_states, attended, gate)
    normed = block.norm2(hidden_states)
    hidden_states = _add_context(block.attn2, normed, encoder_hidden_states, hidden_states, one_text)
    normed = block.norm3(hidden_states)
    up, _, down = block.ffn.net
    # oneDNN applies the activation while the product is still in the cache.
    answer = _linear(up.proj, torch.addcmul(ffn_shift, normed, 1 + ffn_scale, out=normed), "gelu", up.approximate)
    return hidden_states.addcmul_(_linear(down, answer), ffn_gate)


def _linear(layer: Linear, x: torch.Tensor, activation: str = "none", algorithm: str = "") -> torch.Tensor:
    """A linear layer that adds its bias to the product as it is made; torch's own lays it out first."""
    return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, activation, [], algorithm)


def _attend_to_tokens(
    attention: WanAttention, tokens: torch.Tensor, rotary_emb: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Self-attention whose rotary embedding is one complex product in place of ten strided passes."""
    cos, sin = rotary_emb
    turn = torch.complex(cos[..., 0::2], sin[..., 1::2])
    value = _linear(attention.to_v, tokens).unflatten(2, (attention.heads, -1))
    query, key = (
        _normalise(norm, _linear(layer, tokens)).unflatten(2, (attention.heads, -1))
        for layer, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k))
    )
    for each in (query, key):
        torch.view_as_complex(each.unflatten(-1, (-1, 2))).mul_(turn)
    attended = functional.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (query, key, value)))
    return _linear(attention.to_out[0], attended.transpose(1, 2).flatten(2))


def _add_context(
    attention: WanAttention, tokens: torch.Tensor, context: torch.Tensor, residual: torch.Tensor, one_text: bool
) -> torch.Tensor:
    """Cross-attention, added to what it is a residual of.

    Where all states have one text, what stands around its keys and values is multiplied into them: products with as
    many columns as heads times text tokens (40 in the mini reasoner) then stand for the attention and the layer behind
    it (128 columns).
    """
    # Beside an image's context the text's is not alone; a long text would make these products the larger ones.
    if attention.add_k_proj is not None or not one_text or attention.heads * context.shape[1] > attention.inner_dim:
        return residual.add_(attention(tokens, context, None, None))
    heads, out = attention.heads, attention.to_out[0]
    key = _normalise(attention.norm_k, attention.to_k(context[0])) * attention.norm_q.weight
    key, value = (each.unflatten(1, (heads, -1)) for each in (key, attention.to_v(context[0])))
    # (head text, head channel), of one head beside zeros of the others; (out, head text)
    keys = torch.block_diag(*key.unbind(1)) * key.shape[-1] ** -0.5
    values = torch.einsum("thc,ohc->oht", value, out.weight.unflatten(1, (heads, -1))).flatten(1)

    query = _linear(attention.to_q, tokens)
    scores = torch.ops.mkldnn._linear_pointwise(query, keys, None, "none", [], "")
    scores = scores.mul_(_inverse_rms(query, attention.norm_q.eps)).unflatten(-1, (heads, -1))
    weights = scores.softmax(-1).flatten(-2)
    return torch.ops.mkldnn._linear_pointwise.binary(weights, residual, values, out.bias, "add")


def _normalise(norm: RMSNorm, x: torch.Tensor) -> torch.Tensor:
    """RMS norm over the last dim, written over its input."""
    return x.mul_(_inverse_rms(x, norm.eps)).mul_(norm.weight)


def _inverse_rms(x: torch.Tensor, eps: float) -> torch.Tensor:
    """1 / root mean square over the last dim, in one pass over memory."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()


@contextmanager
def fast_norms(vae: AutoencoderKLWan) -> Iterator[None]:
    """While this lasts, the norms of a VAE on a CPU in float32 go once over their input; others are left alone.

    Made for channels that lie side by side in memory (``torch.channels_last``). The answers differ by rounding alone.

    Parameters
    ----------
    vae : AutoencoderKLWan
    """
    norms = []
    if vae.device.type == "cpu" and vae.dtype == torch.float32:
        norms = [each for each in vae.modules() if type(each) is WanRMS_norm and each.channel_first]
    for norm in norms:
        norm.forward = partial(_normalised, norm)
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _normalised(norm: WanRMS_norm, x: torch.Tensor) -> torch.Tensor:
    # Zeros stay zeros, as where their length is held against a least one.
    channels_last = x.movedim(1, -1)
    scaled = (channels_last * _inverse_rms(channels_last, eps=1e-30)).mul_(norm.gamma.flatten())
    return scaled.movedim(-1, 1) + norm.bias
