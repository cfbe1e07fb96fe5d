"""Golden trajectories of DDIM and DPM-Solver++(2M) from the diffusers package.

An elementwise noise prediction that both sides can compute stands in for the network:
epsilon(x, t) = s x / (0.25 a^2 + s^2) + 0.1 sin(3 x), with a^2 = alpha_bar_t, s^2 = 1 - a^2.

Needs: pip install diffusers==0.31.0 torch numpy "huggingface_hub<0.27"

    python scripts/golden/samplers.py --output harness/tests/data/samplers.json
"""

import argparse
import json
import sys
from pathlib import Path

import diffusers
import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

START = [-2.1, -0.7, -0.05, 0.0, 0.3, 1.1, 1.9, 3.2]
SCHEDULES = {
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
    "scaled_linear": {
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
    },
}


def epsilon(x: torch.Tensor, alpha_bar: float) -> torch.Tensor:
    """The stand-in for a network."""
    s2 = 1.0 - alpha_bar
    return s2**0.5 * x / (0.25 * alpha_bar + s2) + 0.1 * torch.sin(3.0 * x)


def trajectory(scheduler, n_steps: int) -> dict:
    """Timesteps and every state of one run."""
    scheduler.set_timesteps(n_steps)
    alpha_bars = scheduler.alphas_cumprod.double()
    x = torch.tensor(START, dtype=torch.float32).reshape(1, 1, 1, -1)
    states = []
    for t in scheduler.timesteps:
        e = epsilon(x, float(alpha_bars[int(t)]))
        x = scheduler.step(e, t, x).prev_sample
        states.append([float(v) for v in x.flatten()])
    return {
        "timesteps": [int(t) for t in scheduler.timesteps],
        "n_steps": n_steps,
        "states": states,
    }


def cases() -> list[dict]:
    """All runs."""
    out = []
    for name, betas in SCHEDULES.items():
        for n_steps in (7, 20, 50):
            for clip in (True, False):
                pixel = name == "linear"
                ddim = DDIMScheduler(
                    clip_sample=clip,
                    timestep_spacing="leading",
                    steps_offset=0 if pixel else 1,
                    set_alpha_to_one=pixel,
                    **betas,
                )
                run = trajectory(ddim, n_steps)
                out.append({"sampler": "ddim", "schedule": name, "clip": clip} | run)
            dpm = DPMSolverMultistepScheduler(
                algorithm_type="dpmsolver++",
                solver_order=2,
                solver_type="midpoint",
                timestep_spacing="linspace",
                final_sigmas_type="zero",
                lower_order_final=True,
                **betas,
            )
            run = trajectory(dpm, n_steps)
            out.append({"sampler": "dpm_pp_2m", "schedule": name, "clip": False} | run)
    return out


def main() -> int:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    document = {
        "tool": f"diffusers {diffusers.__version__}, torch {torch.__version__}, numpy {np.__version__}",
        "tolerance": "2e-5 absolute plus 2e-5 relative: the package computes in f32",
        "start": START,
        "cases": cases(),
    }
    output.write_text(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
