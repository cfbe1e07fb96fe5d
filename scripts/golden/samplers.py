"""Golden trajectories: samplers of the diffusers package and of the public EDM code.

An elementwise noise prediction that both sides can compute stands in for the network, at any noise level
x = a x_0 + s n:

    epsilon(x; a, s) = s x / (0.25 a^2 + s^2) + 0.1 sin(3 x / sqrt(a^2 + s^2))

EDM's code is asked for D = x - s epsilon (a = 1), a flow for its velocity u = (s - 0.25 a) x / (0.25 a^2 + s^2) +
0.1 sin(3 x). All schedulers are given float64 schedules and states, so that what is left of their f32 is below 1e-6.

Needs: pip install diffusers==0.42.1 torch==2.15.0 numpy==2.4.6, and `generate.py` of NVlabs/edm (its two samplers are
run as they stand; nothing of it is kept).

    python scripts/golden/samplers.py --edm generate.py --output harness/tests/data/samplers.json
"""

import argparse
import ast
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    KDPM2DiscreteScheduler,
    PNDMScheduler,
)
from diffusers.schedulers import scheduling_ddpm

sys.path.insert(0, str(Path(__file__).resolve().parent))
import noise

START = [-2.1, -0.7, -0.05, 0.0, 0.3, 1.1, 1.9, 3.2]
STEPS = (5, 10, 20, 50)
SEED = 3
SCHEDULES = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
}


# Of every sigma, and of a range of them as the paper's ImageNet settings have it, with their S_noise.
CHURNS = ({"s_churn": 8.0}, {"s_churn": 40.0, "s_min": 0.05, "s_max": 50.0, "s_noise": 1.003})


def epsilon(x: torch.Tensor, alpha_bar: float) -> torch.Tensor:
    """The stand-in for a network, a^2 = alpha_bar and s^2 = 1 - a^2."""
    s2 = 1.0 - alpha_bar
    return s2**0.5 * x / (0.25 * alpha_bar + s2) + 0.1 * torch.sin(3.0 * x)


def start() -> torch.Tensor:
    """The state that all trajectories begin at; f32 numbers, as ours are."""
    return torch.tensor(START, dtype=torch.float32).double().reshape(1, 1, 1, -1)


def row(x: torch.Tensor) -> list[float]:
    """A state as numbers."""
    return [float(f"{float(v):.10g}") for v in x.flatten()]


def in_double(scheduler):
    """The same scheduler over its own betas in float64."""
    config = scheduler.config
    n = config.num_train_timesteps
    if config.beta_schedule == "linear":
        betas = torch.linspace(config.beta_start, config.beta_end, n, dtype=torch.float64)
    else:
        betas = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, n, dtype=torch.float64) ** 2
    scheduler.betas = betas
    scheduler.alphas = 1.0 - betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, dim=0)
    if hasattr(scheduler, "alpha_t"):
        scheduler.alpha_t = scheduler.alphas_cumprod.sqrt()
        scheduler.sigma_t = (1.0 - scheduler.alphas_cumprod).sqrt()
        scheduler.lambda_t = torch.log(scheduler.alpha_t) - torch.log(scheduler.sigma_t)
        scheduler.sigmas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
    if hasattr(scheduler, "final_alpha_cumprod") and float(scheduler.final_alpha_cumprod) != 1.0:
        scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    return scheduler


def trajectory(scheduler, n_steps: int, **options: object) -> dict:
    """Timesteps and every state of one run, one evaluation a step."""
    scheduler.set_timesteps(n_steps)
    alpha_bars = scheduler.alphas_cumprod.double()
    x = start()
    states = []
    for t in scheduler.timesteps:
        e = epsilon(x, float(alpha_bars[int(t)]))
        x = scheduler.step(e, t, x, **options).prev_sample
        states.append(row(x))
    return {"timesteps": [int(t) for t in scheduler.timesteps], "n_steps": n_steps, "states": states}


