"""The same network in fewer passes over memory, where it runs on a CPU in float32.

What is replaced is no part of a model: rotary embedding, activation, norm and modulation are computed from the same
weights by other kernels. Benchmarks: ``benchmarks/fast_kernels.py``, ``benchmarks/fast_norms.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.activations import GELU
from diffusers.models.autoencoders.autoencoder_kl_wan import WanRMS_norm
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor, WanTransformerBlock
from torch.nn import functional


class RotarySelfAttention(WanAttnProcessor):
    """Self-attention whose rotary embedding is one complex product in place of ten strided passes; the same bytes.

    Cross-attention is left to the class that it stands for.
    """

    def __call__(
        self,
        attn: WanAttention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        rotary_emb: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        if rotary_emb is None:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)
        cos, sin = rotary_emb
        turn = torch.complex(cos[..., 0::2], sin[..., 1::2])
        query, key, value = (
            part.unflatten(2, (attn.heads, -1))
            for part in (
                attn.norm_q(attn.to_q(hidden_states)),
                attn.norm_k(attn.to_k(hidden_states)),
                attn.to_v(hidden_states),
            )
        )
        attended = functional.scaled_dot_product_attention(
            *(part.transpose(1, 2) for part in (_rotated(query, turn), _rotated(key, turn), value)),
            attn_mask=attention_mask,
        )
        return attn.to_out[0](attended.transpose(1, 2).flatten(2))


def _rotated(tokens: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    pairs = torch.view_as_complex(tokens.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2)


class FusedGELU(torch.nn.Module):
    """A linear layer and its GELU at once: oneDNN applies it while the product is still in the cache.

    Parameters
    ----------
    gelu : GELU
        Layer that it stands for; parameters keep their names.
    """

    def __init__(self, gelu: GELU):
        super().__init__()
        self.proj, self.approximate = gelu.proj, gelu.approximate

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(..., in) -> (..., out)."""
        weight, bias = self.proj.weight, self.proj.bias
        return torch.ops.mkldnn._linear_pointwise(hidden_states, weight, bias, "gelu", [], self.approximate)


@contextmanager
def fast_kernels(network: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """While this lasts, the blocks of a network on a CPU in float32 compute with these kernels; others are left alone.

    The answers are the same but for rounding (1e-5 of the mini reasoner's). They have no gradient.

    Parameters
    ----------
    network : WanTransformer3DModel
    device : torch.device
        Where it computes. Offloaded weights lie on the CPU until a hook inside the call moves them.
    """
    # A part's own weight is asked: the network's device and dtype are found among all of its parameters, every time.
    blocks = [block for block in network.blocks if device.type == "cpu" and _is_plain(block.attn1.to_q)]
    attentions = [block.attn1 for block in blocks if type(block.attn1.processor) is WanAttnProcessor]
    gelus = [(block.ffn.net, block.ffn.net[0]) for block in blocks if _is_plain_gelu(block.ffn.net[0])]
    norms = [
        norm
        for block in blocks
        for attention in (block.attn1, block.attn2)
        for norm in (attention.norm_q, attention.norm_k)
        if type(norm) is torch.nn.RMSNorm and norm.weight is not None
    ]
    # A forward of the block's own is a hook's, as accelerate puts there.
    modulated = [block for block in blocks if type(block) is WanTransformerBlock and "forward" not in vars(block)]
    processors = [attention.processor for attention in attentions]
    try:
        for attention in attentions:
            attention.set_processor(RotarySelfAttention())
        for layers, gelu in gelus:
            layers[0] = FusedGELU(gelu)
        for norm in norms:
            norm.forward = partial(_by_mean_square, weight=norm.weight, eps=norm.eps)
        for block in modulated:
            block.forward = partial(_modulated, block)
        yield
    finally:
        for attention, processor in zip(attentions, processors, strict=True):
            attention.set_processor(processor)
        for layers, gelu in gelus:
            layers[0] = gelu
        for replaced in (*norms, *modulated):
            del replaced.forward


def _is_plain(layer: torch.nn.Module) -> bool:
    # A layer that something else was put into, as an adapter is, must be called itself.
    if type(layer) is not torch.nn.Linear or not torch.backends.mkldnn.is_available():
        return False
    return layer.weight.device.type == "cpu" and layer.weight.dtype == torch.float32


def _is_plain_gelu(layer: torch.nn.Module) -> bool:
    return type(layer) is GELU and layer.approximate == "tanh" and _is_plain(layer.proj)


def _modulated(
    block: WanTransformerBlock,
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
    attended = block.attn1(torch.addcmul(shift, normed, 1 + scale, out=normed), None, None, rotary_emb)
    # A new tensor, since the given one is another's; what follows may write into it.
    hidden_states = torch.addcmul(hidden_states, attended, gate)
    hidden_states += block.attn2(block.norm2(hidden_states), encoder_hidden_states, None, None)
    normed = block.norm3(hidden_states)
    answer = block.ffn(torch.addcmul(ffn_shift, normed, 1 + ffn_scale, out=normed))
    return hidden_states.addcmul_(answer, ffn_gate)


def _by_mean_square(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """RMS norm over the last dim, in three passes over memory where torch takes four and more room."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return (x * length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()).mul_(weight)


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
    scaled = _by_mean_square(x.movedim(1, -1), norm.gamma.flatten(), eps=1e-30)
    return scaled.movedim(-1, 1) + norm.bias
