// Point-edge transformer on the CPU: logits, and gradients of the weighted binary cross-entropy.
//
// The same function as omniflow.models.pet, layer by layer, without padding: the particles of all
// events of a chunk are the rows of matrices, chunks are small enough for the processor's cache,
// and norms and scales are folded into the dense layers beside them (see models/layers.py).
// Parameters are in network.h, the network itself in chunk.h, its parts in local.h and attention.h,
// operations in rows.h and product.h.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#include "chunk.h"
#include "network.h"

namespace omniflow {

template <class S>
double run(const Sizes& z, const S* parameters, const int64_t* places, int64_t events,
           const int64_t* offsets, const S* particles, const int32_t* neighbours, const S* event,
           const S* a, const S* b, int threads, S* logits, S* gradient) {
  Network<S> network;
  Parameters<S>{parameters, gradient, places}.template visit<true>(network, z);
  network.each([](Dense<S>& d) { d.turn(); });
  std::vector<int64_t> cuts{0};
  for (int64_t e = 1; e <= events; ++e)
    if (e == events || offsets[e + 1] - offsets[cuts.back()] > z.rows_per_chunk) cuts.push_back(e);
  const int64_t chunks = events ? int64_t(cuts.size()) - 1 : 0;
  const int workers = int(std::max<int64_t>(1, std::min<int64_t>(threads, chunks)));
  std::vector<double> losses(workers, 0.0);
  std::vector<Network<S>> sums(gradient ? workers : 0);
  auto work = [&](int worker) {
    if (gradient) sums[worker].zero_like(network);
    Chunk<S> chunk(network, z);
    Matrix<S> slope;
    // Fixed shares, so that sums do not depend on which thread is faster.
    for (int64_t c = worker; c < chunks; c += workers) {
      const int64_t first = cuts[c], last = cuts[c + 1], row = offsets[first];
      chunk.in.spans.clear();
      for (int64_t e = first; e < last; ++e)
        chunk.in.spans.push_back({Index(offsets[e] - row), Index(offsets[e + 1] - offsets[e])});
      // Views are of numbers that may change; these are only read.
      chunk.in.raw = {const_cast<S*>(particles) + row * z.features, Index(offsets[last] - row),
                      z.features, z.features};
      chunk.in.event = {const_cast<S*>(event) + first * z.event_features, last - first,
                        z.event_features, z.event_features};
      chunk.in.neighbours = neighbours + row * z.neighbours;
      chunk.forward();
      std::copy_n(chunk.logits.at, last - first, logits + first);
      if (!gradient) continue;
      slope.size(last - first, 1);
      for (int64_t e = first; e < last; ++e) {
        const double v = logits[e], small = std::log1p(std::exp(-std::abs(v)));
        losses[worker] += a[e] * (small + std::max(-v, 0.0)) + b[e] * (small + std::max(v, 0.0));
        const double sigmoid = v >= 0 ? 1 / (1 + std::exp(-v)) : std::exp(v) / (1 + std::exp(v));
        slope.at[e - first] = S(b[e] * sigmoid - a[e] * (1 - sigmoid));
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

}  // namespace omniflow

using Float = OMNIFLOW_FLOAT;

// Returns the loss. Writes logits (n,); adds gradients to `gradient` unless it is null.
extern "C" __attribute__((visibility("default"))) double omniflow_pet(
    const omniflow::Sizes* sizes, const Float* parameters, const int64_t* places, int64_t events,
    const int64_t* offsets, const Float* particles, const int32_t* neighbours, const Float* event,
    const Float* a, const Float* b, int threads, Float* logits, Float* gradient) {
  return omniflow::run<Float>(*sizes, parameters, places, events, offsets, particles, neighbours,
                              event, a, b, threads, logits, gradient);
}
