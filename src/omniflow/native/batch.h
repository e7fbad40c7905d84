// A pass over a batch: its events in chunks, shared out over threads, with losses and gradients.
#pragma once

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

#include "local.h"
#include "loss.h"
#include "matrix.h"

namespace omniflow {

// Inputs of one chunk; rows of `raw` and `neighbours` are particles, those of `event` events.
template <class S>
struct Events {
  std::vector<Span> spans;
  View<S> raw, event;
  const int32_t* neighbours;
};

template <class S>
struct Batch {
  int64_t events;
  const int64_t* offsets;
  const S* particles;
  const int32_t* neighbours;  // null where the network uses none
  const S* event;
  const S *a, *b;  // weights in class A and in class B
};

// First events of chunks, and the end of the last one. A chunk has more particles than `rows` only
// if it is a single event.
inline std::vector<int64_t> cut(int64_t events, const int64_t* offsets, int64_t rows,
                                int64_t most) {
  std::vector<int64_t> cuts{0};
  for (int64_t e = 1; e <= events; ++e)
    if (e == events || offsets[e + 1] - offsets[cuts.back()] > rows || e - cuts.back() >= most)
      cuts.push_back(e);
  return cuts;
}

// Writes outputs (n,) and returns the loss. Fills `total` with gradients of the network's matrices
// unless it is null.
template <class S, class C, class Network, class Z>
double pass(const Batch<S>& batch, const std::vector<int64_t>& cuts, Network& network, const Z& z,
            int loss, int threads, S* outputs, Network* total) {
  const int64_t chunks = int64_t(cuts.size()) - 1;
  const int workers = int(std::max<int64_t>(1, std::min<int64_t>(threads, chunks)));
  std::vector<double> losses(workers, 0.0);
  std::vector<Network> sums(total ? workers - 1 : 0);
  auto work = [&](int worker) {
    Network* own = !total || worker == 0 ? total : &sums[worker - 1];
    if (own) own->zero_like(network);
    C chunk(network, z);
    Matrix<S> slope;
    // Fixed shares, so that sums do not depend on which thread is faster.
    for (int64_t c = worker; c < chunks; c += workers) {
      const int64_t first = cuts[c], last = cuts[c + 1], row = batch.offsets[first];
      chunk.in.spans.resize(last - first);
      for (int64_t e = first; e < last; ++e)
        chunk.in.spans[e - first] = {Index(batch.offsets[e] - row),
                                     Index(batch.offsets[e + 1] - batch.offsets[e])};
      // Views are of numbers that may change; these are only read.
      chunk.in.raw = {const_cast<S*>(batch.particles) + row * z.features,
                      Index(batch.offsets[last] - row), z.features, z.features};
      chunk.in.event = {const_cast<S*>(batch.event) + first * z.event_features, last - first,
                        z.event_features, z.event_features};
      chunk.in.neighbours = batch.neighbours ? batch.neighbours + row * z.neighbours : nullptr;
      chunk.forward();
      std::copy_n(chunk.outputs.at, last - first, outputs + first);
      if (!own) continue;
      slope.size(last - first, 1);
      charge(loss, last - first, outputs + first, batch.a + first, batch.b + first, slope.at,
             losses[worker]);
      chunk.backward(slope, *own);
    }
  };
  std::vector<std::thread> pool;
  for (int worker = 1; worker < workers; ++worker) pool.emplace_back(work, worker);
  work(0);
  for (auto& thread : pool) thread.join();
  double sum = losses[0];
  for (int worker = 1; worker < workers; ++worker) {
    sum += losses[worker];
    if (total) total->add(sums[worker - 1]);
  }
  return sum;
}

}  // namespace omniflow
