// Rows of an array, in the order in which a training meets them.

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace {

constexpr int64_t AHEAD = 16;  // rows that are on their way from memory

template <class Size>
void copy(const char* from, int64_t stride, Size size, int64_t n, const int64_t* index, char* to) {
  for (int64_t i = 0; i < n; ++i) {
    if (i + AHEAD < n) __builtin_prefetch(from + index[i + AHEAD] * stride);
    std::memcpy(to + i * int64_t(size), from + index[i] * stride, size_t(size));
  }
}

}  // namespace

// Writes rows index[u * n + i] of an array, `size` bytes each that start `stride` bytes apart, to
// where updates u of n rows lie `apart` bytes apart. Returns false, with nothing written, if a row
// is not one of `rows`.
extern "C" __attribute__((visibility("default"))) bool omniflow_gather(
    const char* from, int64_t rows, int64_t stride, int64_t size, int64_t updates, int64_t n,
    const int64_t* index, char* to, int64_t apart) {
  uint64_t most = 0;
  for (int64_t i = 0; i < updates * n; ++i)
    most = uint64_t(index[i]) > most ? uint64_t(index[i]) : most;
  if (updates * n > 0 && most >= uint64_t(rows)) return false;
  for (int64_t u = 0; u < updates; ++u, index += n, to += apart) {
    if (size == 4)
      copy(from, stride, std::integral_constant<int64_t, 4>(), n, index, to);
    else
      copy(from, stride, size, n, index, to);
  }
  return true;
}
