// Optimisers and the moving average: those of omniflow.training.optimizers and learner, to rounding.
#pragma once

#include <cmath>
#include <cstdint>

#include "matrix.h"
#include "vector.h"

namespace omniflow {

struct Optimizer {  // as omniflow.training.steps.Settings
  int64_t kind;     // 0: SGD, 1: Lion, 2: Adam and AdamW
  double beta_1, beta_2, decay;
  double clip;  // largest norm of a gradient; 0: none
};

template <class S>
struct Trained {  // vectors (d,), changed in place
  S *parameters, *average, *momentum, *square;
  int64_t updates;
};

template <class S, class V>
inline V root(V x) {
  if constexpr (sizeof(V) == sizeof(S)) {
    return std::sqrt(x);
  } else {
    S numbers[sizeof(V) / sizeof(S)];
    store(numbers, x);
    for (S& each : numbers) each = std::sqrt(each);
    return load<V>(numbers);
  }
}

template <class S, int KIND>
void step(const Optimizer& o, const Trained<S>& t, const S* gradient, Index d, S scale, double rate,
          double keep) {
  const S one = S(o.beta_1), two = S(o.beta_2), other_one = S(1 - o.beta_1);
  const S other_two = S(1 - o.beta_2), kept = S(1 - rate * o.decay), change = S(1 - keep);
  const double count = double(t.updates);
  const S by = KIND != 2 ? S(rate)
                         : S(rate * std::sqrt(1 - std::pow(o.beta_2, count)) /
                             (1 - std::pow(o.beta_1, count)));
  each<S>(d, [&](Index i, auto v) {
    using V = decltype(v);
    const V g = load<V>(gradient + i) * scale;
    V p = load<V>(t.parameters + i) * kept;
    if constexpr (KIND == 0) {
      p -= g * by;
    } else {
      V m = load<V>(t.momentum + i);
      if constexpr (KIND == 1) {
        const V mixed = m * one + g * other_one, up = fill<V>(by);
        p -= mixed > V{} ? up : mixed < V{} ? V(-up) : V{};
        m = m * two + g * other_two;
      } else {
        const V square = load<V>(t.square + i) * two + g * g * other_two;
        m = m * one + g * other_one;
        store(t.square + i, square);
        p -= by * (m / (root<S>(square) + S(1e-7)));
      }
      store(t.momentum + i, m);
    }
    store(t.parameters + i, p);
    const V average = load<V>(t.average + i);
    store(t.average + i, V(average + change * (p - average)));
  });
}

// Changes parameters and average, and returns the norm of the gradient before clipping.
template <class S>
double update(const Optimizer& o, Trained<S>& t, const S* gradient, Index d, double rate,
              double keep) {
  const double norm = std::sqrt(double(dot(d, gradient, gradient)));
  const S scale = o.clip > 0 && norm > o.clip ? S(o.clip / norm) : S(1);
  ++t.updates;
  (o.kind == 0   ? step<S, 0>
   : o.kind == 1 ? step<S, 1>
                 : step<S, 2>)(o, t, gradient, d, scale, rate, keep);
  return norm;
}

}  // namespace omniflow
