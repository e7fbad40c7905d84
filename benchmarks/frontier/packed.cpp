// Members of one step, trained together: an MLP whose layers are shared, of each member, or shared
// up to scales of each member (BatchEnsemble), and a head and a loss of each member.
//
// Products, GELUs, losses and updates are those of the native engine.

#include <cmath>
#include <cstdint>
#include <vector>

#include "dense.h"
#include "loss.h"
#include "optimizer.h"
#include "rows.h"

namespace omniflow {

constexpr Index CHUNK = 128;  // events that pass through all layers together
enum Kind : int64_t { SHARED = 0, OWN = 1, SCALED = 2 };

struct Shape {  // as packed.Shape
  int64_t inputs, members, layers;
  const int64_t *widths, *kinds;  // of the hidden layers
};

template <class S>
struct Scales {  // of one member: y = ((x * r) w) * s + b
  Matrix<S> r, s, b;
};

// Parameters of all members, or gradient sums.
template <class S>
struct Members {
  std::vector<std::vector<Dense<S>>> dense;  // by layer; one, or one per member
  std::vector<std::vector<Scales<S>>> scales;
  std::vector<Matrix<S>> kernel, bias;  // of the heads

  explicit Members(const Shape& z) : dense(z.layers), scales(z.layers), kernel(z.members), bias(z.members) {
    Index in = z.inputs;
    for (Index l = 0; l < z.layers; ++l) {
      const Index out = z.widths[l];
      dense[l].resize(z.kinds[l] == OWN ? z.members : 1);
      for (auto& d : dense[l]) d.zero(in, out);
      if (z.kinds[l] == SCALED) scales[l].resize(z.members);
      for (auto& s : scales[l]) s.r.zero(1, in), s.s.zero(1, out), s.b.zero(1, out);
      in = out;
    }
    for (auto& k : kernel) k.zero(1, in);
    for (auto& b : bias) b.zero(1, 1);
  }
  // Calls `f` with all matrices, in the order of packed.py; shared layers with scales have no bias.
  template <class F>
  void each(F f) {
    for (size_t l = 0; l < dense.size(); ++l) {
      for (auto& d : dense[l]) {
        f(d.w);
        if (scales[l].empty()) f(d.b);
      }
      for (auto& s : scales[l]) f(s.r), f(s.s), f(s.b);
    }
    for (size_t k = 0; k < kernel.size(); ++k) f(kernel[k]), f(bias[k]);
  }
  void read(const S* values) {
    each([&](Matrix<S>& m) {
      std::copy_n(values, m.rows * m.columns, m.at);
      values += m.rows * m.columns;
    });
    for (auto& layer : dense)
      for (auto& d : layer) d.turn();
  }
  void write(S* gradient) {
    each([&](Matrix<S>& m) {
      gradient = std::copy_n(m.at, m.rows * m.columns, gradient);
      std::fill_n(m.at, m.rows * m.columns, S(0));
    });
  }
};

// Each row of x times one row.
template <class S>
void times(const View<S>& x, const S* by, Matrix<S>& to) {
  to.size(x.rows, x.columns);
  for (Index i = 0; i < x.rows; ++i)
    each<S>(x.columns, [&](Index j, auto v) {
      using V = decltype(v);
      store(to.row(i) + j, V(load<V>(x.row(i) + j) * load<V>(by + j)));
    });
}

// to += sums over the rows of x times y, number by number.
template <class S>
void add_products(const View<S>& x, const View<S>& y, S* to) {
  for (Index i = 0; i < x.rows; ++i)
    each<S>(x.columns, [&](Index j, auto v) {
      using V = decltype(v);
      store(to + j, V(load<V>(to + j) + load<V>(x.row(i) + j) * load<V>(y.row(i) + j)));
    });
}

// One chunk of events forward and backward.
template <class S>
struct Chunk {
  const Shape& z;
  const Members<S>& n;
  const S* mask;  // factors on the units of all layers (dropout), or null
  struct Unit {
    Hidden<S> h;
    Matrix<S> in, product;  // of a layer with scales
  };
  std::vector<std::vector<Unit>> units;  // by layer; one, or one per member
  std::vector<Matrix<S>> g, lower;
  Matrix<S> spare, outputs;  // outputs: (members, events)

