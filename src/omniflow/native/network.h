// Sizes and parameters of a network: as layers, folded, and their places in the flat vector.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "dense.h"
#include "matrix.h"
#include "vector.h"

namespace omniflow {

struct Sizes {  // as omniflow.training.native.Sizes
  int64_t features, event_features, neighbours, width, heads, blocks, class_blocks, rows_per_chunk;
};

template <class S>
struct Edges {  // of a local embedding: W_j x_j + (W_i x_i + b), then a dense layer
  Dense<S> neighbour, self, output;
};

template <class S>
struct Block {
  Dense<S> qkv, output, first, second;
};

template <class S>
struct ClassBlock {
  Dense<S> query, key, value, output, first, second;
};

template <class S>
struct Network {
  Dense<S> embed_1, embed_2, condition, head;
  Edges<S> local_1, local_2;
  std::vector<Block<S>> blocks;
  std::vector<ClassBlock<S>> class_blocks;
  Matrix<S> token;

  template <class F>
  void each(F f) {
    for (auto* d : {&embed_1, &embed_2, &condition, &head}) f(*d);
    for (auto* e : {&local_1, &local_2}) f(e->neighbour), f(e->self), f(e->output);
    for (auto& b : blocks) f(b.qkv), f(b.output), f(b.first), f(b.second);
    for (auto& c : class_blocks)
      f(c.query), f(c.key), f(c.value), f(c.output), f(c.first), f(c.second);
  }
  std::vector<Dense<S>*> list() {
    std::vector<Dense<S>*> found;
    each([&](Dense<S>& d) { found.push_back(&d); });
    return found;
  }
  void zero_like(Network& other) {
    blocks.resize(other.blocks.size()), class_blocks.resize(other.class_blocks.size());
    const auto mine = list(), theirs = other.list();
    for (size_t i = 0; i < mine.size(); ++i) mine[i]->zero(theirs[i]->w.rows, theirs[i]->w.columns);
    token.zero(1, other.token.columns);
  }
  void add(Network& other) {
    const auto mine = list(), theirs = other.list();
    for (size_t i = 0; i < mine.size(); ++i) *mine[i] += *theirs[i];
    for (Index j = 0; j < token.columns; ++j) token.at[j] += other.token.at[j];
  }
};

// Reads the flat parameters in the order of omniflow.training.native._order, or adds gradients
// to the places where they belong; folding and its transpose stand side by side.
template <class S>
struct Parameters {
  const S* values;
  S* gradients;
  const int64_t* places;

  struct Entry {  // values and gradients of one array
    const S* v;
    S* g;
  };
  Entry next() {
    const int64_t at = *places++;
    return {values + at, gradients + at};
  }

