"""Lines: a limit of the site as the largest of straight lines in the number of added GPUs, and how many of them it lets in.

What a plant draws is the largest of its segments (`models.heat.cooling_plant`), and heat that a hall loses by itself is never less than
nothing: both are the largest of straight lines, and so are sums of them that grow. A limit on such a load is one on each of its lines, and what
it lets in is a quotient, without a search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.breach import TINY
from models.horizon import Floats


@dataclass(frozen=True)
class Lines:
    """The largest over lines of alpha + beta * n in each step; both have shape (L, T), kW and kW per GPU."""

    alpha: Floats
    beta: Floats

    def at(self, n: float | Floats) -> Floats:
        """The load with `n` added GPUs, kW, shape (T,)."""
        return np.asarray((self.alpha + self.beta * n).max(axis=0))

    def times(self, factor: float) -> Lines:
        """As many times the load; `factor` is not negative."""
        return Lines(self.alpha * factor, self.beta * factor)

    def or_nothing(self) -> Lines:
        """The load where it is above 0, else nothing: what would flow back is not taken."""
        nothing = np.zeros((1, self.alpha.shape[1]))
        return Lines(np.concatenate([self.alpha, nothing]), np.concatenate([self.beta, nothing]))

    def plus(self, other: Lines) -> Lines:
        """Both loads together: a line for each pair."""
        alpha = self.alpha[:, None, :] + other.alpha[None, :, :]
        beta = self.beta[:, None, :] + other.beta[None, :, :]
        return Lines(alpha.reshape(-1, alpha.shape[-1]), beta.reshape(-1, beta.shape[-1]))


def line(alpha_kw: Floats, beta_kw: float | Floats = 0.0) -> Lines:
    """One straight line; `alpha_kw` has shape (T,)."""
    return Lines(alpha_kw[None, :], np.broadcast_to(np.asarray(beta_kw, float), alpha_kw.shape)[None, :])


@dataclass(frozen=True)
class Limit:
    """A load that may be `most_kw`, shape (T,). `family` names it as `facility.limits.WORDS` does, `asset` whose it is."""

    family: str
    asset: str
    load: Lines
    most_kw: Floats

    def gpus(self) -> Floats:
        """How many it lets in, shape (T,); less than 0 where the site by itself is above it, without end where they do not add to it.

        >>> Limit("grid.limits", "", Lines(np.array([[40.0], [10.0]]), np.array([[1.0], [2.0]])), np.array([100.0])).gpus().tolist()
        [45.0]
        """
        room = self.most_kw - self.load.alpha
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(self.load.beta > 0, room / self.load.beta, np.where(room >= -TINY, np.inf, -np.inf))
        return np.asarray(found.min(axis=0))

    def over_kw(self, n: float | Floats) -> Floats:
        """By how much `n` added GPUs would break it, kW, shape (T,); below 0 where they do not."""
        return self.load.at(n) - self.most_kw
