// Matrices, stored by rows, and views of parts of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace omniflow {

using Index = std::ptrdiff_t;

template <class S>
struct View {  // rows x columns; rows start `stride` numbers apart
  S* at = nullptr;
  Index rows = 0, columns = 0, stride = 0;

  S* row(Index i) const { return at + i * stride; }
  View part(Index row, Index column, Index rows, Index columns) const {
    return {at + row * stride + column, rows, columns, stride};
  }
  View some_rows(Index row, Index rows) const { return part(row, 0, rows, columns); }
  View some_columns(Index column, Index columns) const { return part(0, column, rows, columns); }
};

template <class S>
struct Aligned {  // allocator: vectors do not straddle cache lines
  using value_type = S;
  static constexpr std::align_val_t LINE{64};
  Aligned() = default;
  template <class T>
  Aligned(const Aligned<T>&) {}
  S* allocate(size_t n) { return static_cast<S*>(::operator new(n * sizeof(S), LINE)); }
  void deallocate(S* at, size_t) { ::operator delete(at, LINE); }
  bool operator==(const Aligned&) const { return true; }
  bool operator!=(const Aligned&) const { return false; }
};

// Owns its numbers, and keeps their memory when it gets another size.
template <class S>
struct Matrix : View<S> {
  std::vector<S, Aligned<S>> store;
  size_t skipped = 0;  // numbers of the store before the first

  Matrix() = default;
  Matrix(Matrix&&) = default;
  Matrix& operator=(Matrix&&) = default;
  void size(Index rows, Index columns) {
    const size_t needed = skipped + size_t(rows * columns);
    if (needed > store.size()) store.resize(needed);
    static_cast<View<S>&>(*this) = {store.data() + skipped, rows, columns, columns};
  }
  // As large as `other`, and half a page away from it but for whole pages. Processors first compare
  // addresses within pages: loads from one would wait for stores to the other a little before it.
  void size_beside(const View<S>& other) {
    constexpr uintptr_t PAGE = 4096;
    const size_t most = size_t(other.rows * other.columns) + PAGE / sizeof(S);
    if (most > store.size()) store.resize(most);
    const auto address = [](const S* at) { return reinterpret_cast<uintptr_t>(at); };
    skipped = (address(other.at) + PAGE / 2 - address(store.data())) % PAGE / sizeof(S);
    size(other.rows, other.columns);
  }
  void zero(Index rows, Index columns) {
    size(rows, columns);
    std::fill_n(this->at, rows * columns, S(0));
  }
  void copy(const View<S>& x) {
    size(x.rows, x.columns);
    for (Index i = 0; i < x.rows; ++i) std::copy_n(x.row(i), x.columns, this->row(i));
  }
};

}  // namespace omniflow