  // Visits all layers, and either fills them from the values or adds their gradients.
  template <bool READ>
  void plain(Matrix<S>& m, Index rows, Index columns) {
    const Entry e = next();
    if (READ) m.size(rows, columns);
    for (Index i = 0; i < rows * columns; ++i) READ ? m.at[i] = e.v[i] : e.g[i] += m.at[i];
  }
  template <bool READ>
  void dense(Dense<S>& d, Index in, Index out) {
    plain<READ>(d.w, in, out);
    plain<READ>(d.b, 1, out);
  }
  template <bool READ>
  void edges(Edges<S>& e, Index in, Index width) {
    const Entry w = next();
    const Index n = in * 2 * width;  // first the rows of x_j - x_i, then those of x_i
    if (READ) e.neighbour.zero(in, 2 * width), e.self.zero(in, 2 * width);
    S *neighbour = e.neighbour.w.at, *self = e.self.w.at;
    for (Index i = 0; i < n; ++i) {
      if (READ)
        neighbour[i] = w.v[i], self[i] = w.v[n + i] - w.v[i];
      else
        w.g[i] += neighbour[i] - self[i], w.g[n + i] += self[i];
    }
    plain<READ>(e.self.b, 1, 2 * width);
    dense<READ>(e.output, 2 * width, width);
  }
  // Columns w and b of a dense layer behind a norm with scale `gamma` and shift `beta`.
  template <bool READ>
  void behind(const View<S>& w, S* b, const Entry& gamma, const Entry& beta, bool has_bias,
              S factor) {
    const Entry kernel = next();
    const Index out = w.columns;
    for (Index i = 0; i < w.rows; ++i) {
      S* row = w.row(i);
      const S* v = kernel.v + i * out;
      const S by = gamma.v[i] * factor, shift = beta.v[i] * factor;
      if (READ) {
        for (Index j = 0; j < out; ++j) row[j] = v[j] * by, b[j] += v[j] * shift;
      } else {
        S* g = kernel.g + i * out;
        for (Index j = 0; j < out; ++j) g[j] += row[j] * by + b[j] * shift;
        gamma.g[i] += dot(out, row, v) * factor;
        beta.g[i] += dot(out, static_cast<const S*>(b), v) * factor;
      }
    }
    if (!has_bias) return;
    const Entry bias = next();
    for (Index j = 0; j < out; ++j) READ ? b[j] += bias.v[j] * factor : bias.g[j] += b[j] * factor;
  }
  template <bool READ>
  void behind(Dense<S>& d, const Entry& gamma, const Entry& beta, Index in, Index out,
              bool has_bias, S factor) {
    if (READ) d.zero(in, out);
    behind<READ>(d.w, d.b.at, gamma, beta, has_bias, factor);
  }
  // A dense layer whose output is scaled per channel.
  template <bool READ>
  void scaled(Dense<S>& d, Index in, Index out) {
    const Entry w = next(), b = next(), scale = next();
    if (READ) d.zero(in, out);
    for (Index i = 0; i <= in; ++i) {
      S* row = i < in ? d.w.row(i) : d.b.at;
      const S* v = i < in ? w.v + i * out : b.v;
      S* g = i < in ? w.g + i * out : b.g;
      for (Index j = 0; j < out; ++j) {
        if (READ)
          row[j] = v[j] * scale.v[j];
        else
          g[j] += row[j] * scale.v[j], scale.g[j] += row[j] * v[j];
      }
    }
  }

  template <bool READ>
  void visit(Network<S>& n, const Sizes& z) {
    const Index d = z.width;
    const S root = S(1) / std::sqrt(S(d / z.heads));
    dense<READ>(n.embed_1, z.features, 2 * d);
    dense<READ>(n.embed_2, 2 * d, d);
    edges<READ>(n.local_1, z.features, d);
    edges<READ>(n.local_2, d, d);
    dense<READ>(n.condition, z.event_features, 2 * d);
    n.blocks.resize(z.blocks);
    for (auto& block : n.blocks) {
      const Entry gamma = next(), beta = next();
      if (READ) block.qkv.zero(d, 3 * d);
      for (Index part = 0; part < 3; ++part)  // keys have no bias
        behind<READ>(block.qkv.w.some_columns(part * d, d), block.qkv.b.at + part * d, gamma, beta,
                     part != 1, part == 0 ? root : S(1));
      scaled<READ>(block.output, d, d);
      const Entry gamma_2 = next(), beta_2 = next();
      behind<READ>(block.first, gamma_2, beta_2, d, 2 * d, true, S(1));
      scaled<READ>(block.second, 2 * d, d);
    }
    plain<READ>(n.token, 1, d);
    n.class_blocks.resize(z.class_blocks);
    for (auto& block : n.class_blocks) {
      const Entry gamma = next(), beta = next();
      behind<READ>(block.query, gamma, beta, d, d, true, root);
      behind<READ>(block.key, gamma, beta, d, d, false, S(1));
      behind<READ>(block.value, gamma, beta, d, d, true, S(1));
      dense<READ>(block.output, d, d);
      const Entry gamma_2 = next(), beta_2 = next();
      behind<READ>(block.first, gamma_2, beta_2, d, 2 * d, true, S(1));
      dense<READ>(block.second, 2 * d, d);
    }
    const Entry gamma = next(), beta = next();
    behind<READ>(n.head, gamma, beta, d, 1, true, S(1));
  }
};

}  // namespace omniflow