def ancestral(scheduler, n_steps: int) -> dict:
    """As `trajectory`, with the keyed noise of sample 0 in the place of the package's."""
    at = {"step": 0}

    def keyed(shape: torch.Size, **_: object) -> torch.Tensor:
        case = (SEED, "ancestral", 0, at["step"], 0, 0)
        bits = [noise.normal(case, element) for element in range(len(START))]
        values = [struct.unpack("<f", struct.pack("<I", b))[0] for b in bits]
        return torch.tensor(values, dtype=torch.float64).reshape(shape)

    scheduling_ddpm.randn_tensor = keyed
    scheduler.set_timesteps(n_steps)
    x = start()
    states = []
    for at["step"], t in enumerate(scheduler.timesteps):
        e = epsilon(x, float(scheduler.alphas_cumprod[int(t)]))
        x = scheduler.step(e, t, x).prev_sample
        states.append(row(x))
    return {"timesteps": [int(t) for t in scheduler.timesteps], "n_steps": n_steps, "states": states}


def plms(scheduler, n_steps: int) -> dict:
    """PNDM asks twice at its first step: the second time is no step of ours."""
    scheduler.set_timesteps(n_steps)
    x = start()
    told, states = [], []
    for t in scheduler.timesteps:
        e = epsilon(x, float(scheduler.alphas_cumprod[int(t)]))
        x = scheduler.step(e, t, x).prev_sample
        told.append(int(t))
        states.append(row(x))
    return {
        "timesteps": [told[0], *told[2:]],
        "told": told,
        "n_steps": n_steps,
        "states": states[1:],
    }


def single_step(scheduler, n_steps: int) -> dict:
    """DPM-Solver-2 as the package's KDPM2: its states are x / a, and it asks twice a step but at the last."""
    scheduler.set_timesteps(n_steps)
    first = float(scheduler.sigmas[0])
    bar = start() * (first**2 + 1.0) ** 0.5
    told, states = [], []
    for t in scheduler.timesteps:
        step = 0 if scheduler.step_index is None else scheduler.step_index
        fresh = scheduler.state_in_first_order
        sigma = float(scheduler.sigmas[step] if fresh else scheduler.sigmas_interpol[step])
        alpha_bar = 1.0 / (1.0 + sigma**2)
        x = bar * alpha_bar**0.5
        bar = scheduler.step(epsilon(x, alpha_bar), t, bar).prev_sample
        told.append(float(t))
        if not fresh or len(told) == len(scheduler.timesteps):
            after = float(scheduler.sigmas[scheduler.step_index])
            states.append(row(bar / (after**2 + 1.0) ** 0.5))
    return {"timesteps": told[::2], "told": told, "n_steps": n_steps, "states": states}


def flow(shift: float, n_steps: int) -> dict:
    """Euler steps of a flow; the times are those that the network is told, of 1000."""
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=shift)
    scheduler.set_timesteps(n_steps)
    x = start()
    states = []
    for index, t in enumerate(scheduler.timesteps):
        s = float(scheduler.sigmas[index])
        u = (s - 0.25 * (1 - s)) * x / (0.25 * (1 - s) ** 2 + s**2) + 0.1 * torch.sin(3.0 * x)
        x = scheduler.step(u, t, x).prev_sample
        states.append(row(x))
    return {
        "sampler": "flow_euler",
        "shift": shift,
        "timesteps": [float(t) for t in scheduler.timesteps],
        "n_steps": n_steps,
        "states": states,
    }


class Denoiser:
    """D(x; sigma) of the stand-in, as EDM's samplers call a network; it remembers where it was asked."""

    sigma_min, sigma_max = 0.0, float("inf")

    def __init__(self) -> None:
        self.asked: list[tuple[float, list[float]]] = []

    def round_sigma(self, sigma: torch.Tensor) -> torch.Tensor:
        """All sigmas are supported."""
        return torch.as_tensor(sigma)

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, _labels: object) -> torch.Tensor:
        s = float(sigma)
        self.asked.append((s, row(x)))
        return x - s * (s * x / (0.25 + s**2) + 0.1 * torch.sin(3.0 * x / (1.0 + s**2) ** 0.5))


