// The names of Precision.
#include "leat/base/precision.h"

#include <fmt/format.h>

namespace leat {

namespace {

constexpr Precision kAll[] = {Precision::f32, Precision::tf32, Precision::bf16, Precision::f16,
                              Precision::i8};

}  // namespace

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::f32: return "f32";
    case Precision::tf32: return "tf32";
    case Precision::bf16: return "bf16";
    case Precision::f16: return "f16";
    case Precision::i8: return "i8";
  }
  return "";
}

std::string precision_names() {
  std::string names;
  for (const Precision precision : kAll) {
    names += (names.empty() ? "" : ", ") + std::string(name_of(precision));
  }
  return names;
}

Result<Precision> parse_precision(std::string_view name) {
  if (name.empty()) return Precision::f32;
  for (const Precision precision : kAll) {
    if (name == name_of(precision)) return precision;
  }
  return Error(
      ErrorKind::invalid_argument,
      fmt::format("No precision is named \"{}\"; there are ({}).", name, precision_names()));
}

}  // namespace leat
