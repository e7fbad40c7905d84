// One chunk of events: forward, keeping what is needed, and backward.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "network.h"
#include "rows.h"

namespace omniflow {

struct Span {  // rows of one event
  Index first, count;
};

template <class S>
struct Chunk {
  const Network<S>& n;
  const Sizes& z;
  std::vector<Span> events;
  View<S> raw, event;
  Index rows;

  struct Local {
    Matrix<S> from_neighbour, from_self, mean, output;
    std::vector<int32_t> index;  // (rows, K) row of the chunk, -1: none
    std::vector<int32_t> count;
  };
  struct Layer {
    Matrix<S> norm_1, qkv, mixed, norm_2;
    Row<S> inverse_1, inverse_2;
    std::vector<Matrix<S>> shares;  // per event: (heads * n, n)
    Hidden<S> hidden;
  };
  struct ClassLayer {
    Matrix<S> norm_1, query, keys, shares, mixed, value, norm_2;
    Row<S> inverse_1, inverse_2;
    Hidden<S> hidden;
  };
  Local local_1, local_2;
  Matrix<S> embedded, summed, scale_shift, x, particles, tokens, last;
  Row<S> inverse, inverse_last;
  std::vector<Layer> layers;
  std::vector<ClassLayer> class_layers;
  Row<S> logits;

  Chunk(const Network<S>& network, const Sizes& sizes, std::vector<Span> spans, const S* particles_,
        const int32_t* neighbours, const S* event_, Index rows_)
      : n(network),
        z(sizes),
        events(std::move(spans)),
        raw(particles_, rows_, sizes.features),
        event(event_, Index(events.size()), sizes.event_features),
        rows(rows_),
        layers(sizes.blocks),
        class_layers(sizes.class_blocks) {
    const Index k = z.neighbours;
    local_1.index.assign(rows * k, -1);
    for (const auto& span : events)
      for (Index i = span.first * k; i < (span.first + span.count) * k; ++i)
        if (neighbours[i] >= 0) local_1.index[i] = int32_t(span.first + neighbours[i]);
  }

  // The K nearest other particles in the space of `x`, nearest first, ties by index.
  void nearest(const Matrix<S>& x, std::vector<int32_t>& index) const {
    const Index k = z.neighbours;
    index.assign(rows * k, -1);
    std::vector<S> best(k);
    Matrix<S> product;
    Row<S> square;
    for (const auto& span : events) {
      const auto own = x.middleRows(span.first, span.count);
      product.noalias() = own * own.transpose();
      square = product.diagonal().transpose();
      for (Index i = 0; i < span.count; ++i) {
        int32_t* found = &index[(span.first + i) * k];
        Index filled = 0;
        for (Index j = 0; j < span.count; ++j) {
          if (j == i) continue;
          const S distance = square[j] - 2 * product(i, j);
          if (filled == k && !(distance < best[k - 1])) continue;
          Index at = filled < k ? filled++ : k - 1;
          for (; at > 0 && distance < best[at - 1]; --at)
            best[at] = best[at - 1], found[at] = found[at - 1];
          best[at] = distance, found[at] = int32_t(span.first + j);
        }
      }
    }
  }

  template <class X>
  void embed(Local& l, const Edges<S>& e, const X& x) const {
    const Index k = z.neighbours, c = 2 * z.width;
    l.from_neighbour.noalias() = x * e.neighbour.w;
    e.self.apply(x, l.from_self);
    l.mean.setZero(rows, c);
    l.count.assign(rows, 0);
    for (Index i = 0; i < rows; ++i) {
      const S* __restrict own = l.from_self.row(i).data();
      S* __restrict mean = l.mean.row(i).data();
      for (Index m = 0; m < k; ++m) {
        const int32_t j = l.index[i * k + m];
        if (j < 0) continue;
        ++l.count[i];
        const S* __restrict other = l.from_neighbour.row(j).data();
        for (Index a = 0; a < c; ++a) mean[a] += leaky(other[a] + own[a]);
      }
      if (l.count[i]) l.mean.row(i) /= S(l.count[i]);
    }
    e.output.apply(l.mean, l.output);
    for (Index i = 0; i < rows; ++i)
      if (!l.count[i]) l.output.row(i).setZero();
  }

