// See shape_kernels.h.
#include "leat/run/shape_kernels.h"

#include <algorithm>

namespace leat {

std::optional<KernelParams> ShapeKernels::params_of(const std::string& node) const {
  const auto known = nodes_.find(node);
  if (known == nodes_.end()) return std::nullopt;
  return known->second.params;
}

/// Nothing where a number that is not open differs, or a guard gives another answer.
std::optional<ShapeKernels::Told> ShapeKernels::told(const Opening& opening, const StepKey& key) {
  if (opening.key.structure != key.structure) return std::nullopt;
  for (size_t i = 0; i < key.numbers.size(); ++i) {
    if (!opening.open[i] && opening.key.numbers[i] != key.numbers[i]) return std::nullopt;
  }
  const auto values = opening.made->formulas.values_at(key.numbers);
  if (!values) return std::nullopt;
  Told told;
  for (const uint32_t word : opening.made->words) {
    told.words.push_back(static_cast<int32_t>((*values)[word]));
  }
  if (told.words.empty()) told.words.push_back(0);  // the argument is there all the same
  told.groups = static_cast<uint32_t>((*values)[opening.made->groups]);
  return told;
}

namespace {

std::string whole(const StepKey& key) {
  const auto bytes = std::as_bytes(std::span(key.numbers));
  return key.structure + std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

}  // namespace

std::optional<ShapeKernels::Told> ShapeKernels::find(const StepKey& key) const {
  if (const auto plain = plain_.find(whole(key)); plain != plain_.end()) {
    return Told{plain->second, {}, plain->second->grid()[0]};
  }
  const auto [first, last] = kernels_.equal_range(key.structure);
  for (auto kept = first; kept != last; ++kept) {
    std::optional<Told> found = told(kept->second.opening, key);
    if (!found) continue;
    found->kernel = kept->second.kernel;
    return found;
  }
  return std::nullopt;
}

bool ShapeKernels::serves(const Opening& opening, const StepKey& key) {
  return told(opening, key).has_value();
}

/// The form's open numbers, and those that differ now.
std::vector<bool> ShapeKernels::changed(const Form& form, const StepKey& key) {
  std::vector<bool> open = form.open;
  for (size_t i = 0; i < open.size(); ++i) {
    open[i] = open[i] || form.key.numbers[i] != key.numbers[i];
  }
  return open;
}

std::optional<ShapeKernels::Opening> ShapeKernels::opened(const Schedule& schedule,
                                                          const Step& step, const Target& target,
                                                          StepKey key) {
  const auto known = nodes_.find(schedule.graph.nodes[step.node].name);
  if (known == nodes_.end() || !can_be_open(schedule, step)) return std::nullopt;
  const auto form = std::ranges::find(known->second.forms, key.structure,
                                      [](const Form& each) { return each.key.structure; });
  if (form == known->second.forms.end()) return std::nullopt;
  std::vector<bool> open = changed(*form, key);
  if (std::ranges::count(open, true) == 0) return std::nullopt;
  Result<std::unique_ptr<OpenKernel>> made = lower_open(schedule, step, target, open);
  if (!made) return std::nullopt;  // lower() says what is wrong, if something is
  Opening opening = {std::move(*made), std::move(key), std::move(open)};
  // Not where a size is so large that a step to it leaves 32 bits.
  if (!serves(opening, opening.key)) return std::nullopt;
  return opening;
}

void ShapeKernels::keep(Opening opening, std::unique_ptr<Kernel> kernel) {
  opening.made->lowered = {};
  std::string structure = opening.key.structure;
  kernels_.emplace(std::move(structure), Kept{std::move(opening), std::move(kernel)});
}

void ShapeKernels::keep(const StepKey& key, std::shared_ptr<const Kernel> kernel) {
  plain_.insert_or_assign(whole(key), std::move(kernel));
}

void ShapeKernels::forget_idle() {
  const auto is_idle = [](const std::shared_ptr<const Kernel>& kernel) {
    return kernel.use_count() == 1;
  };
  size_t idle = 0;
  for (const auto& [key, kernel] : plain_) idle += is_idle(kernel) ? 1 : 0;
  for (const auto& [key, kept] : kernels_) idle += is_idle(kept.kernel) ? 1 : 0;
  if (idle <= kIdleKernelsMax) return;
  std::erase_if(plain_, [&](const auto& each) { return is_idle(each.second); });
  std::erase_if(kernels_, [&](const auto& each) { return is_idle(each.second.kernel); });
}

void ShapeKernels::remember(const std::string& node, const KernelParams& params, StepKey key) {
  Known& known = nodes_[node];
  known.params = params;
  const auto form = std::ranges::find(known.forms, key.structure,
                                      [](const Form& each) { return each.key.structure; });
  std::vector<bool> open(key.numbers.size(), false);
  if (form != known.forms.end()) {
    open = changed(*form, key);
    known.forms.erase(form);
  } else if (known.forms.size() == kFormsMax) {
    known.forms.erase(known.forms.begin());
  }
  known.forms.push_back({std::move(key), std::move(open)});
}

}  // namespace leat
