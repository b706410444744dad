"""The mini reasoner's parts: a Wan2.2-TI2V-5B in miniature, of diffusers' own classes.

The VAE is frame-wise: the taps of its causal convolutions that look at earlier frames are zero and, since it is trained
on single frames, stay zero. What is read in frame f of a decoded clean estimate therefore comes from latent frame f
alone; no order between frames is added by the decoder.
"""

from __future__ import annotations

import re

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanImageToVideoPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from chainofsteps.models.frame_wise import causal_convolutions


def build_vae(architecture: dict, seed: int) -> AutoencoderKLWan:
    """A frame-wise AutoencoderKLWan with random weights from ``seed``."""
    torch.manual_seed(seed)
    vae = AutoencoderKLWan(**architecture)
    with torch.no_grad():
        for conv in causal_convolutions(vae):
            conv.weight[:, :, :-1] = 0
    return vae


def build_transformer(architecture: dict, seed: int) -> WanTransformer3DModel:
    """A WanTransformer3DModel in the TI2V form with random weights from ``seed``."""
    torch.manual_seed(seed)
    return WanTransformer3DModel(**architecture)


def build_tokenizer(prompts: list[str], length: int) -> PreTrainedTokenizerFast:
    """A word-level tokenizer of the words of the prompts; other words are ``<unk>``.

    Parameters
    ----------
    prompts : list of str
    length : int
        Longest prompt in tokens, the end mark included.
    """
    words = sorted({word for prompt in prompts for word in re.findall(r"\w+", prompt.lower())})
    vocabulary = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length
    )


def build_text_encoder(architecture: dict, vocabulary: int, seed: int) -> UMT5EncoderModel:
    """A UMT5 encoder with random weights from ``seed``, not trained: distinct prompts need distinct codes only."""
    torch.manual_seed(seed)
    return UMT5EncoderModel(UMT5Config(vocab_size=vocabulary, **architecture)).eval()


def choose_text_encoder(
    start: WanImageToVideoPipeline, tokenizer: PreTrainedTokenizerFast, new: UMT5EncoderModel
) -> UMT5EncoderModel:
    """The text encoder for a transformer taken over from ``start``: it knows prompts only as that encoder embeds them.

    That of ``start`` where the tokenizers hold the same words, else the new one, whose prompts are to be learned anew.
    """
    return start.text_encoder if start.tokenizer.get_vocab() == tokenizer.get_vocab() else new


def build_pipeline(
    vae: AutoencoderKLWan,
    transformer: WanTransformer3DModel,
    tokenizer: PreTrainedTokenizerFast,
    text_encoder: UMT5EncoderModel,
    shift: float,
) -> WanImageToVideoPipeline:
    """Join the parts to a pipeline in the TI2V form, with a flow-match Euler scheduler of that shift."""
    pipe = WanImageToVideoPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
        expand_timesteps=True,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def normalise(latents: torch.Tensor, vae: AutoencoderKLWan) -> torch.Tensor:
    """Latents (batch, channel, frame, row, col) from the VAE's own scale to zero mean and unit variance by channel."""
    mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1).to(latents)
    std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1).to(latents)
    return (latents - mean) / std
