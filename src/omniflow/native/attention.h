// Attention: of the particles of an event to each other, and of the class token to them.
#pragma once

#include <vector>

#include "local.h"
#include "matrix.h"
#include "network.h"
#include "product.h"
#include "rows.h"

namespace omniflow {

// Shares of attention of every event: heads * n rows (class attention: heads rows) of as many
// columns as fill vectors, those behind the last particle zero.
template <class S>
struct Shares {
  std::vector<View<S>> events;
  Matrix<S> all;

  // Sizes by event: rows, columns before they are filled up.
  template <class F>
  void size(const std::vector<Span>& spans, F sizes) {
    events.clear();
    Index total = 0;
    for (const auto& span : spans) {
      const auto [rows, columns] = sizes(span.count);
      const Index whole = whole_vectors<S>(columns);
      events.push_back({nullptr, rows, whole, whole});
      total += rows * whole;
    }
    all.size(1, total);
    S* at = all.at;
    for (auto& e : events) e.at = at, at += e.rows * e.columns;
  }
};

template <class S>
struct Attention {
  Matrix<S> qkv, mixed;
  Shares<S> shares;

  void forward(const std::vector<Span>& events, Index heads) {
    const Index d = qkv.columns / 3, depth = d / heads;
    mixed.size(qkv.rows, d);
    shares.size(events, [=](Index n) { return std::pair(heads * n, n); });
    for (size_t e = 0; e < events.size(); ++e) {
      const auto [first, n] = events[e];
      const View<S> own = qkv.some_rows(first, n);
      turned.size(d, shares.events[e].columns);
      transpose(own.some_columns(d, d), turned);
      for (Index head = 0; head < heads; ++head) {
        const View<S> p = shares.events[e].some_rows(head * n, n);
        multiply(own.some_columns(head * depth, depth), turned.some_rows(head * depth, depth), p);
        softmax(p, n);
        multiply(p.some_columns(0, n), own.some_columns(2 * d + head * depth, depth),
                 mixed.part(first, head * depth, n, depth));
      }
    }
  }

  // `g`: gradient of `mixed`. Writes that of `qkv`.
  void backward(const std::vector<Span>& events, Index heads, const View<S>& g, Matrix<S>& to) {
    const Index d = g.columns, depth = d / heads;
    to.size(g.rows, 3 * d);
    for (size_t e = 0; e < events.size(); ++e) {
      const auto [first, n] = events[e];
      const View<S> own = qkv.some_rows(first, n), down = to.some_rows(first, n);
      turned.size(d, shares.events[e].columns), scores.size(n, shares.events[e].columns);
      transpose(own.some_columns(2 * d, d), turned);
      for (Index head = 0; head < heads; ++head) {
        const Index at = head * depth;
        const View<S> p = shares.events[e].some_rows(head * n, n);
        const View<S> up = g.part(first, at, n, depth);
        multiply(up, turned.some_rows(at, depth), scores);
        multiply_transposed(p, up, down.some_columns(2 * d + at, depth));
        softmax_back(p, scores);
        multiply(scores.some_columns(0, n), own.some_columns(d + at, depth),
                 down.some_columns(at, depth));
        multiply_transposed(scores, own.some_columns(at, depth), down.some_columns(d + at, depth));
      }
    }
  }

 private:
  Matrix<S> turned, scores;
};

// Class attention. Per event and head the query is taken to the space of the particles, so that
// neither keys nor values of particles are computed.
template <class S>
struct ClassAttention {
  Norm<S> norm;            // of the tokens
  Matrix<S> query, value;  // (events, d)
  Matrix<S> keys, mixed;   // (events, heads * d): of heads in the space of the particles
  Shares<S> shares;        // of the particles, then of the token itself

