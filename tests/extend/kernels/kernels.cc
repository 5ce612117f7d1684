// Foreign functions for tests/extend/test_ffi.py.

#include <cstdint>
#include <string_view>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

// y = factor * x + shift[0], and how many elements there are.
static ffi::Error Affine(float factor, ffi::Span<const double> shift, std::string_view mode,
                         ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y,
                         ffi::ResultBuffer<ffi::S32> count) {
  if (mode != "plain") return ffi::Error::InvalidArgument("affine knows the mode plain only");
  for (size_t i = 0; i < x.element_count(); ++i)
    y->typed_data()[i] = factor * x.typed_data()[i] + static_cast<float>(shift[0]);
  count->typed_data()[0] = static_cast<int32_t>(x.element_count());
  return ffi::Error::Success();
}

// Copies memory as it lies there, and adds the number of the row to each element of the last dimension's rows.
static ffi::Error Rows(ffi::Buffer<ffi::F32> x, ffi::Buffer<ffi::F32> by, ffi::ResultBuffer<ffi::F32> y) {
  const int64_t width = x.dimensions().back();
  for (size_t i = 0; i < x.element_count(); ++i)
    y->typed_data()[i] = x.typed_data()[i] + static_cast<float>(i / width) * by.typed_data()[0];
  return ffi::Error::Success();
}

static int64_t calls = 0;

// Adds one to each element and counts how often it was called.
static ffi::Error Counting(ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y) {
  ++calls;
  for (size_t i = 0; i < x.element_count(); ++i) y->typed_data()[i] = x.typed_data()[i] + 1;
  return ffi::Error::Success();
}

extern "C" int64_t NumberOfCalls() { return calls; }

XLA_FFI_DEFINE_HANDLER_SYMBOL(AffineHandler, Affine,
                              ffi::Ffi::Bind()
                                  .Attr<float>("factor")
                                  .Attr<ffi::Span<const double>>("shift")
                                  .Attr<std::string_view>("mode")
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::S32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(RowsHandler, Rows,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(CountingHandler, Counting,
                              ffi::Ffi::Bind().Arg<ffi::Buffer<ffi::F32>>().Ret<ffi::Buffer<ffi::F32>>());
