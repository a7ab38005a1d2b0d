"""The networks that bench/torch_exports.py exports: small, of random weights, one of each kind.

`networks()` is the list. Inputs are (name, tensor); `dynamic` names extents that stay open in the
exported file, as (input, axis) -> (symbol, size of a second run).
"""

import dataclasses
from typing import Any, Callable, Dict, List, Optional, Tuple

import torch
from torch import nn


@dataclasses.dataclass
class Network:
    name: str
    kind: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], List[Tuple[str, torch.Tensor]]]
    dynamic: Dict[Tuple[str, int], Tuple[str, int]] = dataclasses.field(default_factory=dict)
    takes_list: bool = False  # of pictures, as torchvision's detectors do
    packages: Tuple[str, ...] = ()


BATCH = {("x", 0): ("batch", 3)}


def picture(size: int, batch: int = 1) -> Callable[[], List[Tuple[str, torch.Tensor]]]:
    return lambda: [("x", torch.randn(batch, 3, size, size))]


def tokens(count: int = 12, masked: bool = True, most: int = 90) -> Callable[[], Any]:
    def make() -> List[Tuple[str, torch.Tensor]]:
        given = [("ids", torch.randint(1, most, (1, count)))]
        return given + ([("mask", torch.ones(1, count, dtype=torch.int64))] if masked else [])
    return make


def token_count(names: Tuple[str, ...] = ("ids", "mask")) -> Dict[Tuple[str, int], Tuple[str, int]]:
    return {(name, 1): ("tokens", 17) for name in names}


class Picked(nn.Module):
    """A model of transformers with plain arguments and some of its outputs."""

    def __init__(self, model: nn.Module, names: Tuple[str, ...], pick: Tuple[str, ...]):
        super().__init__()
        self.model, self.names, self.pick = model, names, pick

    def forward(self, *given: torch.Tensor) -> Any:
        found = self.model(**dict(zip(self.names, given)))
        results = tuple(getattr(found, name) for name in self.pick)
        return results[0] if len(results) == 1 else results


# --- Networks of our own -------------------------------------------------------------------------

class Recurrent(nn.Module):
    def __init__(self, cell: str):
        super().__init__()
        self.cell = getattr(nn, cell)(16, 24, 2, batch_first=True, bidirectional=True)
        self.out = nn.Linear(48, 5)

    def forward(self, x):
        return self.out(self.cell(x)[0])


class StatefulLstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(16, 24)

    def forward(self, x, h, c):
        y, (h, c) = self.cell(x, (h, c))
        return y, h, c


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([self.block(3, 8), self.block(8, 16)])
        self.middle = self.block(16, 32)
        self.grow = nn.ModuleList([nn.ConvTranspose2d(a, b, 2, 2) for a, b in ((32, 16), (16, 8))])
        self.up = nn.ModuleList([self.block(32, 16), self.block(16, 8)])
        self.out = nn.Conv2d(8, 4, 1)

    @staticmethod
    def block(a: int, b: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU())

    def forward(self, x):
        kept = []
        for block in self.down:
            x = block(x)
            kept.append(x)
            x = nn.functional.max_pool2d(x, 2)
        x = self.middle(x)
        for grow, block, other in zip(self.grow, self.up, reversed(kept)):
            x = block(torch.cat([grow(x), other], 1))
        return self.out(x)


