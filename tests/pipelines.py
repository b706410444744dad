"""Tiny random Wan image-to-video pipelines, built on the spot: no hub, no network.

Sizes follow diffusers' own tests (tests/pipelines/wan): they run in milliseconds and mean nothing.
"""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
)

TEXT_DIM = 16
IMAGE_DIM = 4
FORMS = ("single", "two_networks", "ti2v")
SCHEDULERS = {
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": lambda: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, num_train_timesteps=1000
    ),
}


def build_pipeline(form: str, scheduler: str = "euler") -> WanImageToVideoPipeline:
    """A random pipeline of one of `FORMS` with one of `SCHEDULERS`, the same at each call."""
    torch.manual_seed(0)
    parts = {
        "tokenizer": _tokenizer(),
        "text_encoder": _text_encoder(),
        "scheduler": SCHEDULERS[scheduler](),
        "image_encoder": None,
        "image_processor": None,
        "transformer_2": None,
    }
    if form == "ti2v":
        parts |= {"vae": _vae_without_temporal_compression(), "transformer": _transformer(8, 8)}
    else:
        # Channels of the input: state, mask over the temporal factor, condition.
        in_channels = 16 + 4 + 16
        image_dim = IMAGE_DIM if form == "single" else None
        parts |= {"vae": _vae(), "transformer": _transformer(in_channels, 16, image_dim)}
        if form == "single":
            parts |= {"image_encoder": _image_encoder(), "image_processor": CLIPImageProcessor(crop_size=32, size=32)}
        else:
            parts |= {"transformer_2": _transformer(in_channels, 16)}
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return WanImageToVideoPipeline(
        **parts, boundary_ratio=0.875 if form == "two_networks" else None, expand_timesteps=form == "ti2v"
    )


def _transformer(in_channels: int, out_channels: int, image_dim: int | None = None) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=in_channels,
        out_channels=out_channels,
        text_dim=TEXT_DIM,
        freq_dim=16,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
        image_dim=image_dim,
        added_kv_proj_dim=24 if image_dim else None,
    )


def _vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


def _vae_without_temporal_compression() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=8,
        dim_mult=[1, 2],
        num_res_blocks=1,
        temperal_downsample=[False],
        latents_mean=[0.1] * 8,
        latents_std=[0.7] * 8,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_temporal=1,
        scale_factor_spatial=4,
    )


def _text_encoder() -> UMT5EncoderModel:
    config = UMT5Config(vocab_size=16, d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    return UMT5EncoderModel(config)


def _image_encoder() -> CLIPVisionModel:
    return CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=IMAGE_DIM,
            projection_dim=IMAGE_DIM,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
        )
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    words = ["<pad>", "</s>", "<unk>", "solve", "the", "maze", "fill", "gap", "blurred"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
