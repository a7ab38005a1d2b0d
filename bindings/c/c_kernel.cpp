// Kernels of one's own, in text form.
#include <fmt/format.h>

#include <array>

#include "bindings/c/c_model.h"
#include "leat/model/onnx_file.h"
#include "leat/run/kernel_bench.h"

namespace leat::c {

namespace {

const std::string kNoRefusal;

/// Longer measuring is a mistake.
constexpr double kMeasureSecondsMax = 3600;

Error invalid(std::string message) {
  return Error(ErrorKind::invalid_argument, std::move(message));
}

Result<UserKernel> parse(const char* text, size_t size_bytes, const char* name) {
  TRY(check_given(text, "text"));
  TRY(check_given(name, "name"));
  return UserKernel::parse({text, size_bytes}, name);
}

Result<void> set_launch(UserKernel& kernel, const leat_kernel_options& options) {
  Grid grid = kernel.grid();
  std::vector<int64_t> counts;
  for (const ir::Parameter& parameter : kernel.parameters()) {
    counts.push_back(parameter.element_count);
  }
  for (size_t axis = 0; axis < grid.size(); ++axis) {
    if (options.grid[axis] != 0) grid[axis] = options.grid[axis];
  }
  if (options.elements != nullptr) {
    if (options.element_count != counts.size()) {
      return invalid(fmt::format("element_count ({}) is not the number of parameters ({}).",
                                 options.element_count, counts.size()));
    }
    counts.assign(options.elements, options.elements + options.element_count);
  }
  return kernel.set_launch(grid, counts);
}

Result<void> check_kernel(const leat_kernel* kernel, const leat_tensor* arguments, size_t count) {
  TRY(check_given(kernel, "kernel"));
  if (count > 0) TRY(check_given(arguments, "arguments"));
  const size_t wanted = kernel->loaded->kernel().parameters().size();
  if (count == wanted) return {};
  return invalid(fmt::format("Kernel \"{}\" is given ({}) arguments; it has ({}) parameters.",
                             kernel->loaded->kernel().name(), count, wanted));
}

/// The caller's memory, which has what each parameter is.
Result<std::vector<std::span<std::byte>>> arguments_of(const leat_kernel* kernel,
                                                       const leat_tensor* arguments, size_t count) {
  TRY(check_kernel(kernel, arguments, count));
  std::vector<std::span<std::byte>> spans;
  for (size_t i = 0; i < count; ++i) {
    const ir::Parameter& parameter = kernel->loaded->kernel().parameters()[i];
    TRY_ASSIGN(const TensorFacts facts,
               facts_of(arguments[i], fmt::format("parameter \"{}\"", parameter.name)));
    if (facts.dtype != parameter.storage || element_count(facts.shape) != parameter.element_count) {
      return invalid(fmt::format("Parameter \"{}\" is {}[{}]; the tensor given is {} {}.",
                                 parameter.name, name_of(parameter.storage),
                                 parameter.element_count, name_of(facts.dtype),
                                 to_string(facts.shape)));
    }
    spans.emplace_back(static_cast<std::byte*>(arguments[i].data), facts.size_bytes);
  }
  return spans;
}

}  // namespace

}  // namespace leat::c

using namespace leat;

leat_status leat_kernel_load(leat_session* session, const char* text, size_t size_bytes,
                             const char* name, const leat_kernel_options* options,
                             leat_kernel** kernel) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(session, "session"));
    TRY(c::check_given(kernel, "kernel"));
    TRY_ASSIGN(UserKernel parsed, c::parse(text, size_bytes, name));
    TRY_ASSIGN(const leat_kernel_options own, c::read_struct(options, "leat_kernel_options"));
    TRY(c::set_launch(parsed, own));
    auto made = std::make_unique<leat_kernel>();
    made->session = session->state;
    const std::string device = own.device == nullptr ? made->session->device : own.device;
    TRY_ASSIGN(made->loaded, SessionKernel::load(made->session->session, std::move(parsed), device,
                                                 own.is_trusted != 0));
    *kernel = made.release();
    return {};
  });
}

void leat_kernel_close(leat_kernel* kernel) { delete kernel; }

size_t leat_kernel_parameter_count(const leat_kernel* kernel) {
  return kernel == nullptr ? 0 : kernel->loaded->kernel().parameters().size();
}

leat_status leat_kernel_parameter(const leat_kernel* kernel, size_t index,
                                  leat_parameter_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(kernel, "kernel"));
    const auto parameters = kernel->loaded->kernel().parameters();
    TRY(c::check_below(index, parameters.size(), "Index of a parameter"));
    leat_parameter_info told{};
    told.name = parameters[index].name.c_str();
    told.type = onnx_code_of(parameters[index].storage);
    told.is_written = parameters[index].written ? 1 : 0;
    told.elements = parameters[index].element_count;
    told.size_bytes = kernel->loaded->kernel().size_bytes_of_parameter(index);
    return c::write_struct(told, info, "leat_parameter_info");
  });
}

leat_status leat_kernel_device(const leat_kernel* kernel, leat_device_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(kernel, "kernel"));
    return c::write_struct(c::info_of(kernel->loaded->device(), c::kNoRefusal), info,
                           "leat_device_info");
  });
}

leat_status leat_kernel_check(leat_kernel* kernel, const leat_tensor* arguments,
                              size_t argument_count) {
  return c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(const auto spans, c::arguments_of(kernel, arguments, argument_count));
    return kernel->loaded->check(spans);
  });
}

leat_status leat_kernel_run(leat_kernel* kernel, const leat_tensor* arguments,
                            size_t argument_count) {
  return c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(const auto spans, c::arguments_of(kernel, arguments, argument_count));
    TRY(kernel->loaded->run(spans));
    kernel->has_run = true;
    return {};
  });
}

leat_status leat_kernel_measure(leat_kernel* kernel, double seconds, leat_kernel_rate* rate) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(kernel, "kernel"));
    if (!(seconds >= 0 && seconds <= c::kMeasureSecondsMax)) {
      return c::invalid(
          fmt::format("Seconds ({}) are not 0 to {}.", seconds, c::kMeasureSecondsMax));
    }
    if (!kernel->has_run) {
      return c::invalid(fmt::format("Kernel \"{}\" has not run: there is nothing to measure on.",
                                    kernel->loaded->kernel().name()));
    }
    leat_kernel_rate told{};
    TRY(kernel->loaded->alone([&](LoadedKernel& loaded) -> Result<void> {
      TRY_ASSIGN(const KernelRate measured, measure_kernel(loaded, seconds));
      told.median_us = measured.median_us;
      told.p99_us = measured.p99_us;
      told.samples = measured.samples_us.size();
      told.masked_accesses = loaded.masked_count();
      return {};
    }));
    return c::write_struct(told, rate, "leat_kernel_rate");
  });
}

leat_status leat_kernel_format(const char* text, size_t size_bytes, const char* name,
                               char* formatted, size_t capacity, size_t* needed_bytes) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(needed_bytes, "needed_bytes"));
    if (capacity > 0) TRY(c::check_given(formatted, "formatted"));
    TRY_ASSIGN(const UserKernel kernel, c::parse(text, size_bytes, name));
    const std::string whole = kernel.text();
    *needed_bytes = whole.size() + 1;
    if (capacity == 0) return {};
    if (capacity <= whole.size()) {
      return c::invalid(fmt::format("The text takes ({}) bytes; there is room for ({}).",
                                    whole.size() + 1, capacity));
    }
    std::memcpy(formatted, whole.c_str(), whole.size() + 1);
    return {};
  });
}
