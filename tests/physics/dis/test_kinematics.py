import numpy as np
import pytest

from omniflow.physics.dis.kinematics import (
    LEPTON_ENERGY,
    PROTON_ENERGY,
    electron_kinematics,
    electron_momentum,
    fiducial,
)


def test_kinematics_of_simple_configurations():
    momentum = LEPTON_ENERGY * np.array([[0, 0, -1.0], [1, 0, 0], [0, -1, 0], [0, 0.6, -0.8]])
    q2, y = electron_kinematics(momentum)
    np.testing.assert_allclose(q2, LEPTON_ENERGY**2 * np.array([0, 2, 2, 0.4]), atol=1e-9)
    np.testing.assert_allclose(y, [0, 0.5, 0.5, 0.1], atol=1e-12)


def test_q2_is_the_squared_momentum_transfer():
    scattered = np.array([7.0, -11.0, -19.0])
    transfer = np.array([0, 0, -LEPTON_ENERGY]) - scattered
    energy = LEPTON_ENERGY - np.linalg.norm(scattered)
    q2, y = electron_kinematics(scattered)
    assert q2 == pytest.approx(transfer @ transfer - energy**2)
    # y = P.q / P.k with the proton P along +z.
    assert y == pytest.approx((energy - transfer[2]) / (2 * LEPTON_ENERGY))
    assert PROTON_ENERGY == 920


def test_momentum_inverts_the_kinematics():
    q2, y, phi = np.array([101.0, 400, 2e4]), np.array([0.07, 0.5, 0.75]), np.array([-3, 0, 2.0])
    momentum = electron_momentum(q2, y, phi)
    np.testing.assert_allclose(electron_kinematics(momentum), [q2, y], rtol=1e-12)
    np.testing.assert_allclose(np.arctan2(momentum[:, 1], momentum[:, 0]), phi)


def test_fiducial_agrees_with_the_flag_of_independent_files(excerpt):
    for name in ("nature", "simulation"):
        level, flag = excerpt(name, "gen")
        assert 200 < flag.sum() < 500
        np.testing.assert_array_equal(fiducial(level.event), flag)


def test_fiducial_edges_are_outside():
    event = np.array([[150, 0.3], [151, 0.2], [151, 0.7], [151, 0.21], [151, 0.69]])
    assert fiducial(event).tolist() == [False, False, False, True, True]
