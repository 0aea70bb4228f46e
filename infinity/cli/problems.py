r"""Test functions of the surrogate-modelling literature: `y = f(x)` with `x` uniform in a box; and a signal of one atom.

    borehole   2π T_u (H_u − H_l) / (ln(r/r_w) (1 + 2 L T_u / (ln(r/r_w) r_w² K_w) + T_u/T_l))
    piston     2π √(M / (k + S² P₀V₀T_a / (T₀V²)))
    OTL        (V_b1 + 0.74) b / (b + R_f) + 11.35 R_f / (b + R_f) + 0.74 R_f b / ((b + R_f) R_c1),  b = β (R_c2 + 9)
    wing       0.036 S^0.758 W_fw^0.0035 (A/cos²Λ)^0.6 q^0.006 λ^0.04 (100 t_c/cosΛ)^−0.3 (N_z W_dg)^0.49 + S W_p
    damped     (3/2) e^(−3t/10) cos(3t + ½)  at equal times
    Basquin    log10 N = (log10(σ_max ((1 − R)/2)^0.45) − log10 σ_f)/b − log10 2,  σ_f = 1500 MPa, b = −0.12  (with Walker's mean stress)
    Goodman    σ_ar = σ_a / (1 − σ_m/σ_u)
    hardness   H = P / (24.5 (h − 0.75 P/S)²)  (Oliver and Pharr)
    Goldman    V = R T/F ln((K_o + 0.04 Na_o)/(K_i + 0.04 Na_i))  (membrane potential, mV)
    Friedman 1 10 sin(π x₀ x₁) + 20 (x₂ − ½)² + 10 x₃ + 5 x₄  (five more inputs do nothing)

Ranges as in S. Surjanovic and D. Bingham, *Virtual Library of Simulation Experiments*.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Problem:
    """A function on a box.

    **Arguments:**

    - `ranges`: `{input: (low, high)}`.
    - `target`: the name of the value.
    - `function`: takes the inputs as keywords, each of shape `(N,)`.
    - `source`: where it is from.
    - `equal`: points of one input at equal steps from end to end, as of a signal, instead of random ones.
    - `law`: the formula as text, for those that are looked for.
    """

    ranges: Mapping[str, tuple[float, float]]
    target: str
    function: Callable[..., np.ndarray]
    source: str
    equal: bool = False
    law: str = ""

    def sample(self, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw uniform points, or take them at equal steps: `x` of shape `(samples, D)` and `y` of shape `(samples,)`."""
        low, high = np.array(list(self.ranges.values())).T
        if self.equal:
            x = np.linspace(low, high, samples)
        else:
            x = np.random.default_rng(seed).uniform(low, high, (samples, len(low)))
        return x, self.function(**dict(zip(self.ranges, x.T, strict=True)))

    def outside(self, samples: int, seed: int, part: float) -> tuple[np.ndarray, np.ndarray]:
        """Points of a box that is wider by a part of each range at both ends, outside the box itself, where the function has a value."""
        low, high = np.array(list(self.ranges.values())).T
        wide = part * (high - low)
        x = np.random.default_rng(seed).uniform(low - wide, high + wide, (4 * samples, len(low)))
        x = x[np.any((x < low) | (x > high), axis=1)][:samples]
        with np.errstate(all="ignore"):
            y = self.function(**dict(zip(self.ranges, x.T, strict=True)))
        known = np.isfinite(y)
        return x[known], y[known]


def borehole(rw, r, Tu, Hu, Tl, Hl, L, Kw):
    """Water flow through a borehole, m³ a year."""
    log = np.log(r / rw)
    return 2 * np.pi * Tu * (Hu - Hl) / (log * (1 + 2 * L * Tu / (log * rw**2 * Kw) + Tu / Tl))


def piston(M, S, V0, k, P0, Ta, T0):
    """Time that a piston takes for one cycle, s."""
    A = P0 * S + 19.62 * M - k * V0 / S
    V = S / (2 * k) * (np.sqrt(A**2 + 4 * k * P0 * V0 * Ta / T0) - A)
    return 2 * np.pi * np.sqrt(M / (k + S**2 * P0 * V0 * Ta / (T0 * V**2)))


def otl_circuit(Rb1, Rb2, Rf, Rc1, Rc2, beta):
    """Midpoint voltage of an output-transformerless push-pull circuit, V."""
    Vb1 = 12 * Rb2 / (Rb1 + Rb2)
    b = beta * (Rc2 + 9)
    return (Vb1 + 0.74) * b / (b + Rf) + 11.35 * Rf / (b + Rf) + 0.74 * Rf * b / ((b + Rf) * Rc1)


def wing_weight(Sw, Wfw, A, Lambda, q, taper, tc, Nz, Wdg, Wp):
    """Weight of a light aircraft's wing, lb; the sweep Λ in degrees."""
    cos = np.cos(np.deg2rad(Lambda))
    lift = 0.036 * Sw**0.758 * Wfw**0.0035 * (A / cos**2) ** 0.6 * q**0.006 * taper**0.04
    return lift * (100 * tc / cos) ** -0.3 * (Nz * Wdg) ** 0.49 + Sw * Wp