  Chunk(const Shape& shape, const Members<S>& network) : z(shape), n(network), mask(nullptr), units(shape.layers), g(shape.members), lower(shape.members) {
    bool apart = false;
    for (Index l = 0; l < z.layers; ++l) {
      apart = apart || z.kinds[l] != SHARED;
      units[l].resize(apart ? z.members : 1);
    }
  }
  const View<S>& below(Index l, Index k, const View<S>& x) const {
    if (l == 0) return x;
    const auto& layer = units[l - 1];
    return layer[layer.size() == 1 ? 0 : k].h.y;
  }
  const Dense<S>& weights(Index l, Index k) const {
    return n.dense[l][n.dense[l].size() == 1 ? 0 : k];
  }
  void forward(const View<S>& x) {
    const S* dropped = mask;
    for (Index l = 0; l < z.layers; ++l) {
      for (size_t k = 0; k < units[l].size(); ++k) {
        Unit& u = units[l][k];
        if (z.kinds[l] == SCALED) {
          const Scales<S>& s = n.scales[l][k];
          times(below(l, k, x), s.r.at, u.in);
          u.product.size(x.rows, z.widths[l]);
          multiply(u.in, weights(l, k).w, u.product);
          times(u.product, s.s.at, u.h.y);
          for (Index i = 0; i < x.rows; ++i) accumulate(u.h.y.some_rows(i, 1), s.b);
        } else {
          weights(l, k).apply(below(l, k, x), u.h.y);
        }
        gelu(u.h);
        if (dropped) {
          times(u.h.y, dropped, u.h.y);
          times(u.h.slope, dropped, u.h.slope);
        }
      }
      if (dropped) dropped += z.widths[l];
    }
    outputs.size(z.members, x.rows);
    for (Index k = 0; k < z.members; ++k) {
      const View<S>& last = below(z.layers, k, x);
      for (Index i = 0; i < x.rows; ++i)
        outputs.row(k)[i] = dot(last.columns, last.row(i), n.kernel[k].at) + n.bias[k].at[0];
    }
  }
  // `outputs` holds the slopes of the losses.
  void backward(const View<S>& x, Members<S>& to) {
    for (Index k = 0; k < z.members; ++k) {
      const View<S>& last = below(z.layers, k, x);
      const size_t at = units[z.layers - 1].size() == 1 ? 0 : k;
      if (at == size_t(k)) g[at].zero(x.rows, last.columns);
      for (Index i = 0; i < x.rows; ++i) {
        const S slope = outputs.row(k)[i];
        to.bias[k].at[0] += slope;
        omniflow::each<S>(last.columns, [&](Index j, auto v) {
          using V = decltype(v);
          store(to.kernel[k].at + j, V(load<V>(to.kernel[k].at + j) + slope * load<V>(last.row(i) + j)));
          store(g[at].row(i) + j, V(load<V>(g[at].row(i) + j) + slope * load<V>(n.kernel[k].at + j)));
        });
      }
    }
    for (Index l = z.layers; l-- > 0;) {
      const size_t wide = l ? units[l - 1].size() : 0;
      for (size_t k = 0; k < wide; ++k) lower[k].zero(x.rows, z.widths[l - 1]);
      for (size_t k = 0; k < units[l].size(); ++k) {
        Unit& u = units[l][k];
        scale(g[k], u.h.slope);
        const View<S>& in = below(l, k, x);
        const Dense<S>& d = weights(l, k);
        Dense<S>& sums = to.dense[l][n.dense[l].size() == 1 ? 0 : k];
        Matrix<S>* down = l ? &lower[wide == 1 ? 0 : k] : nullptr;
        if (z.kinds[l] == SCALED) {
          const Scales<S>& s = n.scales[l][k];
          add_rows(g[k], to.scales[l][k].b.at);
          add_products(g[k], u.product, to.scales[l][k].s.at);
          times(g[k], s.s.at, g[k]);
          multiply_transposed(u.in, g[k], sums.w, true);
          d.back(g[k], spare);
          add_products(spare, in, to.scales[l][k].r.at);
          times(spare, s.r.at, spare);
          if (down) accumulate(*down, spare);
        } else {
          sums.collect(in, g[k]);
          if (down) d.add_back(g[k], *down);
        }
      }
      std::swap(g, lower);
    }
  }
};

}  // namespace omniflow

