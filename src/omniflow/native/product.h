// Matrix products, for matrices that stay in the processor's cache: nothing is packed.
//
// Tiles of the result are held in registers while the sum runs; each number is summed in the same
// order whatever tile it lies in, so that results do not depend on how rows are cut into chunks.
#pragma once

#include <array>
#include <utility>

#include "vector.h"

namespace omniflow {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int REGISTERS = 24;  // for sums; the rest is for what is multiplied
#else
constexpr int REGISTERS = 12;
#endif
constexpr int TALLEST = 12;
constexpr int WIDEST = REGISTERS == 24 ? 4 : 2;  // vectors across

template <class S>
struct Factors {  // c = start + a b, and c added to that where `add`
  const S* a;
  Index down, across;  // a's steps from row to row and from column to column
  const S* b;
  Index b_stride, depth;
  S* c;
  Index c_stride;
  const S* start;  // one row, or null: zeros
  bool add;
};

// HEIGHT rows and WIDTH vectors of the result.
template <class S, class V, int HEIGHT, int WIDTH>
void tile(const Factors<S>& f, Index row, Index column) {
  constexpr Index STEP = sizeof(V) / sizeof(S);
  V sums[HEIGHT][WIDTH];
#pragma GCC unroll 12
  for (int i = 0; i < HEIGHT; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < WIDTH; ++j)
      sums[i][j] = f.start ? load<V>(f.start + column + j * STEP) : V{};
  S* c = f.c + row * f.c_stride + column;
#pragma GCC unroll 12
  for (int i = 0; i < HEIGHT; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < WIDTH; ++j) __builtin_prefetch(c + i * f.c_stride + j * STEP, 1);
  const S* a = f.a + row * f.down;
  const S* b = f.b + column;
  const Index down = f.down, across = f.across, b_stride = f.b_stride;
  for (Index k = f.depth; k > 0; --k, a += across, b += b_stride) {
    V right[WIDTH];
#pragma GCC unroll 4
    for (int j = 0; j < WIDTH; ++j) right[j] = load<V>(b + j * STEP);
#pragma GCC unroll 12
    for (int i = 0; i < HEIGHT; ++i) {
      const V left = fill<V>(a[i * down]);
#pragma GCC unroll 4
      for (int j = 0; j < WIDTH; ++j) sums[i][j] += left * right[j];
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < HEIGHT; ++i, c += f.c_stride)
#pragma GCC unroll 4
    for (int j = 0; j < WIDTH; ++j)
      store(c + j * STEP, f.add ? V(load<V>(c + j * STEP) + sums[i][j]) : sums[i][j]);
}

// All rows of WIDTH vectors, in tiles of about the same height.
template <class S, class V, int WIDTH, int... HEIGHTS>
void strip(const Factors<S>& f, Index rows, Index column, std::integer_sequence<int, HEIGHTS...>) {
  using Tile = void (*)(const Factors<S>&, Index, Index);
  static constexpr Tile TILES[] = {tile<S, V, HEIGHTS + 1, WIDTH>...};
  constexpr Index MOST = sizeof...(HEIGHTS);
  Index row = 0;
  for (Index left = (rows + MOST - 1) / MOST; left > 0; --left) {
    const Index height = (rows - row + left - 1) / left;
    TILES[height - 1](f, row, column);
    row += height;
  }
}

// As many columns as there are whole strips of WIDTH vectors of SIZE bytes, then narrower ones.
template <class S, int SIZE, int WIDTH>
void strips(const Factors<S>& f, Index rows, Index columns, Index column) {
  constexpr int MOST = SIZE < BYTES ? 4 : REGISTERS / WIDTH;
  constexpr int HEIGHT = MOST < TALLEST ? MOST : TALLEST;
  constexpr Index STEP = WIDTH * SIZE / Index(sizeof(S));
  for (; column + STEP <= columns; column += STEP)
    strip<S, Vector<S, SIZE>, WIDTH>(f, rows, column, std::make_integer_sequence<int, HEIGHT>());
  if (column == columns) return;
  if constexpr (WIDTH > 1)
    strips<S, SIZE, WIDTH / 2>(f, rows, columns, column);
  else if constexpr (SIZE > int(sizeof(S)))
    strips<S, SIZE / 2, 1>(f, rows, columns, column);
}

// c = start + a b, or c += start + a b.
template <class S>
void multiply(const View<S>& a, const View<S>& b, const View<S>& c, bool add = false,
              const S* start = nullptr) {
  const Factors<S> f{a.at, a.stride, 1, b.at, b.stride, a.columns, c.at, c.stride, start, add};
  strips<S, BYTES, WIDEST>(f, c.rows, c.columns, 0);
}

// c = a^T b, or c += a^T b.
template <class S>
void multiply_transposed(const View<S>& a, const View<S>& b, const View<S>& c, bool add = false) {
  const Factors<S> f{a.at, 1, a.stride, b.at, b.stride, a.rows, c.at, c.stride, nullptr, add};
  strips<S, BYTES, WIDEST>(f, c.rows, c.columns, 0);
}

// Columns of zeros after the last one of `to`, if it is wider than x is high.
template <class S>
void transpose(const View<S>& x, const View<S>& to) {
  for (Index j = 0; j < x.columns; ++j) {
    S* out = to.row(j);
    for (Index i = 0; i < x.rows; ++i) out[i] = x.row(i)[j];
    for (Index i = x.rows; i < to.columns; ++i) out[i] = 0;
  }
}

// The next number of columns that fills vectors.
template <class S>
constexpr Index whole_vectors(Index n) {
  return (n + LANES<S> - 1) / LANES<S> * LANES<S>;
}

// to += sums over the rows of x.
template <class S>
void add_rows(const View<S>& x, S* to) {
  each<S>(x.columns, [&](Index j, auto v) {
    using V = decltype(v);
    V sums{};
    for (Index i = 0; i < x.rows; ++i) sums += load<V>(x.row(i) + j);
    store(to + j, V(load<V>(to + j) + sums));
  });
}

}  // namespace omniflow