class Yolo(nn.Module):
    """A detector with boxes, classes and non-maximum suppression in the graph."""

    def __init__(self, classes: int = 5):
        super().__init__()
        self.stem = nn.Sequential(*[nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.SiLU())
                                    for a, b in ((3, 8), (8, 16), (16, 32))])
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.head = nn.Conv2d(64, 4 + classes, 1)

    def forward(self, x):
        import torchvision
        y = self.stem(x)
        y = self.head(torch.cat([y, self.pool(y)], 1))
        rows = torch.arange(y.shape[2], dtype=y.dtype)
        grid = torch.stack(torch.meshgrid(rows, rows, indexing="xy"), 0)
        centre = (y[:, :2].sigmoid() + grid) * 8
        half = y[:, 2:4].exp() * 8
        boxes = torch.cat([centre - half, centre + half], 1).flatten(2).transpose(1, 2)[0]
        scores, classes = y[:, 4:].sigmoid().flatten(2).transpose(1, 2)[0].max(1)
        enough = scores > 0.5
        boxes, scores, classes = boxes[enough], scores[enough], classes[enough]
        kept = torchvision.ops.nms(boxes, scores, 0.45)
        return boxes[kept], scores[kept], classes[kept]


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        layers: List[nn.Module] = [nn.ConvTranspose2d(16, 32, 4, 1), nn.BatchNorm2d(32), nn.ReLU()]
        for a, b in ((32, 16), (16, 8)):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(8, 3, 3, 2, 1, 1), nn.Tanh())

    def forward(self, z):
        return self.layers(z)


class Style(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(4), nn.Conv2d(3, 8, 9), nn.InstanceNorm2d(8, affine=True), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.InstanceNorm2d(16), nn.ReLU(),
            nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(16, 3, 3, padding=1))

    def forward(self, x):
        return self.layers(x)


class SuperResolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.PReLU(16),
                                    nn.Conv2d(16, 27, 3, padding=1), nn.PixelShuffle(3))

    def forward(self, x):
        return self.layers(x) + nn.functional.interpolate(x, scale_factor=3, mode="bicubic")


