// Operations on rows: norm, GELU, softmax, and the gradients of each.
#pragma once

#include <cmath>

#include "matrix.h"
#include "vector.h"

namespace omniflow {

constexpr double EPSILON = 1e-6;                // of the norms
constexpr double LEAK = 0.01f;                  // of LeakyReLU, in float32 as TensorFlow has it
constexpr double GELU_A = 1.5957691216057308;   // 2 sqrt(2/pi)
constexpr double GELU_B = 0.07135481627159498;  // 0.044715 times that

template <class S>
struct Norm {  // rows with mean 0 and variance 1; the inverse of their standard deviations
  Matrix<S> y, inverse;
};

template <class S>
void standardise(const View<S>& x, Norm<S>& norm) {
  const Index d = x.columns;
  norm.y.size(x.rows, d), norm.inverse.size(1, x.rows);
  for (Index i = 0; i < x.rows; ++i) {
    const S* from = x.row(i);
    S* to = norm.y.row(i);
    const S mean = sum<S>(d, [&](Index j, auto v) { return load<decltype(v)>(from + j); }) / S(d);
    const S square = sum<S>(d, [&](Index j, auto v) {
      const auto centred = load<decltype(v)>(from + j) - mean;
      return centred * centred;
    });
    const S inverse = norm.inverse.at[i] = S(1) / std::sqrt(square / S(d) + S(EPSILON));
    each<S>(
        d, [&](Index j, auto v) { store(to + j, (load<decltype(v)>(from + j) - mean) * inverse); });
  }
}

// Adds to `to` the gradient with respect to the input of `standardise`.
template <class S>
void standardise_back(const Norm<S>& norm, const View<S>& g, const View<S>& to) {
  const Index d = g.columns;
  for (Index i = 0; i < g.rows; ++i) {
    const S *up = g.row(i), *y = norm.y.row(i);
    S* down = to.row(i);
    const S mean = sum<S>(d, [&](Index j, auto v) { return load<decltype(v)>(up + j); }) / S(d);
    const S slope = dot(d, up, y) / S(d), inverse = norm.inverse.at[i];
    each<S>(d, [&](Index j, auto v) {
      using V = decltype(v);
      const V change = load<V>(up + j) - mean - slope * load<V>(y + j);
      store(down + j, V(load<V>(down + j) + inverse * change));
    });
  }
}

template <class S>
struct Hidden {  // output of a GELU, and its derivative
  Matrix<S> y, slope;
};

// In place of its input in h.y.
template <class S>
void gelu(Hidden<S>& h) {
  h.slope.size_beside(h.y);
  S *at = h.y.at, *slope = h.slope.at;
  each<S>(h.y.rows * h.y.columns, [=](Index i, auto v) {
    using V = decltype(v);
    const V x = load<V>(at + i), square = x * x;
    const V sigmoid = S(1) / (S(1) + exponential<S>(V(-x * (S(GELU_A) + S(GELU_B) * square))));
    const V y = x * sigmoid;
    store(at + i, y);
    store(slope + i, V(sigmoid + y * (S(1) - sigmoid) * (S(GELU_A) + S(3 * GELU_B) * square)));
  });
}

// x times y, number by number, in place of x.
template <class S>
void scale(const View<S>& x, const View<S>& y) {
  for (Index i = 0; i < x.rows; ++i) {
    S* to = x.row(i);
    const S* by = y.row(i);
    each<S>(x.columns, [=](Index j, auto v) {
      using V = decltype(v);
      store(to + j, V(load<V>(to + j) * load<V>(by + j)));
    });
  }
}

// x += y.
template <class S>
void accumulate(const View<S>& x, const View<S>& y) {
  for (Index i = 0; i < x.rows; ++i) {
    S* to = x.row(i);
    const S* from = y.row(i);
    each<S>(x.columns, [=](Index j, auto v) {
      using V = decltype(v);
      store(to + j, V(load<V>(to + j) + load<V>(from + j)));
    });
  }
}

// Values where `x` is positive, LEAK times them elsewhere.
template <class S, class V>
inline V leaky(V x, V values) {
  return x > V{} ? values : V(S(LEAK) * values);
}

// Softmax of the first n columns, in place; the others, which fill vectors, become 0.
template <class S>
void softmax(const View<S>& p, Index n) {
  using V = Vector<S>;
  constexpr Index STEP = LANES<S>;
  const Index last = p.columns - STEP;
  const V lowest = fill<V>(std::numeric_limits<S>::lowest());
  const auto real = counting<S>() < fill<V>(S(n - last));  // columns of the last vector
  for (Index i = 0; i < p.rows; ++i) {
    S* at = p.row(i);
    V highest = real ? load<V>(at + last) : lowest, sums{};
    store(at + last, highest);
    for (Index j = 0; j < last; j += STEP) highest = larger(highest, load<V>(at + j));
    const S most = largest<S>(highest);
    for (Index j = 0; j <= last; j += STEP) {
      const V share = exponential<S>(V(load<V>(at + j) - most));
      sums += share;
      store(at + j, share);
    }
    const S inverse = S(1) / total<S>(sums);
    for (Index j = 0; j <= last; j += STEP) store(at + j, V(load<V>(at + j) * inverse));
  }
}

// Turns the gradient with respect to a softmax into that of its input, in place.
template <class S>
void softmax_back(const View<S>& p, const View<S>& g) {
  for (Index i = 0; i < p.rows; ++i) {
    const S* shares = p.row(i);
    S* at = g.row(i);
    const S mean = dot(p.columns, shares, at);
    each<S>(p.columns, [=](Index j, auto v) {
      using V = decltype(v);
      store(at + j, V(load<V>(shares + j) * (load<V>(at + j) - mean)));
    });
  }
}

}  // namespace omniflow