  void forward(const std::vector<Span>& events, Index heads, const ClassBlock<S>& c,
               const View<S>& particles) {
    const Index m = Index(events.size()), d = particles.columns, depth = d / heads;
    c.query.apply(norm.y, query);
    keys.size(m, heads * d), mixed.size(m, heads * d), value.size(m, d);
    shares.size(events, [=](Index n) { return std::pair(heads, n + 1); });
    for (Index head = 0; head < heads; ++head)
      multiply(query.some_columns(head * depth, depth),
               c.key.transposed.some_rows(head * depth, depth), keys.some_columns(head * d, d));
    for (Index e = 0; e < m; ++e) {
      const View<S> own = particles.some_rows(events[e].first, events[e].count);
      const View<S> p = shares.events[e], to = by_head(mixed, e, heads);
      multiply(by_head(keys, e, heads), turn(own, e, p.columns), p);
      softmax(p, own.rows + 1);
      multiply(p.some_columns(0, own.rows), own, to);
      multiply(p.some_columns(own.rows, 1), norm.y.some_rows(e, 1), to, true);
    }
    for (Index head = 0; head < heads; ++head)
      multiply(mixed.some_columns(head * d, d), c.value.w.some_columns(head * depth, depth),
               value.some_columns(head * depth, depth), false, c.value.b.at + head * depth);
  }

  // `g`: gradient of `value`. Adds to those of the particles and of the standardised tokens.
  void backward(const std::vector<Span>& events, Index heads, const ClassBlock<S>& c,
                ClassBlock<S>& to, const View<S>& g, const View<S>& particles,
                const View<S>& to_particles, const View<S>& to_norm) {
    const Index m = Index(events.size()), d = particles.columns, depth = d / heads;
    to_mixed.size(m, heads * d), to_keys.size(m, heads * d), to_query.size(m, d);
    add_rows(g, to.value.b.at);
    for (Index head = 0; head < heads; ++head) {
      const View<S> up = g.some_columns(head * depth, depth);
      multiply(up, c.value.transposed.some_rows(head * depth, depth),
               to_mixed.some_columns(head * d, d));
      multiply_transposed(mixed.some_columns(head * d, d), up,
                          to.value.w.some_columns(head * depth, depth), true);
    }
    for (Index e = 0; e < m; ++e) one_back(e, events[e], heads, particles, to_particles, to_norm);
    for (Index head = 0; head < heads; ++head) {
      const View<S> down = to_keys.some_columns(head * d, d);
      multiply(down, c.key.w.some_columns(head * depth, depth),
               to_query.some_columns(head * depth, depth));
      multiply_transposed(down, query.some_columns(head * depth, depth),
                          to.key.w.some_columns(head * depth, depth), true);
    }
    to.query.collect(norm.y, to_query);
    c.query.add_back(to_query, to_norm);
  }

 private:
  Matrix<S> turned, scores, to_mixed, to_keys, to_query;

  static View<S> by_head(const Matrix<S>& x, Index e, Index heads) {
    return {x.row(e), heads, x.columns / heads, x.columns / heads};
  }
  // Particles and token of an event as columns.
  const Matrix<S>& turn(const View<S>& own, Index e, Index columns) {
    turned.size(own.columns, columns);
    transpose(own, turned);
    for (Index j = 0; j < own.columns; ++j) turned.row(j)[own.rows] = norm.y.row(e)[j];
    return turned;
  }
  void one_back(Index e, const Span& span, Index heads, const View<S>& particles,
                const View<S>& to_particles, const View<S>& to_norm) {
    const Index n = span.count;
    const View<S> own = particles.some_rows(span.first, n);
    const View<S> to_own = to_particles.some_rows(span.first, n);
    const View<S> token = norm.y.some_rows(e, 1), to_token = to_norm.some_rows(e, 1);
    const View<S> p = shares.events[e], up = by_head(to_mixed, e, heads);
    const View<S> down = by_head(to_keys, e, heads);
    scores.size(heads, p.columns);
    multiply(up, turn(own, e, p.columns), scores);
    multiply_transposed(p, up, to_own, true);
    multiply_transposed(p.some_columns(n, 1), up, to_token, true);
    softmax_back(p, scores);
    multiply(scores.some_columns(0, n), own, down);
    multiply(scores.some_columns(n, 1), token, down, true);
    multiply_transposed(scores, by_head(keys, e, heads), to_own, true);
    multiply_transposed(scores.some_columns(n, 1), by_head(keys, e, heads), to_token, true);
  }
};

}  // namespace omniflow