def keyed_noise(step: int) -> torch.Tensor:
    """The keyed noise of sample 0 at a step."""
    case = (SEED, "ancestral", 0, step, 0, 0)
    bits = [noise.normal(case, element) for element in range(len(START))]
    values = [struct.unpack("<f", struct.pack("<I", b))[0] for b in bits]
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def churned(n_steps: int, churn: dict) -> Callable:
    """What stands for `torch.randn_like`, asked once a step.

    Our walk is handed its first state as it is when it was raised, `t_hat start`. The public code adds noise to `t start`:
    at the first step it gets that which leads there.
    """
    sigma = 80.0
    inside = churn.get("s_min", 0.0) <= sigma <= churn.get("s_max", np.inf)
    gamma = min(churn.get("s_churn", 0.0) / n_steps, np.sqrt(2) - 1) if inside else 0.0
    hat = sigma * (1.0 + gamma)
    asked = {"n": 0}

    def given(x: torch.Tensor) -> torch.Tensor:
        step = asked["n"]
        asked["n"] += 1
        if step > 0:
            return keyed_noise(step)
        if gamma == 0.0:
            return torch.zeros_like(x)
        return (hat - sigma) / (np.sqrt(hat**2 - sigma**2) * churn.get("s_noise", 1.0)) * start()

    return given


def edm(samplers: dict[str, Callable], n_steps: int, churn: dict) -> list[dict]:
    """Heun and Euler of the public EDM code, with this churn."""
    out = []
    words = {"s_churn": "S_churn", "s_min": "S_min", "s_max": "S_max", "s_noise": "S_noise"}
    given = {words[key]: value for key, value in churn.items()}
    for name, every in (("edm_heun", 2), ("edm_euler", 1)):
        net = Denoiser()
        given["randn_like"] = churned(n_steps, churn)
        if name == "edm_heun":
            end = samplers["edm_sampler"](net, start(), num_steps=n_steps, **given)
        else:
            end = samplers["ablation_sampler"](net, start(), num_steps=n_steps, solver="euler", **given)
        steps = net.asked[::every]
        out.append(
            {
                "sampler": name,
                **({"churn": churn} if churn else {}),
                "timesteps": [sigma for sigma, _ in steps],
                "told": [sigma for sigma, _ in net.asked],
                "n_steps": n_steps,
                "states": [x for _, x in steps[1:]] + [row(end)],
            }
        )
    return out


def edm_samplers(source: Path) -> dict[str, Callable]:
    """The two sampler functions of `generate.py`, without what else it imports."""
    tree = ast.parse(source.read_text())
    wanted = ("edm_sampler", "ablation_sampler")
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in wanted]
    scope: dict[str, object] = {"torch": torch, "np": np}
    exec(compile(tree, str(source), "exec"), scope)  # noqa: S102
    return {name: scope[name] for name in wanted}


def discrete(name: str, betas: dict) -> list[dict]:
    """Every sampler over training steps."""
    pixel = name == "linear"
    out = []

    def add(sampler: str, run: dict, **what: object) -> None:
        out.append({"sampler": sampler, "schedule": name, "clip": False} | what | run)

    common = {"steps_offset": 0 if pixel else 1} | betas
    for n_steps in STEPS:
        for clip in (True, False):
            ddim = {"clip_sample": clip, "set_alpha_to_one": pixel, "timestep_spacing": "leading"} | common
            add("ddim", trajectory(in_double(DDIMScheduler(**ddim)), n_steps), clip=clip, grid="leading")
        ddim = {"clip_sample": False, "set_alpha_to_one": pixel} | common
        run = trajectory(in_double(DDIMScheduler(timestep_spacing="trailing", **ddim)), n_steps)
        add("ddim", run, grid="trailing")
        # Its own step from t ends at t - T // N, which is not the next time of this grid: times alone are compared.
        run = trajectory(in_double(DDIMScheduler(timestep_spacing="linspace", **ddim)), n_steps)
        add("ddim", run | {"states": []}, grid="ddim_linspace")
        dpm = DPMSolverMultistepScheduler(
            algorithm_type="dpmsolver++",
            solver_order=2,
            solver_type="midpoint",
            timestep_spacing="linspace",
            final_sigmas_type="zero",
            lower_order_final=True,
            **betas,
        )
        add("dpm_solver_pp_2m", trajectory(in_double(dpm), n_steps), grid="dpm_linspace")
        for spacing, grid in (("leading", "leading"), ("trailing", "trailing"), ("linspace", "ddim_linspace")):
            ddpm = {"clip_sample": pixel, "timestep_spacing": spacing} | common
            small = DDPMScheduler(variance_type="fixed_small", **ddpm)
            add("ddpm", ancestral(in_double(small), n_steps), clip=pixel, grid=grid, variance="small")
        if pixel:
            large = DDPMScheduler(variance_type="fixed_large", clip_sample=False, timestep_spacing="leading", **common)
            add("ddpm", ancestral(in_double(large), n_steps), grid="leading", variance="large")
        for spacing in ("leading", "trailing"):
            kdpm2 = KDPM2DiscreteScheduler(timestep_spacing=spacing, **common)
            add("dpm_solver_2", single_step(in_double(kdpm2), n_steps), grid=spacing)
        pndm = PNDMScheduler(skip_prk_steps=True, set_alpha_to_one=pixel, timestep_spacing="leading", **common)
        add("pndm", plms(in_double(pndm), n_steps), grid="leading")
    return out


