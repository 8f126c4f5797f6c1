"""The loss curve of emu-tiny in plain PyTorch: the same first weights, the same batches, its own model and optimizer.

    python tools/goldens/training_curve.py FOLDER

FOLDER holds what tools/training-curve.mjs wrote: settings.json (sizes and recipe), initial.safetensors and
batches.safetensors (inputs named STEP/NAME). Writes torch.json there: loss.text, loss.visual and the norm of the gradient
before clipping, for every step. Nothing of Emu SDK is used: the model below is written from the papers and the names of
the published checkpoint.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

DTYPES = {"F32": np.float32, "I32": np.int32}


class Safetensors:
    """Tensors of a safetensors file, read when asked for."""

    def __init__(self, path):
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r")
        length = int(self.bytes[:8].view("<u8")[0])
        self.entries = json.loads(self.bytes[8:8 + length].tobytes())
        self.entries.pop("__metadata__", None)
        self.start = 8 + length

    def read(self, name):
        entry = self.entries[name]
        first, last = (self.start + offset for offset in entry["data_offsets"])
        values = np.frombuffer(self.bytes[first:last].tobytes(), DTYPES[entry["dtype"]])
        return torch.from_numpy(values.reshape(entry["shape"]).copy())


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def attend(q, k, v, heads, scale, mask=None):
    """Softmax attention on [B,T,H*K]; `mask` is added to the scores."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    scores = scale * q @ k.transpose(-1, -2)
    weights = torch.softmax(scores if mask is None else scores + mask, -1)
    return (weights @ v).transpose(1, 2).flatten(2)


class Emu:
    """EVA-ViT, Causal Transformer and LLaMA as one function of named parameters."""

    def __init__(self, parameters, sizes):
        self.p, self.sizes = parameters, sizes

    def vision(self, pixels):
        """pixels [P,3,S,S] -> features of class token and patches."""
        p, size = self.p, self.sizes["visual"]
        width, epsilon = size["width"], size["epsilon"]
        heads = width // size["headWidth"]

        def norm(x, name):
            return F.layer_norm(x, (width,), p[f"{name}.weight"], p[f"{name}.bias"], epsilon)

        patches = F.conv2d(pixels, p["visual.patch_embed.proj.weight"], p["visual.patch_embed.proj.bias"],
                           stride=size["patchSize"]).flatten(2).transpose(1, 2)
        x = torch.cat([p["visual.cls_token"].expand(len(pixels), -1, -1), patches], 1) + p["visual.pos_embed"]
        for index in range(size["layers"]):
            b = f"visual.blocks.{index}"
            q_bias, v_bias = p[f"{b}.attn.q_bias"], p[f"{b}.attn.v_bias"]
            bias = torch.cat([q_bias, torch.zeros_like(q_bias), v_bias])
            q, k, v = F.linear(norm(x, f"{b}.norm1"), p[f"{b}.attn.qkv.weight"], bias).chunk(3, -1)
            mixed = attend(q, k, v, heads, size["headWidth"] ** -0.5)
            x = x + F.linear(mixed, p[f"{b}.attn.proj.weight"], p[f"{b}.attn.proj.bias"])
            inner = F.gelu(F.linear(norm(x, f"{b}.norm2"), p[f"{b}.mlp.fc1.weight"], p[f"{b}.mlp.fc1.bias"]))
            x = x + F.linear(inner, p[f"{b}.mlp.fc2.weight"], p[f"{b}.mlp.fc2.bias"])
        return norm(x, "ln_visual")

    def embed_pictures(self, pixels):
        """pixels [P,3,S,S] -> N visual embeddings of each picture."""
        p, size = self.p, self.sizes["causalTransformer"]
        heads, epsilon, queries = size["heads"], size["epsilon"], size["queries"]
        features = self.vision(pixels)
        root = "cformer.cformer.block"
        table = p[f"{root}.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        bias = table[relative_buckets(size)].permute(2, 0, 1)
        bias = bias + torch.full((queries, queries), -math.inf).triu(1)
        x = p["cformer.causal_tokens"].expand(len(pixels), -1, -1)

        def layer(x, memory, name, mask):
            h = rms_norm(x, p[f"{name[0]}.layer_norm.weight"], epsilon)
            source = h if memory is None else memory
            q, k, v = (F.linear(y, p[f"{name[0]}.{name[1]}.{part}.weight"])
                       for y, part in ((h, "q"), (source, "k"), (source, "v")))
            return x + F.linear(attend(q, k, v, heads, 1.0, mask), p[f"{name[0]}.{name[1]}.o.weight"])

        for index in range(size["layers"]):
            b = f"{root}.{index}.layer"
            x = layer(x, None, (f"{b}.0", "SelfAttention"), bias)
            x = layer(x, features, (f"{b}.1", "EncDecAttention"), None)
            h = rms_norm(x, p[f"{b}.2.layer_norm.weight"], epsilon)
            inner = F.relu(F.linear(h, p[f"{b}.2.DenseReluDense.wi.weight"]))
            x = x + F.linear(inner, p[f"{b}.2.DenseReluDense.wo.weight"])
        x = rms_norm(x, p["cformer.cformer.final_layer_norm.weight"], epsilon)
        return F.linear(x, p["cformer.projection.weight"], p["cformer.projection.bias"])

    def decode(self, x, position, first_key):
        """x [B,T,D] -> states after the last layer, before the final norm; sequences of a row do not see each other."""
        p, size = self.p, self.sizes["llama"]
        heads, epsilon = size["heads"], size["epsilon"]
        head_width = size["width"] // heads
        length = x.shape[1]
        place = torch.arange(length)
        visible = (place[None, None] <= place[None, :, None]) & (place[None, None] >= first_key[:, :, None])
        mask = torch.zeros(visible.shape).masked_fill(~visible, -math.inf)[:, None]
        frequency = (size["ropeTheta"] ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)).float()
        angle = position.float()[..., None] * frequency
        cosine, sine = (t[:, :, None].float() for t in (angle.double().cos(), angle.double().sin()))

        def rotate(y):
            a, b = y.unflatten(-1, (heads, -1)).chunk(2, -1)
            return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1).flatten(2)

        for index in range(size["layers"]):
            b = f"decoder.lm.model.layers.{index}"
            h = rms_norm(x, p[f"{b}.input_layernorm.weight"], epsilon)
            q, k, v = (F.linear(h, p[f"{b}.self_attn.{part}_proj.weight"]) for part in "qkv")
            mixed = attend(rotate(q), rotate(k), v, heads, head_width ** -0.5, mask)
            x = x + F.linear(mixed, p[f"{b}.self_attn.o_proj.weight"])
            h = rms_norm(x, p[f"{b}.post_attention_layernorm.weight"], epsilon)
            gate, up = (F.linear(h, p[f"{b}.mlp.{part}_proj.weight"]) for part in ("gate", "up"))
            x = x + F.linear(F.silu(gate) * up, p[f"{b}.mlp.down_proj.weight"])
        return x

    def losses(self, batch):
        """Cross-entropy of text, squared error of the next visual embedding, both means over what is learned."""
        p, size = self.p, self.sizes["llama"]
        rows, length = batch["firstKey"].shape
        x = p["decoder.lm.model.embed_tokens.weight"][batch["ids"].long()]
        visual = self.embed_pictures(batch["pixels"]).flatten(0, 1)
        target = batch["visualTarget"].long()
        x = x.index_put((target[target >= 0],), visual[target >= 0])
        states = self.decode(x.view(rows, length, -1), batch["position"].view(rows, length), batch["firstKey"])
        states = rms_norm(states.flatten(0, 1), p["decoder.lm.model.norm.weight"], size["epsilon"])
        logits = F.linear(states[batch["textIndex"].long()], p["decoder.lm.lm_head.weight"])
        text = F.cross_entropy(logits, batch["textTarget"].long(), ignore_index=-100, reduction="none")
        predicted = F.linear(states[batch["visualIndex"].long()], p["decoder.lm.stu_regress_head.weight"])
        labels = x[batch["visualLabel"].long()].detach()
        squares = (predicted - labels).pow(2).mean(-1)
        return (text * batch["textWeight"]).sum(), (squares * batch["visualWeight"]).sum()