using namespace omniflow;
using Float = float;

// Updates d parameters `updates` times by `batch` of the events (n, inputs) each, as `order` has
// them; the loss is the sum over members and events of weights a and b times costs. `counts`
// (n, members), how often a member sees an event, and `masks` (updates, units) may be
// null. Update u has the rate rates[u], and an average that keeps keeps[u] of itself.
extern "C" __attribute__((visibility("default"))) double packed_train(
    const Shape* shape, const Optimizer* optimizer, Trained<Float>* trained, int64_t d,
    int64_t updates, int64_t batch, const int32_t* order, const Float* events, const Float* a,
    const Float* b, const uint8_t* counts, const Float* masks, int64_t units, const double* rates,
    const double* keeps) {
  const Shape& z = *shape;
  Members<Float> network(z), sums(z);
  Chunk<Float> chunk(z, network);
  Matrix<Float> x;
  std::vector<Float> gradient(d);
  double loss = 0;
  for (int64_t u = 0; u < updates; ++u) {
    network.read(trained->parameters);
    chunk.mask = masks ? masks + u * units : nullptr;
    for (int64_t first = 0; first < batch; first += CHUNK) {
      const int64_t rows = std::min<int64_t>(CHUNK, batch - first);
      const int32_t* at = order + u * batch + first;
      x.size(rows, z.inputs);
      for (int64_t i = 0; i < rows; ++i) std::copy_n(events + at[i] * z.inputs, z.inputs, x.row(i));
      chunk.forward(x);
      for (int64_t k = 0; k < z.members; ++k)
        for (int64_t i = 0; i < rows; ++i) {
          const double times = counts ? counts[at[i] * z.members + k] : 1;
          const double one = times * a[at[i]], two = times * b[at[i]];
          const Costs c = logistic<double>(chunk.outputs.row(k)[i]);
          loss += one * c.a.value + two * c.b.value;
          chunk.outputs.row(k)[i] = Float(one * c.a.slope + two * c.b.slope);
        }
      chunk.backward(x, sums);
    }
    sums.write(gradient.data());
    update(*optimizer, *trained, gradient.data(), Index(d), rates[u], keeps[u]);
  }
  return loss;
}

// Writes outputs (members, n) of events (n, inputs); `mask` (units,) may be null.
extern "C" __attribute__((visibility("default"))) void packed_outputs(
    const Shape* shape, const Float* parameters, int64_t n, const Float* events, const Float* mask,
    Float* outputs) {
  const Shape& z = *shape;
  Members<Float> network(z);
  network.read(parameters);
  Chunk<Float> chunk(z, network);
  chunk.mask = mask;
  for (int64_t first = 0; first < n; first += CHUNK) {
    const int64_t rows = std::min<int64_t>(CHUNK, n - first);
    const View<Float> x{const_cast<Float*>(events) + first * z.inputs, rows, z.inputs, z.inputs};
    chunk.forward(x);
    for (int64_t k = 0; k < z.members; ++k)
      std::copy_n(chunk.outputs.row(k), rows, outputs + k * n + first);
  }
}
