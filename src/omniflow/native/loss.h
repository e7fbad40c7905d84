// Losses and their slopes; numbers, formulas and floors are those of omniflow.training.losses.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "vector.h"

namespace omniflow {

template <class V>
struct One {  // cost of an event of weight 1, and its slope
  V value, slope;
};

template <class V>
struct Both {  // in class A and in class B
  One<V> a, b;
};

using Cost = One<double>;
using Costs = Both<double>;

// ln(1 + x) for 0 <= x <= 1, to rounding: 2 artanh(t) with t = x / (2 + x), of which t^2 <= 1/9.
template <class V>
inline V logarithm(V x) {
  const V t = x / (x + 2.0), square = t * t;
  V sum = fill<V>(1.0 / 33);
#pragma GCC unroll 16
  for (int n = 31; n > 0; n -= 2) sum = sum * square + 1.0 / n;
  return 2.0 * t * sum;
}

// softplus(-z) and softplus(z), which share what takes time.
template <class V>
inline Both<V> logistic(V z) {
  const V zero{}, size = z < zero ? V(-z) : z, small = exponential<double>(V(-size));
  const V rest = z == z ? logarithm(small) : z;  // NaN stays
  const V near = 1.0 / (small + 1.0), far = small * near;
  return {{rest + (z < zero ? size : zero), z > zero ? V(-far) : V(-near)},
          {rest + (z > zero ? size : zero), z < zero ? far : near}};
}

// -ln Phi(z), with its slope; from the tail beyond |z|.
inline Cost minus_log_normal(double z) {
  const double pi = std::acos(-1.0), x = std::abs(z);
  if (x < 30) {
    const double tail = 0.5 * std::erfc(x / std::sqrt(2.0));
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * pi);
    if (z < 0) return {-std::log(tail), -density / tail};
    return {-std::log1p(-tail), -density / (1 - tail)};
  }
  if (z > 0) return {0, 0};
  double series = 1;
  for (const double factor : {11, 9, 7, 5, 3, 1}) series = 1 - factor / (x * x) * series;
  return {0.5 * x * x + std::log(x / series) + 0.5 * std::log(2 * pi), -x / series};
}

// -ln(arctan(z) / pi + 1/2), with its slope.
inline Cost minus_log_arctan(double z) {
  const double angle = std::atan2(1.0, -z);
  return {-std::log(angle / std::acos(-1.0)), -1 / (angle * (1 + z * z))};
}

inline Cost mirrored(const Cost& c) { return {c.value, -c.slope}; }

// Of f = max(g, floor), with the slope of g.
inline Costs likelihood(double g, double slope) {
  const double least = 1e-6, f = g < least ? least : g;  // NaN stays
  if (g < least) slope = 0;
  return {{-std::log(f), -slope / f}, {f - 1, slope}};
}

inline Costs costs(int loss, double z) {
  switch (loss) {
    case 0:
      return logistic<double>(z);
    case 1:
      return {minus_log_normal(z), mirrored(minus_log_normal(-z))};
    case 2:
      return {minus_log_arctan(z), mirrored(minus_log_arctan(-z))};
    case 3:
      return likelihood(z, 1);
    case 4:
      return likelihood(z * z, 2 * z);
    case 5:
      return {{-z, -1}, {std::expm1(z), std::exp(z)}};
  }
  const double nan = std::numeric_limits<double>::quiet_NaN();
  return {{nan, nan}, {nan, nan}};
}

// Whether there is a loss of this number: at output 1 every loss is finite.
inline bool knows(int loss) { return !std::isnan(costs(loss, 1).a.value); }

// Adds the loss of n events with weights a and b to `sum`, one after the other; writes its slopes.
template <class S>
void charge(int loss, Index n, const S* outputs, const S* a, const S* b, S* slopes, double& sum) {
  const auto add = [&](Index i, const auto& cost) {
    using V = decltype(cost.a.value + 0.0);
    const V in_a = widened<V>(a + i), in_b = widened<V>(b + i);
    narrow(slopes + i, V(in_a * cost.a.slope + in_b * cost.b.slope));
    double values[sizeof(V) / sizeof(double)];
    store(values, V(in_a * cost.a.value + in_b * cost.b.value));
    for (const double value : values) sum += value;
  };
  if (loss == 0)
    each<double>(n, [&](Index i, auto v) { add(i, logistic(widened<decltype(v)>(outputs + i))); });
  else
    for (Index i = 0; i < n; ++i) add(i, costs(loss, outputs[i]));
}

}  // namespace omniflow
