// The processor's vectors: loops over a row of numbers, sums of it, and the exponential function.
//
// A loop calls its function with an index and a value that only tells the type: a whole vector, and
// single numbers for what is left over. Sums are always taken in the same order.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "matrix.h"

namespace omniflow {

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

template <class S, int SIZE>
struct Pack {
  typedef S type __attribute__((vector_size(SIZE)));
};
template <class S>
struct Pack<S, int(sizeof(S))> {
  using type = S;
};
template <class S, int SIZE = BYTES>
using Vector = typename Pack<S, SIZE>::type;
template <class S>
constexpr Index LANES = BYTES / Index(sizeof(S));

template <class V, class S>
inline V load(const S* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <class V, class S>
inline void store(S* to, V v) {
  __builtin_memcpy(to, &v, sizeof v);
}
template <class V, class W>
inline V cast(W bits) {
  static_assert(sizeof(V) == sizeof(W));
  V v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}
template <class V, class S>
inline V fill(S s) {
  return s - V{};
}

template <class S, class F>
inline void each(Index n, F f) {
  Index i = 0;
  for (; i + LANES<S> <= n; i += LANES<S>) f(i, Vector<S>{});
  for (; i < n; ++i) f(i, S{});
}

// 0, 1, 2 ...
template <class S>
inline Vector<S> counting() {
  S numbers[LANES<S>];
  for (Index i = 0; i < LANES<S>; ++i) numbers[i] = S(i);
  return load<Vector<S>>(numbers);
}
// As many numbers of another type as a vector of doubles has: read, and written.
template <class V, class S>
inline V widened(const S* from) {
  if constexpr (sizeof(V) == sizeof(double))
    return double(*from);
  else
    return __builtin_convertvector(load<Vector<S, sizeof(V) / sizeof(double) * sizeof(S)>>(from), V);
}
template <class V, class S>
inline void narrow(S* to, V v) {
  if constexpr (sizeof(V) == sizeof(double))
    *to = S(v);
  else
    store(to, __builtin_convertvector(v, Vector<S, sizeof(V) / sizeof(double) * sizeof(S)>));
}
template <class V>
inline V larger(V a, V b) {
  return a > b ? a : b;
}

// The numbers in a vector put together by halves.
template <class S, class V, class F>
inline S fold(V v, F join) {
  if constexpr (sizeof(V) == sizeof(S)) {
    return v;
  } else {
    using Half = Vector<S, sizeof(V) / 2>;
    Half parts[2];
    __builtin_memcpy(parts, &v, sizeof v);
    return fold<S>(Half(join(parts[0], parts[1])), join);
  }
}
template <class S, class V>
inline S total(V v) {
  return fold<S>(v, [](auto a, auto b) { return a + b; });
}
template <class S, class V>
inline S largest(V v) {
  return fold<S>(v, [](auto a, auto b) { return larger(a, b); });
}

template <class S, class F>
inline S sum(Index n, F f) {
  Vector<S> wide{};
  S rest{};
  Index i = 0;
  for (; i + LANES<S> <= n; i += LANES<S>) wide += f(i, Vector<S>{});
  for (; i < n; ++i) rest += f(i, S{});
  return total<S>(wide) + rest;
}

template <class S>
inline S dot(Index n, const S* a, const S* b) {
  return sum<S>(n, [=](Index i, auto v) {
    using V = decltype(v);
    return load<V>(a + i) * load<V>(b + i);
  });
}

// exp(x) for -87 < x < 88 (double: 708) to rounding; 0 below, the value at the limit above.
template <class S, class V>
inline V exponential(V x) {
  using Bits = std::conditional_t<sizeof(S) == 4, uint32_t, uint64_t>;
  using B = Vector<Bits, sizeof(V)>;
  constexpr bool SINGLE = sizeof(S) == 4;
  constexpr int MANTISSA = std::numeric_limits<S>::digits - 1;
  constexpr S LIMIT = SINGLE ? S(87) : S(708);
  constexpr S ROUND = S(1.5) * S(Bits(1) << MANTISSA);  // adding it rounds to an integer
  constexpr S HIGH = SINGLE ? S(0.693359375) : S(6.93147180369123816490e-01);
  constexpr S LOW = SINGLE ? S(-2.12194440054690583e-4) : S(1.90821492927058770002e-10);
  const V limit = fill<V>(LIMIT), kept = x > limit ? limit : x;
  const V shifted = kept * S(1.4426950408889634) + ROUND, power = shifted - ROUND;
  const V r = kept - power * HIGH - power * LOW;
  // Taylor: |r| < 0.35, so that the next term is below the rounding.
  constexpr double FACTORIALS[] = {1,    1,     2,      6,       24,       120,       720,
                                   5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800};
  constexpr int LAST = SINGLE ? 7 : 13;
  V y = fill<V>(S(1 / FACTORIALS[LAST]));
#pragma GCC unroll 13
  for (int i = LAST - 1; i >= 0; --i) y = y * r + S(1 / FACTORIALS[i]);
  y = cast<V>(B(cast<B>(y) + (cast<B>(shifted) << MANTISSA)));  // times 2^power
  return x < -limit ? V{} : y;
}

}  // namespace omniflow
