// Sizes and parameters of a network: as layers, folded, and their places in the flat vector.
#pragma once

#include <Eigen/Dense>
#include <cmath>
#include <cstdint>
#include <vector>

namespace omniflow {

using Index = Eigen::Index;
template <class S>
using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class S>
using Row = Eigen::Matrix<S, 1, Eigen::Dynamic>;
template <class S>
using View = Eigen::Map<const Matrix<S>>;

struct Sizes {  // as omniflow.training.native.Sizes
  int64_t features, event_features, neighbours, width, heads, blocks, class_blocks, rows_per_chunk;
};

template <class S>
struct Dense {
  Matrix<S> w;
  Row<S> b;
  void zero(Index in, Index out) { w.setZero(in, out), b.setZero(out); }
  void operator+=(const Dense& other) { w += other.w, b += other.b; }
  template <class X, class Y>
  void apply(const X& x, Y& y) const {
    y.noalias() = x * w;
    y.rowwise() += b;
  }
  template <class X, class Y>
  void add(const X& x, Y& y) const {
    y.noalias() += x * w;
    y.rowwise() += b;
  }
  // Gradient sums (in *this) of y = x w + b.
  template <class X, class G>
  void collect(const X& x, const G& g) {
    w.noalias() += x.transpose() * g;
    b += g.colwise().sum();
  }
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
  Row<S> token;

  template <class F>
  void each(F f) {
    for (auto* d : {&embed_1, &embed_2, &condition, &head}) f(*d);
    for (auto* e : {&local_1, &local_2}) f(e->neighbour), f(e->self), f(e->output);
    for (auto& b : blocks) f(b.qkv), f(b.output), f(b.first), f(b.second);
    for (auto& c : class_blocks)
      f(c.query), f(c.key), f(c.value), f(c.output), f(c.first), f(c.second);
  }
  void zero_like(Network& other) {
    *this = other;
    each([](Dense<S>& d) { d.w.setZero(), d.b.setZero(); });
    token.setZero();
  }
  void add(Network& other) {
    std::vector<Dense<S>*> mine, theirs;
    each([&](Dense<S>& d) { mine.push_back(&d); });
    other.each([&](Dense<S>& d) { theirs.push_back(&d); });
    for (size_t i = 0; i < mine.size(); ++i) *mine[i] += *theirs[i];
    token += other.token;
  }
};

// Reads the flat parameters in the order of omniflow.training.native.parameters, or adds gradients
// to the places where they belong; folding and its transpose stand side by side.
template <class S>
struct Parameters {
  const S* values;
  S* gradients;
  const int64_t* offsets;

  struct Entry {
    Eigen::Map<const Matrix<S>> v;
    Eigen::Map<Matrix<S>> g;
  };
  Entry next(Index rows, Index columns) {
    const int64_t at = *offsets++;
    return {{values + at, rows, columns}, {gradients + at, rows, columns}};
  }

