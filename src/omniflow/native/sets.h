// Deep sets and MLP: parameters, and one chunk of events forward and backward.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "batch.h"
#include "dense.h"
#include "matrix.h"
#include "rows.h"

namespace omniflow {

struct Layers {  // as omniflow.training.sets.Layers
  int64_t features, event_features, neighbours;
  // Layers per particle, -1 where particles are not looked at, and per event.
  int64_t particle_layers, event_layers;
  int64_t rows_per_chunk, events_per_chunk;
  const int64_t* widths;  // of the layers per particle, then of those per event
};

// Parameters, or gradient sums.
template <class S>
struct Sets {
  std::vector<Dense<S>> particle, event;
  Matrix<S> kernel, bias;  // of the head: a row, and one number

  void zero_like(const Sets& other) {
    for (auto part : {&Sets::particle, &Sets::event}) {
      (this->*part).resize((other.*part).size());
      for (size_t i = 0; i < (other.*part).size(); ++i)
        (this->*part)[i].zero((other.*part)[i].w.rows, (other.*part)[i].w.columns);
    }
    kernel.zero(1, other.kernel.columns), bias.zero(1, 1);
  }
  void add(const Sets& other) {
    for (auto part : {&Sets::particle, &Sets::event})
      for (size_t i = 0; i < (other.*part).size(); ++i) (this->*part)[i] += (other.*part)[i];
    accumulate(kernel, other.kernel), accumulate(bias, other.bias);
  }
  // Calls `f` with all matrices in the order of the Keras model.
  template <class F>
  void each(F f) {
    for (auto* layers : {&particle, &event})
      for (auto& d : *layers) f(d.w), f(d.b);
    f(kernel), f(bias);
  }
  void read(const Layers& z, const S* values) {
    const int64_t* width = z.widths;
    const bool sums = z.particle_layers >= 0;
    Index inputs = z.features;
    const auto chain = [&](std::vector<Dense<S>>& layers, int64_t count) {
      layers.resize(count);
      for (auto& d : layers) d.w.size(inputs, *width), d.b.size(1, *width), inputs = *width++;
    };
    if (sums) chain(particle, z.particle_layers);
    inputs = z.event_features + (sums ? inputs + 1 : 0);
    chain(event, z.event_layers);
    kernel.size(1, inputs), bias.size(1, 1);
    each([&](Matrix<S>& m) {
      std::copy_n(values, m.rows * m.columns, m.at);
      values += m.rows * m.columns;
    });
    for (auto* layers : {&particle, &event})
      for (auto& d : *layers) d.turn();
  }
  void write(S* gradient) {
    each([&](Matrix<S>& m) {
      for (Index i = 0; i < m.rows * m.columns; ++i) *gradient++ += m.at[i];
    });
  }
};

// What dense layers with a GELU each make of rows, one layer after the other.
template <class S>
struct Chain {
  std::vector<Hidden<S>> hidden;

  const View<S>& forward(const std::vector<Dense<S>>& layers, const View<S>& x) {
    hidden.resize(layers.size());
    const View<S>* in = &x;
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].apply(*in, hidden[i].y);
      gelu(hidden[i]);
      in = &hidden[i].y;
    }
    return *in;
  }
  // `g`: gradient of what `forward` returned; becomes that of `x` if `through`, else is spoilt.
  void backward(const std::vector<Dense<S>>& layers, std::vector<Dense<S>>& to, const View<S>& x,
                Matrix<S>& g, bool through) {
    for (size_t i = layers.size(); i-- > 0;) {
      scale(g, hidden[i].slope);
      to[i].collect(i ? static_cast<const View<S>&>(hidden[i - 1].y) : x, g);
      if (i == 0 && !through) return;
      layers[i].back(g, spare);
      std::swap(g, spare);
    }
  }

 private:
  Matrix<S> spare;
};

// Serves one chunk after the other. Its memory stays with the thread: small networks take little
// longer than asking for it anew.
template <class S>
struct SetsChunk {
  struct Work {
    Chain<S> particles, events;
    Matrix<S> joined, g, to_rows, outputs;
  };
  const Sets<S>& n;
  const Layers& z;
  Events<S> in;
  Work& w = memory();
  Matrix<S>& outputs = w.outputs;

  SetsChunk(const Sets<S>& network, const Layers& layers) : n(network), z(layers) {}

  void forward() {
    seen = in.event;
    if (z.particle_layers >= 0) gather();
    last = w.events.forward(n.event, seen);
    outputs.size(last.rows, 1);
    for (Index e = 0; e < last.rows; ++e)
      outputs.at[e] = dot(last.columns, last.row(e), n.kernel.at) + n.bias.at[0];
  }

  // `slope`: gradient of the loss with respect to the outputs. Adds to the gradient sums `to`.
  void backward(const View<S>& slope, Sets<S>& to) {
    const Index m = last.rows;
    w.g.size(m, last.columns);
    each<S>(last.columns, [&](Index j, auto v) {
      using V = decltype(v);
      const V by = load<V>(n.kernel.at + j);
      V sums{};
      for (Index e = 0; e < m; ++e) {
        sums += slope.at[e] * load<V>(last.row(e) + j);
        store(w.g.row(e) + j, V(slope.at[e] * by));
      }
      store(to.kernel.at + j, V(load<V>(to.kernel.at + j) + sums));
    });
    add_rows(slope, to.bias.at);
    const bool sums = z.particle_layers >= 0;
    w.events.backward(n.event, to.event, seen, w.g, sums);
    if (sums) scatter(to);
  }

 private:
  View<S> seen, last;

  static Work& memory() {
    thread_local Work work;
    return work;
  }

  // Means over particles, multiplicities (a tenth, so that they are of order one), event features.
  void gather() {
    const View<S>& rows = w.particles.forward(n.particle, in.raw);
    const Index d = rows.columns;
    w.joined.zero(Index(in.spans.size()), d + 1 + in.event.columns);
    for (size_t e = 0; e < in.spans.size(); ++e) {
      const auto [first, count] = in.spans[e];
      S* to = w.joined.row(e);
      const S part = count ? S(1) / S(count) : S(0);
      each<S>(d, [&](Index j, auto v) {
        using V = decltype(v);
        V sums{};
        for (Index i = first; i < first + count; ++i) sums += load<V>(rows.row(i) + j);
        store(to + j, V(sums * part));
      });
      to[d] = S(count) / S(10);
      std::copy_n(in.event.row(e), in.event.columns, to + d + 1);
    }
    seen = w.joined;
  }
  void scatter(Sets<S>& to) {
    const Index d = w.joined.columns - 1 - in.event.columns;
    w.to_rows.size(in.raw.rows, d);
    for (size_t e = 0; e < in.spans.size(); ++e) {
      const auto [first, count] = in.spans[e];
      const S part = count ? S(1) / S(count) : S(0);
      for (Index i = first; i < first + count; ++i)
        each<S>(d, [&](Index j, auto v) {
          store(w.to_rows.row(i) + j, decltype(v)(load<decltype(v)>(w.g.row(e) + j) * part));
        });
    }
    w.particles.backward(n.particle, to.particle, in.raw, w.to_rows, false);
  }
};

}  // namespace omniflow
