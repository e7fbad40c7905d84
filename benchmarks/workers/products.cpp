// The matrix products of a training of dense layers, and nothing else, with the native engine's own.

#include <cstdint>
#include <vector>

#include "dense.h"

using namespace omniflow;

// `widths`: of inputs and layers. Runs the products of `rows` events, in chunks, so many times.
extern "C" __attribute__((visibility("default"))) void products(
    const int64_t* widths, int64_t layers, int64_t rows, int64_t chunk, int64_t times) {
  std::vector<Dense<float>> dense(layers), sums(layers);
  std::vector<Matrix<float>> x(layers + 1), g(layers + 1);
  for (int64_t i = 0; i <= layers; ++i) x[i].zero(chunk, widths[i]), g[i].zero(chunk, widths[i]);
  for (int64_t i = 0; i < layers; ++i) {
    for (auto* d : {&dense[i], &sums[i]}) d->zero(widths[i], widths[i + 1]);
    dense[i].turn();
  }
  for (int64_t t = 0; t < times; ++t)
    for (int64_t first = 0; first < rows; first += chunk) {
      for (int64_t i = 0; i < layers; ++i) multiply(x[i], dense[i].w, x[i + 1]);
      for (int64_t i = layers; i-- > 0;) {
        multiply_transposed(x[i], g[i + 1], sums[i].w, true);
        if (i) multiply(g[i + 1], dense[i].transposed, g[i]);
      }
    }
}