  // `g`: gradient of the output, spoilt. Returns the gradient of x where it is wanted.
  template <class X>
  void embed_back(const Local& l, const Edges<S>& e, Edges<S>& to, const X& x, Matrix<S>& g,
                  Matrix<S>* to_x) const {
    const Index k = z.neighbours, c = 2 * z.width;
    for (Index i = 0; i < rows; ++i)
      if (!l.count[i]) g.row(i).setZero();
    to.output.collect(l.mean, g);
    Matrix<S> mean(rows, c), other(rows, c), own(rows, c);
    mean.noalias() = g * e.output.w.transpose();
    other.setZero(), own.setZero();
    for (Index i = 0; i < rows; ++i) {
      if (!l.count[i]) continue;
      mean.row(i) /= S(l.count[i]);
      const S* __restrict up = mean.row(i).data();
      const S* __restrict self = l.from_self.row(i).data();
      S* __restrict to_self = own.row(i).data();
      for (Index m = 0; m < k; ++m) {
        const int32_t j = l.index[i * k + m];
        if (j < 0) continue;
        const S* __restrict from = l.from_neighbour.row(j).data();
        S* __restrict to_other = other.row(j).data();
        for (Index a = 0; a < c; ++a) {
          const S slope = from[a] + self[a] > 0 ? up[a] : S(LEAK) * up[a];
          to_other[a] += slope;
          to_self[a] += slope;
        }
      }
    }
    to.neighbour.w.noalias() += x.transpose() * other;
    to.self.collect(x, own);
    if (to_x) {
      to_x->noalias() += other * e.neighbour.w.transpose();
      to_x->noalias() += own * e.self.w.transpose();
    }
  }

  void attend(Layer& l) const {
    const Index d = z.width, h = z.heads, depth = d / h;
    l.mixed.resize(rows, d);
    l.shares.resize(events.size());
    for (size_t e = 0; e < events.size(); ++e) {
      const auto [first, count] = events[e];
      auto& shares = l.shares[e];
      shares.resize(h * count, count);
      for (Index head = 0; head < h; ++head) {
        const auto q = l.qkv.block(first, head * depth, count, depth);
        const auto k = l.qkv.block(first, d + head * depth, count, depth);
        const auto v = l.qkv.block(first, 2 * d + head * depth, count, depth);
        auto p = shares.middleRows(head * count, count);
        p.noalias() = q * k.transpose();
        softmax(p);
        l.mixed.block(first, head * depth, count, depth).noalias() = p * v;
      }
    }
  }

  void attend_back(const Layer& l, const Matrix<S>& g, Matrix<S>& to) const {
    const Index d = z.width, h = z.heads, depth = d / h;
    to.resize(rows, 3 * d);
    Matrix<S> scores;
    for (size_t e = 0; e < events.size(); ++e) {
      const auto [first, count] = events[e];
      for (Index head = 0; head < h; ++head) {
        const auto q = l.qkv.block(first, head * depth, count, depth);
        const auto k = l.qkv.block(first, d + head * depth, count, depth);
        const auto v = l.qkv.block(first, 2 * d + head * depth, count, depth);
        const auto p = l.shares[e].middleRows(head * count, count);
        const auto up = g.block(first, head * depth, count, depth);
        scores.noalias() = up * v.transpose();
        to.block(first, 2 * d + head * depth, count, depth).noalias() = p.transpose() * up;
        softmax_back(p, scores);
        to.block(first, head * depth, count, depth).noalias() = scores * k;
        to.block(first, d + head * depth, count, depth).noalias() = scores.transpose() * q;
      }
    }
  }

  // Class attention; `keys` holds per event and head the query in the space of the particles.
  void ask(ClassLayer& l, const ClassBlock<S>& c) const {
    const Index d = z.width, h = z.heads, depth = d / h, m = Index(events.size());
    c.query.apply(l.norm_1, l.query);
    l.keys.resize(m, h * d), l.mixed.resize(m, h * d), l.value.resize(m, d);
    for (Index head = 0; head < h; ++head)
      l.keys.middleCols(head * d, d).noalias() =
          l.query.middleCols(head * depth, depth) *
          c.key.w.middleCols(head * depth, depth).transpose();
    l.shares.resize(h, rows + m);  // per event: its particles, then the token
    for (Index e = 0; e < m; ++e) {
      const auto [first, count] = events[e];
      const Eigen::Map<const Matrix<S>> keys(l.keys.row(e).data(), h, d);
      Eigen::Map<Matrix<S>> mixed(l.mixed.row(e).data(), h, d);
      auto p = l.shares.middleCols(first + e, count + 1);
      p.leftCols(count).noalias() = keys * particles.middleRows(first, count).transpose();
      p.rightCols(1).noalias() = keys * l.norm_1.row(e).transpose();
      softmax(p);
      mixed.noalias() = p.leftCols(count) * particles.middleRows(first, count);
      mixed.noalias() += p.rightCols(1) * l.norm_1.row(e);
    }
    for (Index head = 0; head < h; ++head)
      l.value.middleCols(head * depth, depth).noalias() =
          l.mixed.middleCols(head * d, d) * c.value.w.middleCols(head * depth, depth);
    l.value.rowwise() += c.value.b;
  }