def zero_snr(n_steps: int, *, held: bool) -> dict:
    """DDIM over a schedule that was rescaled to no signal at the end, of v = 0.75 a s x / (0.25 a^2 + s^2) + 0.1 sin(3 x).

    The package's DDIM has a = 0 at its first step. Ours holds it at 2^-8; `held` sets the package's so too.
    """
    scheduler = DDIMScheduler(
        rescale_betas_zero_snr=True,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        **SCHEDULES["scaled_linear"],
    )
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha_bars = torch.cumprod(1.0 - rescale_zero_terminal_snr(betas), dim=0)
    if float((scheduler.alphas_cumprod - alpha_bars).abs().max()) > 1e-6:
        raise AssertionError("the scheduler's own alpha_bars are others")
    if held:
        alpha_bars = alpha_bars.clamp(min=2.0**-16)
    scheduler.alphas_cumprod = alpha_bars
    scheduler.final_alpha_cumprod = alpha_bars[0]
    scheduler.set_timesteps(n_steps)
    x = start()
    states = []
    for t in scheduler.timesteps:
        a, s = float(alpha_bars[int(t)]) ** 0.5, float(1.0 - alpha_bars[int(t)]) ** 0.5
        v = 0.75 * a * s * x / (0.25 * a**2 + s**2) + 0.1 * torch.sin(3.0 * x)
        x = scheduler.step(v, t, x).prev_sample
        states.append(row(x))
    return {
        "sampler": "ddim",
        "schedule": "zero_snr",
        "held": held,
        "clip": False,
        "grid": "trailing",
        "timesteps": [int(t) for t in scheduler.timesteps],
        "n_steps": n_steps,
        "states": states,
    }


def rescaled() -> dict:
    """sqrt(alpha_bar) of the scaled-linear schedule, rescaled to no signal at the end, at some times."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    alpha_bars = torch.cumprod(1.0 - rescale_zero_terminal_snr(betas), dim=0)
    capped = DDIMScheduler(beta_schedule="squaredcos_cap_v2").betas
    return {
        "times": [0, 1, 250, 500, 750, 990],
        "alpha_bars": [float(alpha_bars[t]) for t in (0, 1, 250, 500, 750, 990)],
        "squared_cosine_betas": [float(capped[t]) for t in (0, 1, 250, 500, 750, 990)],
    }


def main() -> int:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edm", type=Path, required=True, help="generate.py of NVlabs/edm")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    samplers = edm_samplers(options.edm)
    cases = [case for name, betas in SCHEDULES.items() for case in discrete(name, betas)]
    cases += [flow(shift, n_steps) for shift in (1.0, 3.0) for n_steps in STEPS]
    cases += [case for n_steps in STEPS for case in edm(samplers, n_steps, {})]
    cases += [case for churn in CHURNS for n_steps in STEPS for case in edm(samplers, n_steps, churn)]
    cases += [zero_snr(n_steps, held=held) for held in (True, False) for n_steps in STEPS]
    document = {
        "tool": f"diffusers {diffusers.__version__}, torch {torch.__version__}, numpy {np.__version__}, NVlabs/edm 008a4e5",
        "tolerance": "1e-5 of the larger of 1 and the value",
        "seed": SEED,
        "start": START,
        "schedules": rescaled(),
        "cases": cases,
    }
    options.output.write_text(json.dumps(document) + "\n")
    print(f"{len(cases)} trajectories")
    return 0


if __name__ == "__main__":
    sys.exit(main())
