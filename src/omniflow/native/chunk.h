// One chunk of events: forward, keeping what is needed, and backward.
#pragma once

#include <cstdint>
#include <vector>

#include "attention.h"
#include "batch.h"
#include "local.h"
#include "matrix.h"
#include "network.h"
#include "rows.h"

namespace omniflow {

// Serves one chunk after the other, so that memory is asked for once.
template <class S>
struct Chunk {
  const Network<S>& n;
  const Sizes& z;
  Events<S> in;
  Matrix<S> outputs;

  Chunk(const Network<S>& network, const Sizes& sizes)
      : n(network), z(sizes), layers(sizes.blocks), class_layers(sizes.class_blocks) {}

  void forward() {
    const Index m = Index(in.spans.size());
    embed();
    skip.copy(x);
    for (Index t = 0; t < z.blocks; ++t) {
      auto& l = layers[t];
      const auto& b = n.blocks[t];
      standardise(x, l.norm_1);
      b.qkv.apply(l.norm_1.y, l.attention.qkv);
      l.attention.forward(in.spans, z.heads);
      b.output.add(l.attention.mixed, x);
      hidden(l, b, x);
    }
    accumulate(x, skip);
    standardise(x, particles);
    tokens.size(m, z.width);
    for (Index e = 0; e < m; ++e) std::copy_n(n.token.at, z.width, tokens.row(e));
    for (Index t = 0; t < z.class_blocks; ++t) {
      auto& l = class_layers[t];
      const auto& c = n.class_blocks[t];
      standardise(tokens, l.attention.norm);
      l.attention.forward(in.spans, z.heads, c, particles.y);
      c.output.add(l.attention.value, tokens);
      hidden(l, c, tokens);
    }
    standardise(tokens, last);
    n.head.apply(last.y, outputs);
  }

  // `slope`: gradient of the loss with respect to the outputs. Adds to the gradient sums `to`.
  void backward(const View<S>& slope, Network<S>& to) {
    const Index d = z.width, m = Index(in.spans.size()), rows = in.raw.rows;
    to.head.collect(last.y, slope);
    n.head.back(slope, g);
    to_tokens.zero(m, d);
    standardise_back(last, g, to_tokens);
    to_particles.zero(rows, d);
    for (Index t = z.class_blocks - 1; t >= 0; --t) {
      const auto& c = n.class_blocks[t];
      auto& l = class_layers[t];
      auto& sums = to.class_blocks[t];
      hidden_back(l, c, sums, to_tokens);
      sums.output.collect(l.attention.value, to_tokens);
      c.output.back(to_tokens, g);
      to_norm.zero(m, d);
      l.attention.backward(in.spans, z.heads, c, sums, g, particles.y, to_particles, to_norm);
      standardise_back(l.attention.norm, to_norm, to_tokens);
    }
    add_rows(to_tokens, to.token.at);
    to_x.zero(rows, d);
    standardise_back(particles, to_particles, to_x);
    skip.copy(to_x);
    for (Index t = z.blocks - 1; t >= 0; --t) {
      const auto& b = n.blocks[t];
      auto& l = layers[t];
      auto& sums = to.blocks[t];
      hidden_back(l, b, sums, to_x);
      sums.output.collect(l.attention.mixed, to_x);
      b.output.back(to_x, g);
      l.attention.backward(in.spans, z.heads, g, to_qkv);
      sums.qkv.collect(l.norm_1.y, to_qkv);
      b.qkv.back(to_qkv, g);
      standardise_back(l.norm_1, g, to_x);
    }
    accumulate(to_x, skip);
    embed_back(to);
  }

 private:
  struct Layer {
    Norm<S> norm_1, norm_2;
    Attention<S> attention;
    Hidden<S> hidden;
  };
  struct ClassLayer {
    ClassAttention<S> attention;
    Norm<S> norm_2;
    Hidden<S> hidden;
  };
  Search<S> search;
  Local<S> local_1, local_2;
  Matrix<S> embedded, summed, scale_shift, x, skip, tokens;
  Norm<S> particles, last;
  std::vector<Layer> layers;
  std::vector<ClassLayer> class_layers;
  // Of the way back.
  Matrix<S> g, inner, to_tokens, to_norm, to_particles, to_x, to_qkv, to_condition, to_local;

  // Adds the residual branch dense, GELU, dense to `y`; and its way back.
  template <class L, class B>
  static void hidden(L& l, const B& b, const View<S>& y) {
    standardise(y, l.norm_2);
    b.first.apply(l.norm_2.y, l.hidden.y);
    gelu(l.hidden);
    b.second.add(l.hidden.y, y);
  }
  template <class L, class B>
  void hidden_back(const L& l, const B& b, B& sums, const View<S>& to) {
    sums.second.collect(l.hidden.y, to);
    b.second.back(to, inner);
    scale(inner, l.hidden.slope);
    sums.first.collect(l.norm_2.y, inner);
    b.first.back(inner, g);
    standardise_back(l.norm_2, g, to);
  }

  void embed() {
    const Index d = z.width;
    given(in.spans, in.neighbours, in.raw.rows, z.neighbours, local_1.neighbours);
    local_1.forward(n.local_1, in.raw);
    search(in.spans, local_1.output, z.neighbours, local_2.neighbours);
    local_2.forward(n.local_2, local_1.output);
    n.embed_1.apply(in.raw, embedded);
    each<S>(embedded.rows * embedded.columns, [&](Index i, auto v) {
      const auto value = load<decltype(v)>(embedded.at + i);
      store(embedded.at + i, leaky<S>(value, value));
    });
    n.embed_2.apply(embedded, summed);
    accumulate(summed, local_1.output);
    accumulate(summed, local_2.output);
    n.condition.apply(in.event, scale_shift);
    x.size(in.raw.rows, d);
    for (size_t e = 0; e < in.spans.size(); ++e) {
      const S *by = scale_shift.row(e), *shift = by + d;
      for (Index i = in.spans[e].first; i < in.spans[e].first + in.spans[e].count; ++i)
        for (Index j = 0; j < d; ++j) x.row(i)[j] = summed.row(i)[j] * (S(1) + by[j]) + shift[j];
    }
  }
  void embed_back(Network<S>& to) {
    condition_back();
    to.condition.collect(in.event, to_condition);
    to.embed_2.collect(embedded, to_x);
    n.embed_2.back(to_x, inner);
    each<S>(inner.rows * inner.columns, [&](Index i, auto v) {
      using V = decltype(v);
      store(inner.at + i, leaky<S>(load<V>(embedded.at + i), load<V>(inner.at + i)));
    });
    to.embed_1.collect(in.raw, inner);
    to_local.copy(to_x);
    local_2.backward(n.local_2, to.local_2, local_1.output, to_x, &to_local);
    local_1.backward(n.local_1, to.local_1, in.raw, to_local, nullptr);
  }
  void condition_back() {
    const Index d = z.width;
    to_condition.zero(Index(in.spans.size()), 2 * d);
    for (size_t e = 0; e < in.spans.size(); ++e) {
      const S* __restrict by = scale_shift.row(e);
      S* __restrict to_scale = to_condition.row(e);
      S* __restrict to_shift = to_scale + d;
      for (Index i = in.spans[e].first; i < in.spans[e].first + in.spans[e].count; ++i) {
        S* __restrict up = to_x.row(i);
        const S* __restrict value = summed.row(i);
        for (Index j = 0; j < d; ++j) {
          to_shift[j] += up[j];
          to_scale[j] += up[j] * value[j];
          up[j] *= S(1) + by[j];
        }
      }
    }
  }
};

}  // namespace omniflow
