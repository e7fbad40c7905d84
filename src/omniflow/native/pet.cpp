// Point-edge transformer on the CPU: outputs, and gradients of the loss of weighted events.
//
// The same function as omniflow.models.pet, layer by layer, without padding: the particles of all
// events of a chunk are the rows of matrices, chunks are small enough for the processor's cache,
// and norms and scales are folded into the dense layers beside them (see models/layers.py).
// Parameters are in network.h, the network itself in chunk.h, its parts in local.h and attention.h,
// operations in rows.h and product.h, losses in loss.h.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#include "chunk.h"
#include "loss.h"
#include "network.h"

namespace omniflow {

template <class S>
double run(const Sizes& z, const S* parameters, const int64_t* places, int64_t events,
           const int64_t* offsets, const S* particles, const int32_t* neighbours, const S* event,
           const S* a, const S* b, int loss, int threads, S* outputs, S* gradient) {
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
      std::copy_n(chunk.outputs.at, last - first, outputs + first);
      if (!gradient) continue;
      slope.size(last - first, 1);
      for (int64_t e = first; e < last; ++e) {
        const Costs c = costs(loss, outputs[e]);
        losses[worker] += a[e] * c.a.value + b[e] * c.b.value;
        slope.at[e - first] = S(a[e] * c.a.slope + b[e] * c.b.slope);
      }
      chunk.backward(slope, sums[worker]);
    }
  };
  std::vector<std::thread> pool;
  for (int worker = 1; worker < workers; ++worker) pool.emplace_back(work, worker);
  work(0);
  for (auto& thread : pool) thread.join();
  double total = losses[0];
  for (int worker = 1; worker < workers; ++worker) {
    total += losses[worker];
    if (gradient) sums[0].add(sums[worker]);
  }
  if (gradient) Parameters<S>{parameters, gradient, places}.template visit<false>(sums[0], z);
  return total;
}

}  // namespace omniflow

using Float = OMNIFLOW_FLOAT;

// Returns whether there is a loss of this number.
extern "C" __attribute__((visibility("default"))) int omniflow_knows_loss(int loss) {
  return omniflow::knows(loss);
}

// Returns the loss. Writes outputs (n,); adds gradients to `gradient` unless it is null.
extern "C" __attribute__((visibility("default"))) double omniflow_pet(
    const omniflow::Sizes* sizes, const Float* parameters, const int64_t* places, int64_t events,
    const int64_t* offsets, const Float* particles, const int32_t* neighbours, const Float* event,
    const Float* a, const Float* b, int loss, int threads, Float* outputs, Float* gradient) {
  return omniflow::run<Float>(*sizes, parameters, places, events, offsets, particles, neighbours,
                              event, a, b, loss, threads, outputs, gradient);
}
