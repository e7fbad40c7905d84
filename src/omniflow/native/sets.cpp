// Deep sets and MLP on the CPU: outputs, and gradients of the loss of weighted events.
//
// The same functions as omniflow.models.sets, without padding; chunks of events are small enough
// for the processor's cache. Parameters and the networks are in sets.h.

#include <cstdint>

#include "batch.h"
#include "sets.h"

using Float = OMNIFLOW_FLOAT;

// Returns the loss. Writes outputs (n,); adds gradients to `gradient` unless it is null.
extern "C" __attribute__((visibility("default"))) double omniflow_sets(
    const omniflow::Layers* layers, const Float* parameters, int64_t events,
    const int64_t* offsets, const Float* particles, const Float* event, const Float* a,
    const Float* b, int loss, int threads, Float* outputs, Float* gradient) {
  using namespace omniflow;
  Sets<Float> network, total;
  network.read(*layers, parameters);
  const auto cuts = cut(events, offsets, layers->rows_per_chunk, layers->events_per_chunk);
  const double found = pass<Float, SetsChunk<Float>>(
      Batch<Float>{events, offsets, particles, nullptr, event, a, b}, cuts, network, *layers, loss,
      threads, outputs, gradient ? &total : nullptr);
  if (gradient) total.write(gradient);
  return found;
}