def friedman1(x0, x1, x2, x3, x4, **inactive):
    """Friedman's first function, of ten inputs of which five matter."""
    return 10 * np.sin(np.pi * x0 * x1) + 20 * (x2 - 0.5) ** 2 + 10 * x3 + 5 * x4


def basquin_walker(smax, R):
    """Life of a notch-free specimen under a cycle from R smax to smax: log10 of the number of cycles."""
    amplitude = smax * ((1 - R) / 2) ** 0.45
    return (np.log10(amplitude) - np.log10(1500.0)) / -0.12 - np.log10(2)


def goodman(sa, sm, su):
    """Amplitude without mean stress that does the same harm, MPa."""
    return sa / (1 - sm / su)


def oliver_pharr(P, h, S):
    """Hardness from load (mN), depth (µm) and unloading stiffness (mN/µm) of a Berkovich indenter, GPa."""
    return P / (24.5 * (h - 0.75 * P / S) ** 2)


def goldman(T, Ko, Nao, Ki, Nai):
    """Potential across a membrane that potassium passes and sodium hardly, mV."""
    return 1e3 * 8.314462618 / 96485.33212 * T * np.log((Ko + 0.04 * Nao) / (Ki + 0.04 * Nai))


def damped_oscillation(t):
    """One exponential-trigonometric atom: a release that rings down."""
    return 1.5 * np.exp(-0.3 * t) * np.cos(3 * t + 0.5)


PROBLEMS: dict[str, Problem] = {
    "borehole": Problem(
        {
            "rw": (0.05, 0.15), "r": (100.0, 50000.0), "Tu": (63070.0, 115600.0), "Hu": (990.0, 1110.0),
            "Tl": (63.1, 116.0), "Hl": (700.0, 820.0), "L": (1120.0, 1680.0), "Kw": (9855.0, 12045.0),
        },
        "flow", borehole, "Harper and Gupta 1983",
    ),
    "piston": Problem(
        {
            "M": (30.0, 60.0), "S": (0.005, 0.020), "V0": (0.002, 0.010), "k": (1000.0, 5000.0),
            "P0": (90000.0, 110000.0), "Ta": (290.0, 296.0), "T0": (340.0, 360.0),
        },
        "time", piston, "Kenett and Zacks 1998",
    ),
    "otl circuit": Problem(
        {
            "Rb1": (50.0, 150.0), "Rb2": (25.0, 70.0), "Rf": (0.5, 3.0), "Rc1": (1.2, 2.5), "Rc2": (0.25, 1.2),
            "beta": (50.0, 300.0),
        },
        "voltage", otl_circuit, "Ben-Ari and Steinberg 2007",
    ),
    "wing weight": Problem(
        {
            "Sw": (150.0, 200.0), "Wfw": (220.0, 300.0), "A": (6.0, 10.0), "Lambda": (-10.0, 10.0), "q": (16.0, 45.0),
            "taper": (0.5, 1.0), "tc": (0.08, 0.18), "Nz": (2.5, 6.0), "Wdg": (1700.0, 2500.0), "Wp": (0.025, 0.08),
        },
        "weight", wing_weight, "Forrester, Sobester and Keane 2008",
    ),
    "basquin-walker": Problem(
        {"smax": (150.0, 450.0), "R": (-1.0, 0.5)}, "life", basquin_walker, "Walker 1970, with Basquin 1910",
        law="life = (log10(smax*((1 - R)/2)^0.45) - log10(1500))/(-0.12) - log10(2)",
    ),
    "goodman": Problem(
        {"sa": (100.0, 400.0), "sm": (0.0, 300.0), "su": (500.0, 1000.0)}, "sar", goodman, "Goodman 1899", law="sar = sa/(1 - sm/su)"
    ),
    "oliver-pharr": Problem(
        {"P": (5.0, 50.0), "h": (0.6, 1.2), "S": (100.0, 400.0)}, "H", oliver_pharr, "Oliver and Pharr 1992", law="H = P/(24.5*(h - 0.75*P/S)^2)"
    ),
    "goldman": Problem(
        {"T": (280.0, 320.0), "Ko": (2.0, 20.0), "Nao": (50.0, 200.0), "Ki": (50.0, 200.0), "Nai": (5.0, 50.0)}, "V", goldman, "Goldman 1943",
        law="V = 0.0861733*T*log((Ko + 0.04*Nao)/(Ki + 0.04*Nai))",
    ),
    "friedman1": Problem({f"x{i}": (0.0, 1.0) for i in range(10)}, "y", friedman1, "Friedman 1991"),
    "damped oscillation": Problem({"t": (0.0, 4.0)}, "y", damped_oscillation, "one atom, without noise", equal=True),
}  # fmt: skip
