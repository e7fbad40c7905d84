// Losses and their slopes; numbers, formulas and floors are those of omniflow.training.losses.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace omniflow {

struct Cost {  // of an event of weight 1, and its slope
  double value, slope;
};

struct Costs {  // in class A and in class B
  Cost a, b;
};

// softplus(-z) and softplus(z), which share what takes time.
inline Costs logistic(double z) {
  const double small = std::exp(-std::abs(z)), rest = std::log1p(small);
  return {{rest + std::max(-z, 0.0), -(z <= 0 ? 1 : small) / (1 + small)},
          {rest + std::max(z, 0.0), (z >= 0 ? 1 : small) / (1 + small)}};
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
      return logistic(z);
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

}  // namespace omniflow