class Spectrum(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.layers = nn.Sequential(nn.Conv1d(33, 16, 3, padding=1), nn.ReLU(), nn.Conv1d(16, 4, 1))

    def forward(self, x):
        spectrum = torch.stft(x, 64, 16, window=self.window, center=False, return_complex=False)
        power = spectrum.pow(2).sum(-1)
        return self.layers(power.add(1e-6).log())


class StateSpace(nn.Module):
    """Mamba's block, its recurrence as a loop over time."""

    def __init__(self, width: int = 16, states: int = 4):
        super().__init__()
        self.enter = nn.Linear(width, 2 * width)
        self.mix = nn.Conv1d(width, width, 3, padding=2, groups=width)
        self.choose = nn.Linear(width, 2 * states + 1)
        self.decay = nn.Parameter(-torch.rand(width, states))
        self.out = nn.Linear(width, width)

    def forward(self, x):
        x, gate = self.enter(x).chunk(2, -1)
        x = nn.functional.silu(self.mix(x.transpose(1, 2))[..., :x.shape[1]].transpose(1, 2))
        step, to, read = self.choose(x).split([1, self.decay.shape[1], self.decay.shape[1]], -1)
        step = nn.functional.softplus(step)
        state = x.new_zeros(x.shape[0], x.shape[2], self.decay.shape[1])
        ys = []
        for t in range(x.shape[1]):
            moved = torch.exp(step[:, t, :, None] * self.decay)
            state = moved * state + (step[:, t] * x[:, t])[..., None] * to[:, t, None]
            ys.append((state * read[:, t, None]).sum(-1))
        return self.out(torch.stack(ys, 1) * nn.functional.silu(gate))


class Conformer(nn.Module):
    def __init__(self, width: int = 32):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])
        self.feeds = nn.ModuleList([nn.Sequential(nn.Linear(width, 64), nn.SiLU(),
                                                  nn.Linear(64, width)) for _ in range(2)])
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.enter = nn.Conv1d(width, 2 * width, 1)
        self.deep = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.bn = nn.BatchNorm1d(width)
        self.leave = nn.Conv1d(width, width, 1)

    def forward(self, x):
        x = x + 0.5 * self.feeds[0](self.norms[0](x))
        y = self.norms[1](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = nn.functional.glu(self.enter(self.norms[2](x).transpose(1, 2)), 1)
        x = x + self.leave(nn.functional.silu(self.bn(self.deep(y)))).transpose(1, 2)
        return self.norms[3](x + 0.5 * self.feeds[1](x))


class Sampler(nn.Module):
    """Deformable attention as RT-DETR has it: values are read where the queries point."""

    def __init__(self, width: int = 16, points: int = 4):
        super().__init__()
        self.value = nn.Conv2d(3, width, 3, 2, 1)
        self.point = nn.Linear(width, 2 * points)
        self.weight = nn.Linear(width, points)
        self.out = nn.Linear(width, width)

    def forward(self, x, queries):
        values = self.value(x)
        batch, count, _ = queries.shape
        places = self.point(queries).tanh().view(batch, count, -1, 2)
        read = nn.functional.grid_sample(values, places, mode="bilinear", align_corners=False)
        weights = self.weight(queries).softmax(-1)
        return self.out((read * weights[:, None]).sum(-1).transpose(1, 2))


class Unpooled(nn.Module):
    """SegNet's way up: what was the largest goes back to where it was."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        y, places = nn.functional.max_pool2d(self.a(x), 2, return_indices=True)
        return self.b(nn.functional.max_unpool2d(y, places, 2))


# --- Networks of packages ------------------------------------------------------------------------

def of_torchvision() -> List[Network]:
    import torchvision.models as tv
    found = []
    for name, kind in (("resnet18", "convolution"), ("mobilenet_v2", "convolution"),
                       ("mobilenet_v3_small", "convolution"), ("efficientnet_b0", "convolution"),
                       ("shufflenet_v2_x0_5", "convolution"), ("squeezenet1_1", "convolution"),
                       ("regnet_y_400mf", "convolution"), ("mnasnet0_5", "convolution"),
                       ("densenet121", "convolution"), ("convnext_tiny", "convolution"),
                       ("swin_t", "vision transformer"), ("swin_v2_t", "vision transformer")):
        found.append(Network(name, kind, lambda name=name: getattr(tv, name)(weights=None),
                             picture(64), {} if "swin" in name else dict(BATCH)))
    found.append(Network("googlenet", "convolution", lambda: tv.googlenet(
        weights=None, init_weights=False, aux_logits=False), picture(64)))
    found.append(Network("vit", "vision transformer", lambda: tv.VisionTransformer(
        32, 8, 2, 2, 32, 64), picture(32), dict(BATCH)))
    found.append(Network("maxvit", "vision transformer", lambda: tv.MaxVit(
        (64, 64), 16, 2, 8, [16, 32], [1, 1], 8, 0.0), picture(64)))
    seg = tv.segmentation
    for name in ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large", "fcn_resnet50"):
        found.append(Network(name, "segmentation", lambda name=name: Out(getattr(seg, name)(
            weights=None, weights_backbone=None)), picture(64)))
    det = tv.detection
    size = {"num_classes": 5, "min_size": 96, "max_size": 128}

    def on_resnet18(detector: Any, **more: Any) -> Callable[[], nn.Module]:
        pyramid = det.backbone_utils.resnet_fpn_backbone
        return lambda: detector(pyramid(backbone_name="resnet18", weights=None), **size, **more)

    makers = {
        "ssdlite": lambda: det.ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=5),
        # Thresholds below what weights that were never trained give, so that there are boxes.
        "fasterrcnn": on_resnet18(det.FasterRCNN),
        "retinanet": on_resnet18(det.RetinaNet, score_thresh=0.005),
        "fcos": on_resnet18(det.FCOS, score_thresh=0.05),
        "maskrcnn": on_resnet18(det.MaskRCNN, box_detections_per_img=5),
        "keypointrcnn": on_resnet18(det.KeypointRCNN, box_detections_per_img=5)}
    for name, make in makers.items():
        found.append(Network(name, "detection", make,
                             lambda: [("x", torch.rand(3, 96, 96))], takes_list=True))
    return found


class Out(nn.Module):
    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


class CachedGpt(nn.Module):
    """One step: the cache goes in and comes out."""

    def __init__(self, model: nn.Module, layers: int = 2):
        super().__init__()
        self.model, self.layers = model, layers

    def forward(self, ids, mask, *past):
        import transformers
        cache = transformers.DynamicCache()
        for layer in range(self.layers):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        found = self.model(ids, attention_mask=mask, past_key_values=cache, use_cache=True)
        layers = found.past_key_values.layers
        return (found.logits, *(value for layer in layers for value in (layer.keys, layer.values)))


def past_inputs(heads: int, width: int, masked: int = 8) -> Callable[[], Any]:
    def make() -> List[Tuple[str, torch.Tensor]]:
        given = [("ids", torch.randint(1, 90, (1, 1))),
                 ("mask", torch.ones(1, masked, dtype=torch.int64))]
        return given + [(f"past{i}", torch.randn(1, heads, masked - 1, width)) for i in range(4)]
    return make


PAST = {("mask", 1): ("tokens", 12), **{(f"past{i}", 2): ("past", 11) for i in range(4)}}


def of_transformers() -> List[Network]:
    import transformers as t
    small: Dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                             "intermediate_size": 64, "vocab_size": 100}
    plain = {"attn_implementation": "eager"}
    ids = ("input_ids", "attention_mask")

    def model(kind: str, config: Any) -> nn.Module:
        return getattr(t, kind)._from_config(config, **plain)

    def text(name: str, kind: str, config: Callable[[], Any], pick: str = "last_hidden_state",
             group: str = "text") -> Network:
        return Network(name, group, lambda: Picked(model(kind, config()), ids, (pick,)), tokens(),
                       token_count())

    rope = {**small, "num_key_value_heads": 2, "max_position_embeddings": 64, "use_cache": False}
    gpt2 = {"vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    t5 = {"vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
          "decoder_start_token_id": 0}
    whisper = {"vocab_size": 100, "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
               "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
               "decoder_ffn_dim": 64, "num_mel_bins": 16, "max_source_positions": 50,
               "max_target_positions": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
               "decoder_start_token_id": 1}
    resnet = {"embedding_size": 16, "hidden_sizes": [16, 24, 32, 40], "depths": [1, 1, 1, 1],
              "layer_type": "basic", "out_features": ["stage4"]}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
             "decoder_ffn_dim": 64, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}

    def decoder(kind: str, config: Callable[[], Any]) -> Callable[[], nn.Module]:
        return lambda: Picked(model(kind, config()).decoder, ("input_ids", "encoder_hidden_states"),
                              ("last_hidden_state",))

    def decoder_inputs(length: int) -> Callable[[], Any]:
        return lambda: [("ids", torch.randint(3, 90, (1, 6))),
                        ("memory", torch.randn(1, length, 32))]

    return [
        text("bert", "BertModel", lambda: t.BertConfig(**small)),
        text("distilbert", "DistilBertModel", lambda: t.DistilBertConfig(
            vocab_size=100, dim=32, n_layers=2, n_heads=4, hidden_dim=64)),
        text("roberta", "RobertaModel", lambda: t.RobertaConfig(**small)),
        text("gpt2", "GPT2LMHeadModel", lambda: t.GPT2Config(**gpt2, use_cache=False), "logits"),
        text("llama", "LlamaForCausalLM", lambda: t.LlamaConfig(**rope), "logits"),
        text("qwen2", "Qwen2ForCausalLM", lambda: t.Qwen2Config(**rope), "logits"),
        Network("gpt2_cache", "text with cache", lambda: CachedGpt(
            model("GPT2LMHeadModel", t.GPT2Config(**gpt2))), past_inputs(4, 8), dict(PAST)),
        Network("qwen2_cache", "text with cache", lambda: CachedGpt(
            model("Qwen2ForCausalLM", t.Qwen2Config(**{**rope, "use_cache": True}))),
            past_inputs(2, 8), dict(PAST)),
        text("t5_encoder", "T5EncoderModel", lambda: t.T5Config(**t5)),
        Network("t5_decoder", "text", decoder("T5Model", lambda: t.T5Config(
            **t5, use_cache=False)), decoder_inputs(9)),
        Network("whisper_encoder", "speech", lambda: Picked(model("WhisperModel", t.WhisperConfig(
            **whisper)).encoder, ("input_features",), ("last_hidden_state",)),
            lambda: [("x", torch.randn(1, 16, 100))]),
        Network("whisper_decoder", "speech", decoder("WhisperModel", lambda: t.WhisperConfig(
            **whisper, use_cache=False)), decoder_inputs(50)),
        Network("wav2vec2", "speech", lambda: Picked(model("Wav2Vec2Model", t.Wav2Vec2Config(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3), num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4, num_feat_extract_layers=2)), ("input_values",),
            ("last_hidden_state",)), lambda: [("x", torch.randn(1, 2000))]),
        Network("segformer", "segmentation", lambda: Picked(model(
            "SegformerForSemanticSegmentation", t.SegformerConfig(
                hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 3, 4],
                decoder_hidden_size=32, num_labels=5)), ("pixel_values",), ("logits",)),
            picture(64)),
        Network("detr", "detection", lambda: Picked(model("DetrForObjectDetection", t.DetrConfig(
            use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
            backbone_config=t.ResNetConfig(**resnet), num_queries=10, **heads)),
            ("pixel_values",), ("logits", "pred_boxes")), picture(64)),
        Network("clip_vision", "vision transformer", lambda: Picked(model(
            "CLIPVisionModel", t.CLIPVisionConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                image_size=32, patch_size=8)), ("pixel_values",), ("pooler_output",)), picture(32)),
        text("clip_text", "CLIPTextModel", lambda: t.CLIPTextConfig(
            **small, max_position_embeddings=32, bos_token_id=1, eos_token_id=2, pad_token_id=0)),
        text("mamba", "MambaModel", lambda: t.MambaConfig(
            vocab_size=100, hidden_size=16, state_size=4, num_hidden_layers=1, use_cache=False),
            group="state space"),
    ]


def of_timm() -> List[Network]:
    import timm
    import timm.layers
    timm.layers.set_fused_attn(False)
    sized = {"img_size": 64}
    return [Network("timm_" + name, kind, lambda name=name, options=options: timm.create_model(
        name, **options), picture(64))
        for name, kind, options in (
            ("convnext_atto", "convolution", {}), ("tf_efficientnetv2_b0", "convolution", {}),
            ("vit_tiny_patch16_224", "vision transformer", sized),
            ("mixer_s32_224", "vision transformer", sized),
            ("ghostnet_050", "convolution", {}))]


def of_our_own() -> List[Network]:
    sequence = {("x", 1): ("steps", 15)}
    series = [Network(cell.lower(), "recurrent", lambda cell=cell: Recurrent(cell),
                      lambda: [("x", torch.randn(2, 11, 16))], dict(sequence))
              for cell in ("LSTM", "GRU", "RNN")]
    return series + [
        Network("lstm_state", "recurrent", StatefulLstm, lambda: [
            ("x", torch.randn(5, 1, 16)), ("h", torch.randn(1, 1, 24)),
            ("c", torch.randn(1, 1, 24))]),
        Network("transformer_encoder", "text", lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2, enable_nested_tensor=False),
            lambda: [("x", torch.randn(2, 9, 32))], {("x", 1): ("steps", 14)}),
        Network("unet", "segmentation", UNet, picture(32), {("x", 2): ("rows", 48),
                                                           ("x", 3): ("columns", 64)}),
        Network("yolo", "detection", Yolo, picture(64)),
        Network("gan", "picture", Generator, lambda: [("z", torch.randn(1, 16, 1, 1))]),
        Network("style", "picture", Style, picture(32)),
        Network("super_resolution", "picture", SuperResolution, picture(16)),
        Network("spectrum", "speech", Spectrum, lambda: [("x", torch.randn(1, 512))]),
        Network("state_space", "state space", StateSpace, lambda: [("x", torch.randn(1, 7, 16))]),
        Network("conformer", "speech", Conformer, lambda: [("x", torch.randn(1, 13, 32))]),
        Network("deformable", "detection", Sampler, lambda: [
            ("x", torch.randn(1, 3, 32, 32)), ("queries", torch.randn(1, 9, 16))]),
        Network("unpool", "segmentation", Unpooled, picture(32)),
    ]


def networks(only: Optional[str] = None) -> List[Network]:
    found = of_our_own() + of_torchvision() + of_transformers() + of_timm()
    return [network for network in found if only is None or network.name in only.split(",")]
