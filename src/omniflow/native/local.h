// Local embedding: edges to the nearest particles, averaged, then a dense layer.
#pragma once

#include <vector>

#include "matrix.h"
#include "network.h"
#include "product.h"
#include "rows.h"

namespace omniflow {

struct Span {  // rows of one event
  Index first, count;
};

// Rows that are neighbours, nearest first: of row i the first count[i] from rows[i * k] on.
struct Neighbours {
  Index k;
  std::vector<int32_t> rows, count;

  void clear(Index n, Index most) {
    k = most;
    rows.resize(n * k);
    count.assign(n, 0);
  }
  const int32_t* of(Index i) const { return &rows[i * k]; }
};

// From indices within events; -1 stands for none.
inline void given(const std::vector<Span>& events, const int32_t* index, Index n, Index k,
                  Neighbours& found) {
  found.clear(n, k);
  for (const auto& span : events)
    for (Index i = span.first; i < span.first + span.count; ++i)
      for (Index m = i * k; m < (i + 1) * k; ++m)
        // What lies outside of the event is damage of a file, and must not be followed.
        if (index[m] >= 0 && index[m] < span.count)
          found.rows[i * k + found.count[i]++] = int32_t(span.first + index[m]);
}

// The k nearest other particles of the same event in the space of `x`, ties by index.
template <class S>
struct Search {
  Matrix<S> turned, product, distance;
  std::vector<S> best;

  void operator()(const std::vector<Span>& events, const View<S>& x, Index k, Neighbours& found) {
    found.clear(x.rows, k);
    best.resize(k);
    for (const auto& span : events) {
      const View<S> own = x.some_rows(span.first, span.count);
      const Index columns = whole_vectors<S>(span.count);
      turned.size(x.columns, columns), product.size(span.count, columns);
      transpose(own, turned);
      multiply(own, turned, product);
      distance.size(1, columns);
      for (Index i = 0; i < span.count; ++i) {
        const S* __restrict row = product.row(i);
        S* __restrict to = distance.at;
        // But for the square of x_i, which is the same for all j.
        for (Index j = 0; j < span.count; ++j) to[j] = product.row(j)[j] - 2 * row[j];
        found.count[span.first + i] = nearest(i, span, &found.rows[(span.first + i) * k], k);
      }
    }
  }
  int32_t nearest(Index i, const Span& span, int32_t* rows, Index k) {
    Index filled = 0;
    for (Index j = 0; j < span.count; ++j) {
      const S here = distance.at[j];
      if (j == i || (filled == k && !(here < best[k - 1]))) continue;
      Index at = filled < k ? filled++ : k - 1;
      for (; at > 0 && here < best[at - 1]; --at) best[at] = best[at - 1], rows[at] = rows[at - 1];
      best[at] = here, rows[at] = int32_t(span.first + j);
    }
    return int32_t(filled);
  }
};

template <class S>
struct Local {
  Neighbours neighbours;
  Matrix<S> from_neighbour, from_self, mean, output;

  void forward(const Edges<S>& e, const View<S>& x) {
    from_neighbour.size(x.rows, e.neighbour.w.columns);
    multiply(x, e.neighbour.w, from_neighbour);
    e.self.apply(x, from_self);
    mean.size(x.rows, e.self.w.columns);
    for (Index i = 0; i < x.rows; ++i) average(i);
    e.output.apply(mean, output);
    clear_alone(output);
  }
  // `g`: gradient of the output, spoilt. Adds to the gradient of x where it is wanted.
  void backward(const Edges<S>& e, Edges<S>& to, const View<S>& x, const View<S>& g,
                const View<S>* to_x) {
    clear_alone(g);
    to.output.collect(mean, g);
    e.output.back(g, to_mean);
    to_neighbour.zero(x.rows, mean.columns), to_self.size(x.rows, mean.columns);
    for (Index i = 0; i < x.rows; ++i) share(i);
    multiply_transposed(x, to_neighbour, to.neighbour.w, true);
    to.self.collect(x, to_self);
    if (!to_x) return;
    e.neighbour.add_back(to_neighbour, *to_x);
    e.self.add_back(to_self, *to_x);
  }

 private:
  Matrix<S> to_mean, to_neighbour, to_self;

  // Particles without neighbours have no local embedding.
  void clear_alone(const View<S>& y) const {
    for (Index i = 0; i < y.rows; ++i)
      if (!neighbours.count[i]) std::fill_n(y.row(i), y.columns, S(0));
  }
  void average(Index i) {
    const int32_t *of = neighbours.of(i), count = neighbours.count[i];
    const S *own = from_self.row(i), *others = from_neighbour.at;
    const Index c = mean.columns;
    const S part = count ? S(1) / S(count) : S(0);
    each<S>(c, [&](Index j, auto v) {
      using V = decltype(v);
      const V self = load<V>(own + j);
      V sums{};
      for (int32_t m = 0; m < count; ++m) {
        const V x = load<V>(others + of[m] * c + j) + self;
        sums += leaky<S>(x, x);
      }
      store(mean.row(i) + j, V(sums * part));
    });
  }
  void share(Index i) {
    const int32_t *of = neighbours.of(i), count = neighbours.count[i];
    const S *own = from_self.row(i), *others = from_neighbour.at, *up = to_mean.row(i);
    S *to_others = to_neighbour.at, *to_own = to_self.row(i);
    const Index c = mean.columns;
    const S part = count ? S(1) / S(count) : S(0);
    each<S>(c, [&](Index j, auto v) {
      using V = decltype(v);
      const V self = load<V>(own + j), g = load<V>(up + j) * part, low = S(LEAK) * g;
      V sums{};
      for (int32_t m = 0; m < count; ++m) {
        const Index at = of[m] * c + j;
        const V slope = load<V>(others + at) + self > V{} ? g : low;
        store(to_others + at, V(load<V>(to_others + at) + slope));
        sums += slope;
      }
      store(to_own + j, sums);
    });
  }
};

}  // namespace omniflow
