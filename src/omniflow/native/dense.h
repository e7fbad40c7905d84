// A dense layer, and the gradients of one.
#pragma once

#include "matrix.h"
#include "product.h"

namespace omniflow {

template <class S>
struct Dense {  // y = x w + b, or gradient sums of w and b
  Matrix<S> w, b, transposed;

  void zero(Index in, Index out) { w.zero(in, out), b.zero(1, out); }
  void turn() {
    transposed.size(w.columns, w.rows);
    transpose(w, transposed);
  }
  void operator+=(const Dense& other) {
    for (Index i = 0; i < w.rows * w.columns; ++i) w.at[i] += other.w.at[i];
    for (Index j = 0; j < b.columns; ++j) b.at[j] += other.b.at[j];
  }
  void apply(const View<S>& x, Matrix<S>& y) const {
    y.size(x.rows, w.columns);
    multiply(x, w, y, false, b.at);
  }
  void add(const View<S>& x, const View<S>& y) const { multiply(x, w, y, true, b.at); }
  // Gradient with respect to x.
  void back(const View<S>& g, Matrix<S>& to) const {
    to.size(g.rows, w.rows);
    multiply(g, transposed, to);
  }
  void add_back(const View<S>& g, const View<S>& to) const { multiply(g, transposed, to, true); }
  // Adds gradients to the sums in *this.
  void collect(const View<S>& x, const View<S>& g) {
    multiply_transposed(x, g, w, true);
    add_rows(g, b.at);
  }
};

}  // namespace omniflow