def relative_buckets(size):
    """T5's buckets of the distance back to a key (bidirectional=False)."""
    count, furthest = size["relativeAttentionBuckets"], size["relativeAttentionMaxDistance"]
    exact = count // 2
    distance = (torch.arange(size["queries"])[:, None] - torch.arange(size["queries"])).clamp(min=0)
    far = exact + (torch.log(distance.clamp(min=1) / exact) / math.log(furthest / exact) * (count - exact)).long()
    return torch.where(distance < exact, distance, far.clamp(max=count - 1))


def optimizer_of(parameters, recipe):
    """AdamW; the vision encoder has a rate of its own, norms, biases, class token and positions do not decay."""
    (rule,) = recipe["parameter_rules"]
    groups = {}
    for name, value in parameters.items():
        is_visual = name.startswith(("visual.", "ln_visual."))
        decays = value.dim() >= 2 and name not in ("visual.cls_token", "visual.pos_embed")
        groups.setdefault((is_visual, decays), []).append(value)
    return torch.optim.AdamW(
        [{"params": values, "weight_decay": recipe["weight_decay"] if decays else 0.0,
          "peak": rule["learning_rate"] if is_visual else recipe["learning_rate"]}
         for (is_visual, decays), values in groups.items()],
        betas=(recipe["adam_beta1"], recipe["adam_beta2"]), eps=recipe["adam_epsilon"])


def schedule(recipe, step):
    """Linear warm-up and half a cosine; `step` counts from 0."""
    warmup, steps, least = recipe["warmup_steps"], recipe["max_steps"], recipe["min_learning_rate_ratio"]
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return least + (1 - least) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def main():
    # One thread: sums in one order, and no two threads that wait for each other on a busy machine.
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text())
    recipe = settings["recipe"]
    initial, batches = (Safetensors(folder / f"{name}.safetensors") for name in ("initial", "batches"))
    parameters = {name: initial.read(name).requires_grad_() for name in initial.entries}
    model, optimizer = Emu(parameters, settings["sizes"]), optimizer_of(parameters, recipe)
    names = {name.split("/")[1] for name in batches.entries}
    curve = {"loss.text": [], "loss.visual": [], "grad_norm": []}
    for step in range(settings["steps"]):
        text, visual = model.losses({name: batches.read(f"{step}/{name}") for name in names})
        (text + recipe["visual_weight"] * visual).backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), recipe["max_grad_norm"])
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(recipe, step)
        optimizer.step()
        optimizer.zero_grad()
        for name, value in (("loss.text", text), ("loss.visual", visual), ("grad_norm", norm)):
            curve[name].append(value.item())
        if (step + 1) % 20 == 0:
            print(f"PyTorch {step + 1}: text {text:.6f} visual {visual:.6f} norm {norm:.6f}", file=sys.stderr)
    (folder / "torch.json").write_text(json.dumps({"version": torch.__version__, **curve}))


main()