  // `g`: gradient of `value`. Adds to those of the particles and of the standardised tokens.
  void ask_back(const ClassLayer& l, const ClassBlock<S>& c, ClassBlock<S>& to, const Matrix<S>& g,
                Matrix<S>& to_particles, Matrix<S>& to_norm) const {
    const Index d = z.width, h = z.heads, depth = d / h, m = Index(events.size());
    Matrix<S> to_mixed(m, h * d), to_keys(m, h * d), to_query(m, d), scores;
    to.value.b += g.colwise().sum();
    for (Index head = 0; head < h; ++head) {
      const auto up = g.middleCols(head * depth, depth);
      to_mixed.middleCols(head * d, d).noalias() =
          up * c.value.w.middleCols(head * depth, depth).transpose();
      to.value.w.middleCols(head * depth, depth).noalias() +=
          l.mixed.middleCols(head * d, d).transpose() * up;
    }
    for (Index e = 0; e < m; ++e) {
      const auto [first, count] = events[e];
      const Eigen::Map<const Matrix<S>> keys(l.keys.row(e).data(), h, d),
          up(to_mixed.row(e).data(), h, d);
      Eigen::Map<Matrix<S>> down(to_keys.row(e).data(), h, d);
      const auto p = l.shares.middleCols(first + e, count + 1);
      const auto own = particles.middleRows(first, count);
      const auto token = l.norm_1.row(e);
      scores.resize(h, count + 1);
      scores.leftCols(count).noalias() = up * own.transpose();
      scores.rightCols(1).noalias() = up * token.transpose();
      to_particles.middleRows(first, count).noalias() += p.leftCols(count).transpose() * up;
      to_norm.row(e).noalias() += p.rightCols(1).transpose() * up;
      softmax_back(p, scores);
      down.noalias() = scores.leftCols(count) * own;
      down.noalias() += scores.rightCols(1) * token;
      to_particles.middleRows(first, count).noalias() += scores.leftCols(count).transpose() * keys;
      to_norm.row(e).noalias() += scores.rightCols(1).transpose() * keys;
    }
    for (Index head = 0; head < h; ++head) {
      const auto down = to_keys.middleCols(head * d, d);
      to_query.middleCols(head * depth, depth).noalias() =
          down * c.key.w.middleCols(head * depth, depth);
      to.key.w.middleCols(head * depth, depth).noalias() +=
          down.transpose() * l.query.middleCols(head * depth, depth);
    }
    to.query.collect(l.norm_1, to_query);
    to_norm.noalias() += to_query * c.query.w.transpose();
  }

  void forward() {
    const Index d = z.width;
    embed(local_1, n.local_1, raw);
    nearest(local_1.output, local_2.index);
    embed(local_2, n.local_2, local_1.output);
    n.embed_1.apply(raw, embedded);
    embedded = embedded.unaryExpr([](S v) { return leaky(v); });
    n.embed_2.apply(embedded, summed);
    summed += local_1.output + local_2.output;
    n.condition.apply(event, scale_shift);
    x.resize(rows, d);
    for (size_t e = 0; e < events.size(); ++e)
      for (Index i = events[e].first; i < events[e].first + events[e].count; ++i)
        x.row(i) = summed.row(i).array() * (S(1) + scale_shift.row(e).head(d).array()) +
                   scale_shift.row(e).tail(d).array();
    Matrix<S> skip = x;
    for (Index t = 0; t < z.blocks; ++t) {
      auto& l = layers[t];
      const auto& b = n.blocks[t];
      standardise(x, l.norm_1, l.inverse_1);
      b.qkv.apply(l.norm_1, l.qkv);
      attend(l);
      b.output.add(l.mixed, x);
      standardise(x, l.norm_2, l.inverse_2);
      b.first.apply(l.norm_2, l.hidden.x);
      gelu(l.hidden);
      b.second.add(l.hidden.y, x);
    }
    x += skip;
    standardise(x, particles, inverse);
    tokens = n.token.replicate(Index(events.size()), 1);
    for (Index t = 0; t < z.class_blocks; ++t) {
      auto& l = class_layers[t];
      const auto& c = n.class_blocks[t];
      standardise(tokens, l.norm_1, l.inverse_1);
      ask(l, c);
      c.output.add(l.value, tokens);
      standardise(tokens, l.norm_2, l.inverse_2);
      c.first.apply(l.norm_2, l.hidden.x);
      gelu(l.hidden);
      c.second.add(l.hidden.y, tokens);
    }
    standardise(tokens, last, inverse_last);
    Matrix<S> out(Index(events.size()), 1);
    n.head.apply(last, out);
    logits = out.transpose();
  }

