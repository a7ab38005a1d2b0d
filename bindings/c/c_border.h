// What every function of leat.h does at the border: no exception passes, an Error becomes a status
// with a sentence, structs of older and newer callers are read and written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <string>

#include "bindings/c/leat.h"
#include "leat/base/result.h"
#include "leat/tensor/graph.h"

namespace leat::c {

/// Keeps the sentence for this thread, cut to what its buffer takes. Takes no memory.
leat_status fail(leat_status status, const char* message) noexcept;
leat_status fail(const Error& error) noexcept;

/// The status of what `act` answers or throws.
template <typename Act>
leat_status guarded(const Act& act) noexcept {
  try {
    const Result<void> done = act();
    return done ? leat_status{LEAT_OK} : fail(done.error());
  } catch (const std::bad_alloc&) {
    return fail(LEAT_OUT_OF_MEMORY, "The host has no memory left for this call.");
  } catch (const std::exception& error) {
    return fail(LEAT_INTERNAL, error.what());
  } catch (...) {
    return fail(LEAT_INTERNAL, "Something was thrown that is no exception.");
  }
}

/// Errors: invalid_argument, naming `what`.
Result<void> check_given(const void* pointer, const char* what);
/// Of an index or slot. Errors: invalid_argument.
Result<void> check_below(size_t index, size_t count, const char* what);
/// Whether a struct of so many bytes can be read, whose own bytes behind the `known` ones, which
/// this library does not know, are all zero. Errors: invalid_argument, unsupported.
Result<void> check_struct(const void* given, size_t struct_bytes, size_t known, const char* name);

/// A copy of a caller's struct, older or newer than ours; all zero for null.
template <typename Struct>
Result<Struct> read_struct(const Struct* given, const char* name) {
  Struct read{};
  if (given != nullptr) {
    TRY(check_struct(given, given->struct_bytes, sizeof read, name));
    std::memcpy(&read, given, std::min(given->struct_bytes, sizeof read));
  }
  read.struct_bytes = sizeof read;
  return read;
}

/// Writes the members that the caller's struct has.
template <typename Struct>
Result<void> write_struct(Struct value, Struct* given, const char* name) {
  TRY(check_given(given, name));
  TRY(check_struct(nullptr, given->struct_bytes, sizeof value, name));
  value.struct_bytes = given->struct_bytes;
  std::memcpy(given, &value, std::min(given->struct_bytes, sizeof value));
  return {};
}

/// Errors: unsupported, naming the type.
Result<DType> dtype_of(leat_type type);
leat_type type_of(DType dtype);

/// "" for null.
std::string text_of(const char* text);

/// What a caller says of a tensor that is read: `what` names it in messages. Its bytes are as many
/// as type and shape ask for. Errors: invalid_argument, unsupported.
struct TensorFacts {
  DType dtype = DType::f32;
  Shape shape;
  size_t size_bytes = 0;
};
Result<TensorFacts> facts_of(const leat_tensor& tensor, const std::string& what);
/// The same without looking at its memory.
Result<TensorFacts> shape_facts_of(const leat_tensor& tensor, const std::string& what);
/// A copy of its value. Errors: as facts_of.
Result<HostTensor> value_of(const leat_tensor& tensor, const std::string& what);
/// Writes type, shape and size; not the data.
void describe(DType dtype, const Shape& shape, leat_tensor& tensor);
/// What a tensor takes in the caller's memory.
size_t bytes_of(DType dtype, const Shape& shape);

}  // namespace leat::c
