// Point-edge transformer on the CPU: logits, and gradients of the weighted binary cross-entropy.
//
// The same function as omniflow.models.pet, layer by layer, without padding: the particles of all
// events of a chunk are the rows of matrices, chunks are small enough for the processor's cache,
// and norms and scales are folded into the dense layers beside them (see models/layers.py).

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using Index = Eigen::Index;
template <class S>
using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class S>
using Row = Eigen::Matrix<S, 1, Eigen::Dynamic>;
template <class S>
using View = Eigen::Map<const Matrix<S>>;

constexpr double EPSILON = 1e-6;                // of the norms
constexpr double LEAK = 0.01f;                  // of LeakyReLU, in float32 as TensorFlow has it
constexpr double GELU_A = 1.5957691216057308;   // 2 sqrt(2/pi)
constexpr double GELU_B = 0.07135481627159498;  // 0.044715 times that

struct Sizes {  // as omniflow.training.native.Sizes
  int64_t features, event_features, neighbours, width, heads, blocks, class_blocks, rows_per_chunk;
};

// -- parameters ----------------------------------------------------------------------------------

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

// -- operations on rows --------------------------------------------------------------------------

template <class S>
void standardise(const Matrix<S>& x, Matrix<S>& y, Row<S>& inverse) {
  y.resize(x.rows(), x.cols());
  inverse.resize(x.rows());
  for (Index i = 0; i < x.rows(); ++i) {
    y.row(i) = x.row(i).array() - x.row(i).mean();
    inverse[i] = S(1) / std::sqrt(y.row(i).squaredNorm() / S(x.cols()) + S(EPSILON));
    y.row(i) *= inverse[i];
  }
}

// Adds to `to` the gradient with respect to the input of `standardise`.
template <class S>
void standardise_back(const Matrix<S>& y, const Row<S>& inverse, const Matrix<S>& g,
                      Matrix<S>& to) {
  for (Index i = 0; i < y.rows(); ++i) {
    const S mean = g.row(i).mean();
    const S slope = g.row(i).dot(y.row(i)) / S(y.cols());
    to.row(i).array() += inverse[i] * (g.row(i).array() - mean - slope * y.row(i).array());
  }
}

template <class S>
struct Hidden {  // dense, GELU, dense: what the way back needs
  Matrix<S> x, sigmoid, y;
};

template <class S>
void gelu(Hidden<S>& h) {
  const auto x = h.x.array();
  h.sigmoid = (S(1) / (S(1) + (-(x * (S(GELU_A) + S(GELU_B) * x * x))).exp())).matrix();
  h.y = (x * h.sigmoid.array()).matrix();
}

template <class S>
void gelu_back(const Hidden<S>& h, Matrix<S>& g) {
  const auto x = h.x.array(), s = h.sigmoid.array();
  g.array() *= s * (S(1) + x * (S(1) - s) * (S(GELU_A) + S(3 * GELU_B) * x * x));
}

template <class S>
inline S leaky(S x) {
  return x > 0 ? x : S(LEAK) * x;
}

// Softmax of each row, in place.
template <class M>
void softmax(M&& p) {
  for (Index i = 0; i < p.rows(); ++i) {
    p.row(i) = (p.row(i).array() - p.row(i).maxCoeff()).exp();
    p.row(i) /= p.row(i).sum();
  }
}

// Turns the gradient with respect to a softmax into that of its input, in place.
template <class P, class G>
void softmax_back(const P& p, G&& g) {
  for (Index i = 0; i < p.rows(); ++i) {
    const auto mean = p.row(i).dot(g.row(i));
    g.row(i).array() = p.row(i).array() * (g.row(i).array() - mean);
  }
}

// -- one chunk -----------------------------------------------------------------------------------

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

// -- all events ----------------------------------------------------------------------------------

template <class S>
double run(const Sizes& z, const S* parameters, const int64_t* places, int64_t events,
           const int64_t* offsets, const S* particles, const int32_t* neighbours, const S* event,
           const S* a, const S* b, int threads, S* logits, S* gradient) {
  Network<S> network;
  Parameters<S>{parameters, gradient, places}.template visit<true>(network, z);
  std::vector<int64_t> cuts{0};
  for (int64_t e = 1; e <= events; ++e)
    if (e == events || offsets[e + 1] - offsets[cuts.back()] > z.rows_per_chunk) cuts.push_back(e);
  const int64_t chunks = events ? int64_t(cuts.size()) - 1 : 0;
  const int workers = int(std::max<int64_t>(1, std::min<int64_t>(threads, chunks)));
  std::vector<double> losses(workers, 0.0);
  std::vector<Network<S>> sums(gradient ? workers : 0);
  auto work = [&](int worker) {
    if (gradient) sums[worker].zero_like(network);
    // Fixed shares, so that sums do not depend on which thread is faster.
    for (int64_t c = worker; c < chunks; c += workers) {
      const int64_t first = cuts[c], last = cuts[c + 1], row = offsets[first];
      std::vector<Span> spans;
      for (int64_t e = first; e < last; ++e)
        spans.push_back({Index(offsets[e] - row), Index(offsets[e + 1] - offsets[e])});
      Chunk<S> chunk(network, z, spans, particles + row * z.features,
                     neighbours + row * z.neighbours, event + first * z.event_features,
                     Index(offsets[last] - row));
      chunk.forward();
      std::copy(chunk.logits.data(), chunk.logits.data() + (last - first), logits + first);
      if (!gradient) continue;
      Row<S> slope(last - first);
      for (int64_t e = first; e < last; ++e) {
        const double v = logits[e], small = std::log1p(std::exp(-std::abs(v)));
        losses[worker] += a[e] * (small + std::max(-v, 0.0)) + b[e] * (small + std::max(v, 0.0));
        const double sigmoid = v >= 0 ? 1 / (1 + std::exp(-v)) : std::exp(v) / (1 + std::exp(v));
        slope[e - first] = S(b[e] * sigmoid - a[e] * (1 - sigmoid));
      }
      chunk.backward(slope, sums[worker]);
    }
  };
  std::vector<std::thread> pool;
  for (int worker = 1; worker < workers; ++worker) pool.emplace_back(work, worker);
  work(0);
  for (auto& thread : pool) thread.join();
  double loss = losses[0];
  for (int worker = 1; worker < workers; ++worker) {
    loss += losses[worker];
    if (gradient) sums[0].add(sums[worker]);
  }
  if (gradient) Parameters<S>{parameters, gradient, places}.template visit<false>(sums[0], z);
  return loss;
}

}  // namespace

using Float = OMNIFLOW_FLOAT;

// Returns the loss. Writes logits (n,); adds gradients to `gradient` unless it is null.
extern "C" double omniflow_pet(const Sizes* sizes, const Float* parameters, const int64_t* places,
                               int64_t events, const int64_t* offsets, const Float* particles,
                               const int32_t* neighbours, const Float* event, const Float* a,
                               const Float* b, int threads, Float* logits, Float* gradient) {
  return run<Float>(*sizes, parameters, places, events, offsets, particles, neighbours, event, a, b,
                    threads, logits, gradient);
}
