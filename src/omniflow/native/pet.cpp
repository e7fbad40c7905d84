// Point-edge transformer on the CPU: outputs, and gradients of the loss of weighted events.
//
// The same function as omniflow.models.pet, layer by layer, without padding: the particles of all
// events of a chunk are the rows of matrices, chunks are small enough for the processor's cache,
// and norms and scales are folded into the dense layers beside them (see models/layers.py).
// Parameters are in network.h, the network itself in chunk.h, its parts in local.h and attention.h,
// operations in rows.h and product.h, losses in loss.h.

#include <cstdint>
#include <limits>

#include "batch.h"
#include "chunk.h"
#include "loss.h"
#include "network.h"

namespace omniflow {

template <class S>
double run(const Sizes& z, const S* parameters, const int64_t* places, const Batch<S>& batch,
           int loss, int threads, S* outputs, S* gradient) {
  Network<S> network, total;
  Parameters<S>{parameters, gradient, places}.template visit<true>(network, z);
  network.each([](Dense<S>& d) { d.turn(); });
  const auto cuts = cut(batch.events, batch.offsets, z.rows_per_chunk,
                        std::numeric_limits<int64_t>::max());
  const double found = pass<S, Chunk<S>>(batch, cuts, network, z, loss, threads, outputs,
                                         gradient ? &total : nullptr);
  if (gradient) Parameters<S>{parameters, gradient, places}.template visit<false>(total, z);
  return found;
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
  return omniflow::run<Float>(*sizes, parameters, places,
                              {events, offsets, particles, neighbours, event, a, b}, loss, threads,
                              outputs, gradient);
}
