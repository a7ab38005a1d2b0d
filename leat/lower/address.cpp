// Linear forms and coordinates; see address.h.
#include "leat/lower/address.h"

namespace leat {

void LinearForm::add(const Number& coefficient, ir::ValueId value) {
  if (coefficient != 0) terms.emplace_back(coefficient, value);
}

LinearForm LinearForm::of(const NumberForm& form, std::span<const ir::ValueId> axes) {
  LinearForm result;
  result.constant = form.constant;
  for (size_t i = 0; i < form.coefficients.size(); ++i) {
    if (form.coefficients[i] != 0) result.add(form.coefficients[i], axes[i]);
  }
  return result;
}

bool LinearForm::divisible_by(int64_t divisor) const {
  if (constant % divisor != 0) return false;
  for (const auto& [coefficient, value] : terms) {
    if (coefficient % divisor != 0) return false;
  }
  return true;
}

ir::ValueId build(KernelBuilder& builder, const LinearForm& form, int64_t divisor) {
  CHECK(form.divisible_by(divisor));
  // Uniform terms first: they stay one scalar chain that hoists out of loops.
  ir::ValueId sum = builder.i32(0);
  for (bool varying : {false, true}) {
    for (const auto& [coefficient, value] : form.terms) {
      if (builder.type(value).varying != varying) continue;
      sum = builder.add(sum, builder.mul(value, builder.i32(coefficient / divisor)));
    }
  }
  return builder.add(sum, builder.i32(form.constant / divisor));
}

std::vector<ir::ValueId> decompose(KernelBuilder& builder, ir::ValueId flat,
                                   std::span<const Number> extents) {
  std::vector<ir::ValueId> coordinates(extents.size());
  for (size_t i = extents.size(); i > 0; --i) {
    const Number& extent = extents[i - 1];
    if (i == 1) {
      coordinates[0] = flat;
      break;
    }
    coordinates[i - 1] = builder.rem(flat, extent);
    flat = builder.div(flat, extent);
  }
  return coordinates;
}

}  // namespace leat
