// Operations on rows: norm, GELU, softmax, and the gradients of each.
#pragma once

#include <cmath>

#include "network.h"

namespace omniflow {

constexpr double EPSILON = 1e-6;                // of the norms
constexpr double LEAK = 0.01f;                  // of LeakyReLU, in float32 as TensorFlow has it
constexpr double GELU_A = 1.5957691216057308;   // 2 sqrt(2/pi)
constexpr double GELU_B = 0.07135481627159498;  // 0.044715 times that

template <class S>
void standardise(const Matrix<S>& x, Matrix<S>& y, Row<S>& inverse) {
  y.resize(x.rows(), x.cols());
  inverse.resize(x.rows());
  for (Index i = 0; i < x.rows(); ++i) {
    y.row(i) = x.row(i).array() - x.row(i).mean();
    inverse[i] = S(1) / std::sqrt(y.row(i).squaredNorm() / S(x.cols()) + S(EPSILON));
    y.row(i) *= inverse[i];
  }
}

// Adds to `to` the gradient with respect to the input of `standardise`.
template <class S>
void standardise_back(const Matrix<S>& y, const Row<S>& inverse, const Matrix<S>& g,
                      Matrix<S>& to) {
  for (Index i = 0; i < y.rows(); ++i) {
    const S mean = g.row(i).mean();
    const S slope = g.row(i).dot(y.row(i)) / S(y.cols());
    to.row(i).array() += inverse[i] * (g.row(i).array() - mean - slope * y.row(i).array());
  }
}

template <class S>
struct Hidden {  // dense, GELU, dense: what the way back needs
  Matrix<S> x, sigmoid, y;
};

template <class S>
void gelu(Hidden<S>& h) {
  const auto x = h.x.array();
  h.sigmoid = (S(1) / (S(1) + (-(x * (S(GELU_A) + S(GELU_B) * x * x))).exp())).matrix();
  h.y = (x * h.sigmoid.array()).matrix();
}

template <class S>
void gelu_back(const Hidden<S>& h, Matrix<S>& g) {
  const auto x = h.x.array(), s = h.sigmoid.array();
  g.array() *= s * (S(1) + x * (S(1) - s) * (S(GELU_A) + S(3 * GELU_B) * x * x));
}

template <class S>
inline S leaky(S x) {
  return x > 0 ? x : S(LEAK) * x;
}

// Softmax of each row, in place.
template <class M>
void softmax(M&& p) {
  for (Index i = 0; i < p.rows(); ++i) {
    p.row(i) = (p.row(i).array() - p.row(i).maxCoeff()).exp();
    p.row(i) /= p.row(i).sum();
  }
}

// Turns the gradient with respect to a softmax into that of its input, in place.
template <class P, class G>
void softmax_back(const P& p, G&& g) {
  for (Index i = 0; i < p.rows(); ++i) {
    const auto mean = p.row(i).dot(g.row(i));
    g.row(i).array() = p.row(i).array() * (g.row(i).array() - mean);
  }
}

}  // namespace omniflow