  // Visits all layers: `take` is called with the folded layer, and either fills or reads it.
  template <bool READ>
  void dense(Dense<S>& d, Index in, Index out) {
    auto w = next(in, out), b = next(1, out);
    if (READ)
      d.w = w.v, d.b = b.v;
    else
      w.g += d.w, b.g += d.b;
  }
  template <bool READ>
  void edges(Edges<S>& e, Index in, Index width) {
    auto w = next(2 * in, 2 * width), b = next(1, 2 * width);
    if (READ) {
      e.neighbour.w = w.v.topRows(in);
      e.self.w = w.v.bottomRows(in) - w.v.topRows(in);
      e.self.b = b.v;
      e.neighbour.b.setZero(2 * width);
    } else {
      w.g.topRows(in) += e.neighbour.w - e.self.w;
      w.g.bottomRows(in) += e.self.w;
      b.g += e.self.b;
    }
    dense<READ>(e.output, 2 * width, width);
  }
  // A dense layer behind a norm with scale `gamma` and shift `beta`.
  template <bool READ, class W, class B>
  void behind(W w, B b, Entry& gamma, Entry& beta, const Entry& kernel, Entry* bias,
              Entry& kernel_g, S factor) {
    if (READ) {
      w = (kernel.v.array().colwise() * gamma.v.row(0).transpose().array()).matrix() * factor;
      b = beta.v * kernel.v * factor;
      if (bias) b += bias->v * factor;
    } else {
      kernel_g.g += (w.array().colwise() * gamma.v.row(0).transpose().array()).matrix() * factor;
      gamma.g += (w.array() * kernel.v.array()).rowwise().sum().matrix().transpose() * factor;
      beta.g += b * kernel.v.transpose() * factor;
      kernel_g.g += beta.v.transpose() * b * factor;
      if (bias) bias->g += b * factor;
    }
  }
  template <bool READ>
  void behind(Dense<S>& d, Entry& gamma, Entry& beta, Index in, Index out, bool has_bias,
              S factor) {
    auto w = next(in, out);
    if (READ) d.zero(in, out);
    if (has_bias) {
      auto b = next(1, out);
      behind<READ>(Eigen::Ref<Matrix<S>>(d.w), Eigen::Ref<Row<S>>(d.b), gamma, beta, w, &b, w,
                   factor);
    } else {
      behind<READ>(Eigen::Ref<Matrix<S>>(d.w), Eigen::Ref<Row<S>>(d.b), gamma, beta, w, nullptr, w,
                   factor);
    }
  }
  // A dense layer whose output is scaled per channel.
  template <bool READ>
  void scaled(Dense<S>& d, Entry w, Entry b, Entry scale) {
    const auto s = scale.v.row(0).array();
    if (READ) {
      d.w = (w.v.array().rowwise() * s).matrix();
      d.b = (b.v.array() * s).matrix();
    } else {
      w.g += (d.w.array().rowwise() * s).matrix();
      b.g += (d.b.array() * s).matrix();
      scale.g += (d.w.array() * w.v.array()).colwise().sum().matrix();
      scale.g += (d.b.array() * b.v.array()).matrix();
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
      auto gamma = next(1, d), beta = next(1, d);
      if (READ) block.qkv.zero(d, 3 * d);
      for (Index part = 0; part < 3; ++part) {
        auto w = next(d, d);
        auto b = part == 1 ? w : next(1, d);  // keys have no bias
        behind<READ>(block.qkv.w.middleCols(part * d, d), block.qkv.b.segment(part * d, d), gamma,
                     beta, w, part == 1 ? nullptr : &b, w, part == 0 ? root : S(1));
      }
      auto wo = next(d, d), bo = next(1, d), so = next(1, d);
      scaled<READ>(block.output, wo, bo, so);
      auto gamma_2 = next(1, d), beta_2 = next(1, d);
      behind<READ>(block.first, gamma_2, beta_2, d, 2 * d, true, S(1));
      auto w2 = next(2 * d, d), b2 = next(1, d), s2 = next(1, d);
      scaled<READ>(block.second, w2, b2, s2);
    }
    auto token = next(1, d);
    if (READ)
      n.token = token.v;
    else
      token.g += n.token;
    n.class_blocks.resize(z.class_blocks);
    for (auto& block : n.class_blocks) {
      auto gamma = next(1, d), beta = next(1, d);
      behind<READ>(block.query, gamma, beta, d, d, true, root);
      behind<READ>(block.key, gamma, beta, d, d, false, S(1));
      behind<READ>(block.value, gamma, beta, d, d, true, S(1));
      dense<READ>(block.output, d, d);
      auto gamma_2 = next(1, d), beta_2 = next(1, d);
      behind<READ>(block.first, gamma_2, beta_2, d, 2 * d, true, S(1));
      dense<READ>(block.second, 2 * d, d);
    }
    auto gamma = next(1, d), beta = next(1, d);
    behind<READ>(n.head, gamma, beta, d, 1, true, S(1));
  }
};

}  // namespace omniflow
