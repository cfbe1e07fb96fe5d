"""The recipe of a network in the words of its card, from what the trainer stored with the weights."""

import json

FIXED = """\
v-prediction (arXiv:2202.00512); timesteps stratified over each batch; AdamW (betas 0.9, 0.99, weight decay 0.01); learning
rate brought down linearly at the end; gradient norm clipped to 1; dropout between the second SiLU and convolution of each
residual block. Weights of the loss: `min-snr` with gamma = 5 (arXiv:2303.09556), `v` and `epsilon` the plain square of either."""
SEEDED = """\
Noise and the order of images are seeded; dropout masks and the order of sums depend on how threads are scheduled, so a
second run gives close, not equal, weights."""
# Of weights that say nothing of their recipe: the trainer had one.
FIRST = """\
The first version of `scripts/train/train.py` at its defaults. v-prediction (arXiv:2202.00512) with min-SNR weights, gamma = 5
(arXiv:2303.09556); timesteps stratified over each batch of 64; AdamW (betas 0.9, 0.99, weight decay 0.01), learning
rate 4e-4 after a warm-up of 20,000 images, brought down linearly over the last part; gradient norm clipped to 1;
dropout 0.1 between the second SiLU and convolution of each residual block; exponential moving average
of the weights, decay 0.9995 with warm-up. The average is what ships, {stored}. {precision} Noise and the order of
images are seeded; dropout masks and the order of sums depend on how threads are scheduled, so a second run gives close, not
equal, weights."""


def row(stage: dict) -> str:
    """One line of the table: what held after so many images."""
    words = [f"{stage['after_images']:,}", stage["loss_weights"], f"{stage['learning_rate']:g}", f"{stage['dropout']:g}"]
    words += ["mirrored at random" if stage["flips"] else "as they are", str(stage["batch"]), stage["precision"]]
    return "| " + " | ".join(words) + " |"


def text(metadata: dict[str, str], precision: str, stored: str) -> str:
    """Paragraphs of the card; `precision` is what its author adds for weights of the first trainer, `stored` how they ship."""
    if "recipe" not in metadata:
        return FIRST.format(precision=precision, stored=stored)
    header = ["after images", "weights of the loss", "learning rate", "dropout", "images", "batch", "layers in"]
    stages = json.loads(metadata["recipe"])
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |", *map(row, stages)]
    half_life = f"{int(metadata['half_life']):,}"
    average = f"What ships is a moving average of the weights with a half-life of {half_life} images, {stored}."
    first = [f"The first line: {precision}"] if stages[0].get("first_trainer") and precision else []
    return "\n\n".join([FIXED, "\n".join(lines), *first, f"{average}\n{SEEDED}"])
