"""With exact logits the steps are the exact binned iteration, computed here by matrix algebra."""

import numpy as np
import pytest
import step_samples
from step_samples import events

from omniflow.unfolding import steps

# Simulated sums of weights: rows are particle-level bins, columns detector-level bins; then
# misses per particle-level bin and fakes per detector-level bin. Data per detector-level bin.
MATCHED = np.array([[30.0, 12, 1, 0.5], [8, 40, 10, 2], [0.3, 9, 35, 25]])
MISSES = np.array([12.0, 20, 4])
FAKES = np.array([6.0, 3, 1, 5])
DATA = np.array([75.0, 70, 40, 26])
NONE = np.zeros(3), np.zeros(4)
MEAN = "conditional_mean"
BOTH = {"misses": MEAN, "fakes": MEAN}


class Toy:
    """Simulated events in the cells above, three of unequal weight in each."""

    def __init__(self, misses=MISSES, fakes=FAKES, data=DATA, **settings):
        matched = MATCHED
        self.matched, self.misses, self.fakes, self.data = matched, misses, fakes, data
        cells = [(i, j, matched[i, j]) for i, j in np.ndindex(matched.shape)]
        cells += [(i, -1, misses[i]) for i in range(len(misses))]
        cells += [(-1, j, fakes[j]) for j in range(len(fakes))]
        cells = [(i, j, share * sum_) for i, j, sum_ in cells for share in (0.2, 0.5, 0.3) if sum_]
        self.truth, self.reco = (np.array([cell[k] for cell in cells]) for k in (0, 1))
        simulation = events([cell[2] for cell in cells], self.reco >= 0, self.truth >= 0)
        measured = events(data, np.ones(4, bool))
        self.setup = step_samples.setup(measured, simulation, **settings)

    def logits(self, numerator, base, bins):
        """The logarithm of the ratio of normalised densities, per bin and looked up per event."""
        chosen = bins >= 0
        a, b = (
            np.bincount(bins[chosen], w[chosen], minlength=4)
            if len(w) == len(bins)
            else np.asarray(w)
            for w in (numerator, base)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            table = np.log((a / a.sum()) / (b / b.sum()))
        return np.where(chosen, table[bins], np.nan)[None]

    def mean(self, before, learned, chosen, bins):
        """Step 1b or 2b: the classifier knows the densities of matched events in bins."""
        setup = self.setup
        matched = setup.detector & setup.particle
        base = setup.scale * setup.weight
        logits = self.logits(base * learned, base, np.where(matched, bins, -1))[0]
        table = {i: logits[matched & (bins == i)][0] for i in np.unique(bins[matched])}
        logits = np.array([[table[i] if c else np.nan for i, c in zip(bins, chosen, strict=True)]])
        return steps.conditional_mean(setup, before, learned, chosen, logits, "mean", 50.0, "test")[
            0
        ]

    def iterate(self, count, misses="unity", fakes="unity"):
        """Bin contents of nu after each iteration, from the steps of omniflow."""
        setup = self.setup
        push = np.ones(len(setup.weight))
        result = []
        for _ in range(count):
            before = setup.scale * setup.weight * push
            logits = self.logits(self.data, before, self.reco)
            pull, _ = steps.pull(setup, push, logits, "mean", 50.0, "test")
            if misses == "conditional_mean":
                pull = self.mean(pull, pull / push, setup.misses, self.truth)
            base = setup.scale * setup.weight
            logits = self.logits(base * pull, base, self.truth)
            push, _ = steps.push(setup, pull, logits, "mean", 50.0, "test")
            per_bin = [push[self.truth == i] for i in range(len(self.misses))]
            for values in per_bin:
                np.testing.assert_allclose(values, values[0], rtol=1e-9)
            np.testing.assert_array_equal(push[self.truth < 0], 1)
            if fakes == "conditional_mean":
                push = self.mean(push, push, setup.fakes, self.reco)
            result.append([values[0] for values in per_bin])
        return np.array(result)

    def exact(self, count, scale, shape=False, misses="unity", fakes="unity"):
        """The same in matrix algebra: misses keep omega = 1, fakes keep nu = 1, or get means."""
        total = self.matched.sum(axis=1) + self.misses
        nu, of_fakes = np.ones(len(total)), np.ones(len(self.data))
        result = []
        for _ in range(count):
            expected = scale * (nu @ self.matched + of_fakes * self.fakes)
            omega = self.data / expected
            if shape:
                omega *= expected.sum() / self.data.sum()
            # nu_i is still in the pull weight of every event of bin i.
            if misses == "unity":
                nu = nu * (self.matched @ omega + self.misses) / total
            else:
                nu = nu * (self.matched @ omega) / self.matched.sum(axis=1)
            if shape:
                nu /= (nu @ total) / total.sum()
            if fakes == "conditional_mean":
                of_fakes = (nu @ self.matched) / self.matched.sum(axis=0)
            result.append(nu)
        return np.array(result)


def test_without_misses_and_fakes_it_is_iterative_bayesian_unfolding():
    """D'Agostini (1995), on bin contents and the response matrix alone."""
    toy = Toy(*NONE)
    found = toy.iterate(8)
    response = MATCHED / MATCHED.sum(axis=1, keepdims=True)  # P(j | i)
    prior = MATCHED.sum(axis=1) * DATA.sum() / MATCHED.sum()
    contents = prior
    for nu in found:
        contents = contents * (response @ (DATA / (contents @ response)))
        np.testing.assert_allclose(prior * nu, contents, rtol=1e-9)
    assert contents.sum() == pytest.approx(DATA.sum())
    assert np.abs(contents / prior - 1).max() > 0.2


@pytest.mark.parametrize("scale", ["detector", 1.0, 2.5])
def test_with_misses_and_fakes_absolute(scale):
    toy = Toy(scale=scale)
    s = DATA.sum() / (MATCHED.sum() + FAKES.sum()) if scale == "detector" else scale
    assert toy.setup.scale == pytest.approx(s)
    np.testing.assert_allclose(toy.iterate(6), toy.exact(6, s), rtol=1e-9)


def test_with_misses_and_fakes_shape():
    toy = Toy(normalization="shape")
    found = toy.iterate(6)
    np.testing.assert_allclose(found, toy.exact(6, toy.setup.scale, shape=True), rtol=1e-9)
    total = MATCHED.sum(axis=1) + MISSES
    np.testing.assert_allclose(found @ total, total.sum(), rtol=1e-9)


def test_truth_is_the_fixed_point():
    """Data made of known truth with fakes as simulated: the iteration finds the truth."""
    truth = np.array([1.3, 0.8, 1.1])
    toy = Toy(data=truth @ MATCHED + FAKES, scale=1.0)
    found = toy.iterate(150)
    np.testing.assert_allclose(found[-1], truth, rtol=1e-3)
    assert np.abs(found[0] / truth - 1).max() > 0.05


@pytest.mark.parametrize("acceptance", [{}, BOTH])
def test_equal_samples_stay_equal(acceptance):
    toy = Toy(data=MATCHED.sum(axis=0) + FAKES)
    np.testing.assert_allclose(toy.iterate(3, **acceptance), 1, rtol=1e-9)


@pytest.mark.parametrize("acceptance", [{"misses": MEAN}, {"fakes": MEAN}, BOTH])
@pytest.mark.parametrize("shape", [False, True])
def test_conditional_means(acceptance, shape):
    toy = Toy(scale=2.5, normalization="shape" if shape else "absolute")
    expected = toy.exact(6, 2.5, shape, **acceptance)
    np.testing.assert_allclose(toy.iterate(6, **acceptance), expected, rtol=1e-9)
    assert np.abs(expected / toy.exact(6, 2.5, shape) - 1).max() > 0.02


@pytest.mark.parametrize("scale", ["detector", 0.3, 2.5])
def test_truth_is_the_fixed_point_of_conditional_means_at_any_scale(scale):
    """The data's fakes follow its matched events at the same x."""
    truth = np.array([1.3, 0.8, 1.1])
    data = (truth @ MATCHED) * (1 + FAKES / MATCHED.sum(axis=0))
    toy = Toy(data=data, scale=scale)
    np.testing.assert_allclose(toy.setup.scale * toy.iterate(60, **BOTH)[-1], truth, rtol=1e-3)
    off = toy.setup.scale * toy.exact(300, toy.setup.scale)[-1] / truth - 1
    assert np.abs(off).max() > 0.02
