// Deep sets and MLP on the CPU: outputs, gradients of the loss of weighted events, and updates.
//
// The same functions as omniflow.models.sets, without padding; chunks of events are small enough
// for the processor's cache. Parameters and the networks are in sets.h, optimisers in optimizer.h.

#include <cmath>
#include <cstdint>
#include <vector>

#include "batch.h"
#include "optimizer.h"
#include "sets.h"

namespace omniflow {

template <class S>
struct Memory {  // of parameters and gradient sums, which one run after the other may use
  Sets<S> network, total;
};

template <class S>
double run(const Layers& layers, const S* parameters, const Batch<S>& batch, int loss, int threads,
           S* outputs, S* gradient, Memory<S>& memory) {
  auto& [network, total] = memory;
  network.read(layers, parameters);
  const auto cuts = cut(batch.events, batch.offsets, layers.rows_per_chunk, layers.events_per_chunk);
  const double found = pass<S, SetsChunk<S>>(batch, cuts, network, layers, loss, threads, outputs,
                                             gradient ? &total : nullptr);
  if (gradient) total.write(gradient);
  return found;
}

}  // namespace omniflow

using Float = OMNIFLOW_FLOAT;

// Returns the loss. Writes outputs (n,); adds gradients to `gradient` unless it is null.
extern "C" __attribute__((visibility("default"))) double omniflow_sets(
    const omniflow::Layers* layers, const Float* parameters, int64_t events,
    const int64_t* offsets, const Float* particles, const Float* event, const Float* a,
    const Float* b, int loss, int threads, Float* outputs, Float* gradient) {
  omniflow::Memory<Float> memory;
  return omniflow::run<Float>(*layers, parameters, {events, offsets, particles, nullptr, event, a, b},
                              loss, threads, outputs, gradient, memory);
}

// Updates a network of d parameters by one batch after the other, each of `events` events, until a
// loss or norm is not finite; returns how many. Update number u has the particles from row rows[u]
// on, the learning rate rates[u], and an average that keeps[u] of itself; writes loss and norm.
extern "C" __attribute__((visibility("default"))) int64_t omniflow_sets_train(
    const omniflow::Layers* layers, const omniflow::Optimizer* optimizer,
    omniflow::Trained<Float>* trained, int64_t d, int64_t updates, int64_t events,
    const int64_t* offsets, const int64_t* rows, const Float* particles, const Float* event,
    const Float* a, const Float* b, int loss, int threads, const double* rates, const double* keeps,
    double* losses, double* norms) {
  std::vector<Float> gradient(d), outputs(events);
  omniflow::Memory<Float> memory;
  for (int64_t u = 0; u < updates; ++u) {
    std::fill(gradient.begin(), gradient.end(), Float(0));
    losses[u] = omniflow::run<Float>(
        *layers, trained->parameters,
        {events, offsets + u * (events + 1), particles + rows[u] * layers->features, nullptr,
         event + u * events * layers->event_features, a + u * events, b + u * events},
        loss, threads, outputs.data(), gradient.data(), memory);
    norms[u] = 0;
    if (!std::isfinite(losses[u])) return u + 1;
    norms[u] = omniflow::update(*optimizer, *trained, gradient.data(), omniflow::Index(d), rates[u],
                                keeps[u]);
    if (!std::isfinite(norms[u])) return u + 1;
  }
  return updates;
}