  // `slope`: gradient of the loss with respect to the logits. Adds to the gradient sums `to`.
  void backward(const Row<S>& slope, Network<S>& to) {
    const Index d = z.width, m = Index(events.size());
    Matrix<S> g, up = slope.transpose(), to_tokens = Matrix<S>::Zero(m, d);
    to.head.collect(last, up);
    g.noalias() = up * n.head.w.transpose();
    standardise_back(last, inverse_last, g, to_tokens);
    Matrix<S> to_particles = Matrix<S>::Zero(rows, d), to_norm;
    for (Index t = z.class_blocks - 1; t >= 0; --t) {
      const auto& l = class_layers[t];
      const auto& c = n.class_blocks[t];
      hidden_back(l.hidden, l.norm_2, l.inverse_2, c.first, c.second, to.class_blocks[t].first,
                  to.class_blocks[t].second, to_tokens);
      to.class_blocks[t].output.collect(l.value, to_tokens);
      g.noalias() = to_tokens * c.output.w.transpose();
      to_norm.setZero(m, d);
      ask_back(l, c, to.class_blocks[t], g, to_particles, to_norm);
      standardise_back(l.norm_1, l.inverse_1, to_norm, to_tokens);
    }
    to.token += to_tokens.colwise().sum();
    Matrix<S> to_x = Matrix<S>::Zero(rows, d), to_skip, to_qkv;
    standardise_back(particles, inverse, to_particles, to_x);
    to_skip = to_x;
    for (Index t = z.blocks - 1; t >= 0; --t) {
      const auto& l = layers[t];
      const auto& b = n.blocks[t];
      hidden_back(l.hidden, l.norm_2, l.inverse_2, b.first, b.second, to.blocks[t].first,
                  to.blocks[t].second, to_x);
      to.blocks[t].output.collect(l.mixed, to_x);
      g.noalias() = to_x * b.output.w.transpose();
      attend_back(l, g, to_qkv);
      to.blocks[t].qkv.collect(l.norm_1, to_qkv);
      g.noalias() = to_qkv * b.qkv.w.transpose();
      standardise_back(l.norm_1, l.inverse_1, g, to_x);
    }
    to_x += to_skip;
    Matrix<S> to_condition = Matrix<S>::Zero(m, 2 * d);
    for (size_t e = 0; e < events.size(); ++e) {
      const auto [first, count] = events[e];
      auto rows_of = to_x.middleRows(first, count);
      to_condition.row(e).tail(d) = rows_of.colwise().sum();
      to_condition.row(e).head(d) =
          (rows_of.array() * summed.middleRows(first, count).array()).colwise().sum();
      rows_of.array().rowwise() *= S(1) + scale_shift.row(e).head(d).array();
    }
    to.condition.collect(event, to_condition);
    to.embed_2.collect(embedded, to_x);
    Matrix<S> hidden(rows, 2 * d);
    hidden.noalias() = to_x * n.embed_2.w.transpose();
    hidden = hidden.binaryExpr(embedded, [](S a, S b) { return b > 0 ? a : S(LEAK) * a; });
    to.embed_1.collect(raw, hidden);
    Matrix<S> to_local = to_x;
    embed_back(local_2, n.local_2, to.local_2, local_1.output, to_x, &to_local);
    embed_back(local_1, n.local_1, to.local_1, raw, to_local, nullptr);
  }

  // Residual branch `second(gelu(first(standardised)))`: adds to the gradient of its input.
  static void hidden_back(const Hidden<S>& h, const Matrix<S>& norm, const Row<S>& inverse,
                          const Dense<S>& first, const Dense<S>& second, Dense<S>& to_first,
                          Dense<S>& to_second, Matrix<S>& to_x) {
    to_second.collect(h.y, to_x);
    Matrix<S> g;
    g.noalias() = to_x * second.w.transpose();
    gelu_back(h, g);
    to_first.collect(norm, g);
    Matrix<S> down;
    down.noalias() = g * first.w.transpose();
    standardise_back(norm, inverse, down, to_x);
  }
};

}  // namespace omniflow
