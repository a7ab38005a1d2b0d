// See user_kernel.h.
#include "leat/run/user_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "leat/base/shape.h"
#include "leat/emit/emit.h"
#include "leat/ir/interpret.h"
#include "leat/ir/parse.h"
#include "leat/ir/store_places.h"
#include "leat/ir/text.h"
#include "leat/ir/verify.h"
#include "leat/lower/bound_accesses.h"
#include "leat/lower/passes.h"

namespace leat {

namespace {

/// Sets of masks for which one kernel stays loaded.
constexpr size_t kVariantsMax = 8;

template <typename T>
std::optional<ir::Range> range_in(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  ir::Range range = {INT64_MAX, INT64_MIN};
  for (size_t at = 0; at + sizeof(T) <= bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    range.lo = std::min<int64_t>(range.lo, value);
    range.hi = std::max<int64_t>(range.hi, value);
  }
  return range;
}

/// Whether an index may be loaded from it, which contents_of then looks at.
bool may_hold_indices(const ir::Parameter& parameter) {
  const DType storage = parameter.storage;
  return !parameter.written &&
         (storage == DType::i8 || storage == DType::u8 || storage == DType::i16 ||
          storage == DType::u16 || storage == DType::i32);
}

std::optional<ir::Range> contents_of(const ir::Parameter& parameter,
                                     std::span<const std::byte> bytes) {
  if (!may_hold_indices(parameter)) return std::nullopt;
  if (parameter.storage == DType::i8) return range_in<int8_t>(bytes);
  if (parameter.storage == DType::u8) return range_in<uint8_t>(bytes);
  if (parameter.storage == DType::i16) return range_in<int16_t>(bytes);
  if (parameter.storage == DType::u16) return range_in<uint16_t>(bytes);
  return range_in<int32_t>(bytes);
}

}  // namespace

HostTensor invented_value(const ir::Parameter& parameter, Shape shape) {
  HostTensor value = HostTensor::zeros(parameter.storage, std::move(shape));
  for (int64_t i = 0; is_float(parameter.storage) && i < element_count(value.shape); ++i) {
    value.set_number(i, static_cast<double>(i * 7 % 31 - 15) / 16);
  }
  return value;
}

// --- UserKernel ----------------------------------------------------------------------------------

Result<UserKernel> UserKernel::parse(std::string_view text, std::string_view file) {
  ir::SourceNotes notes;
  TRY_ASSIGN(ir::Program program, ir::parse_program(text, file, notes));
  ir::note_comments(text, notes);
  UserKernel kernel(std::move(program), std::move(notes));
  if (const Result<void> verified = ir::verify(kernel.program_); !verified) {
    return kernel.as_users(verified.error()).during("reading " + std::string(file));
  }
  return kernel;
}

/// What a verifier or the interpreter says of somebody else's program is no bug of ours.
Error UserKernel::as_users(const Error& error) const {
  const ErrorKind kind =
      error.kind() == ErrorKind::internal ? ErrorKind::invalid_argument : error.kind();
  return Error(kind, ir::with_names(error.message(), program_, notes_));
}

std::string UserKernel::text_of(const ir::OpenAccess& access) const {
  return ir::with_names(ir::text_of(program_, access), program_, notes_);
}

std::string UserKernel::text() const { return ir::print_program(program_, notes_); }

size_t UserKernel::size_bytes_of_parameter(size_t index) const {
  const ir::Parameter& parameter = program_.parameters[index];
  return static_cast<size_t>(parameter.element_count * size_bytes_of(parameter.storage));
}

Result<void> UserKernel::set_launch(const Grid& grid, std::span<const int64_t> counts) {
  CHECK(counts.size() == program_.parameters.size());
  ir::Program other = program_;
  other.grid = grid;
  for (size_t i = 0; i < counts.size(); ++i) other.parameters[i].element_count = counts[i];
  if (const Result<void> verified = ir::verify(other); !verified) {
    return as_users(verified.error());
  }
  program_ = std::move(other);
  return {};
}

Result<void> UserKernel::check_arguments(KernelArguments arguments) const {
  if (arguments.size() != program_.parameters.size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Kernel \"{}\" is given ({}) arguments; it has ({}) parameters.",
                             name(), arguments.size(), program_.parameters.size()));
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].size() == size_bytes_of_parameter(i)) continue;
    const ir::Parameter& parameter = program_.parameters[i];
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Parameter \"{}\" of kernel \"{}\" is {}[{}], ({}) bytes; given are ({}).",
                    parameter.name, name(), name_of(parameter.storage), parameter.element_count,
                    size_bytes_of_parameter(i), arguments[i].size()));
  }
  return {};
}

Result<KernelCheck> UserKernel::check(KernelArguments arguments, uint64_t steps_max) const {
  TRY(check_arguments(arguments));
  KernelCheck check;
  const ir::InterpretOptions options = {.steps_max = steps_max,
                                        .refuses_unwritten = true,
                                        .written = &check.written,
                                        .steps = &check.steps};
  if (const Result<void> run = ir::interpret(program_, arguments, options); !run) {
    return as_users(run.error());
  }
  return check;
}

ir::LaunchRanges UserKernel::ranges(KernelArguments arguments) const {
  std::vector<std::optional<ir::Range>> contents;
  for (size_t i = 0; i < arguments.size(); ++i) {
    contents.push_back(contents_of(program_.parameters[i], arguments[i]));
  }
  return ir::find_ranges(program_, contents);
}

Result<ir::Program> UserKernel::bounded(std::span<const ir::OpenAccess> open) const {
  if (open.empty()) return program_;
  return bound_accesses(program_, open);
}

Result<std::string> UserKernel::bounded_text(std::span<const ir::OpenAccess> open) const {
  TRY_ASSIGN(const ir::Program program, bounded(open));
  return ir::print_program(program);
}

bool UserKernel::fixes_places(size_t parameter, const std::vector<bool>& is_constant) const {
  return ir::are_places_known(program_, static_cast<uint32_t>(parameter), is_constant);
}

// --- LoadedKernel --------------------------------------------------------------------------------

LoadedKernel::LoadedKernel(Device& device, UserKernel kernel, KernelLoadOptions options)
    : device_(device),
      kernel_(std::move(kernel)),
      options_(std::move(options)),
      cache_(options_.cache_folder, emitter_version(device.target())) {}

Result<std::unique_ptr<LoadedKernel>> LoadedKernel::load(Device& device, UserKernel kernel,
                                                         KernelLoadOptions options) {
  std::unique_ptr<LoadedKernel> loaded(
      new LoadedKernel(device, std::move(kernel), std::move(options)));
  TRY(loaded->allocate());
  return loaded;
}

Result<void> LoadedKernel::allocate() {
  for (size_t i = 0; i < kernel_.parameters().size(); ++i) {
    const size_t size_bytes = std::max<size_t>(kernel_.size_bytes_of_parameter(i), 1);
    const size_t rounded =
        (size_bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment;
    TRY_ASSIGN(Buffer buffer, device_.allocate(rounded, MemoryKind::device));
    buffers_.push_back(std::move(buffer));
  }
  for (const Buffer& buffer : buffers_) ranges_.push_back({&buffer, 0, buffer.size_bytes()});
  return {};
}

Result<std::unique_ptr<Kernel>> LoadedKernel::compile(std::span<const ir::OpenAccess> open) {
  TRY_ASSIGN(ir::Program program, kernel_.bounded(open));
  TRY(run_passes(program, device_.target()));
  const CacheKey key =
      cache_.key_of(ir::print_program(program), device_.target(), device_.info().driver);
  if (const std::optional<KernelBinary> cached = cache_.find(key, device_.target())) {
    if (Result<std::unique_ptr<Kernel>> kernel = device_.load(*cached)) return kernel;
  }
  TRY_ASSIGN(const KernelBinary binary, emit(program, device_.target()));
  ++compiled_;
  TRY_ASSIGN(std::unique_ptr<Kernel> kernel, device_.load(binary));
  cache_.store(key, binary);
  return kernel;
}

/// The kernel that is safe for these arguments.
Result<void> LoadedKernel::choose(KernelArguments arguments) {
  const std::vector<ir::OpenAccess> open = kernel_.ranges(arguments).open;
  std::vector<ir::InstructionId> ids;
  for (const ir::OpenAccess& access : open) ids.push_back(access.instruction);
  const auto known = std::ranges::find_if(
      variants_, [&](const std::unique_ptr<Variant>& variant) { return variant->open == ids; });
  if (known != variants_.end()) {
    current_ = known->get();
    return {};
  }
  TRY_ASSIGN(std::unique_ptr<Kernel> kernel, compile(open));
  if (variants_.size() >= kVariantsMax) variants_.erase(variants_.begin());
  variants_.push_back(std::make_unique<Variant>(Variant{std::move(ids), std::move(kernel)}));
  current_ = variants_.back().get();
  return {};
}

/// What may hold indices is copied first, so that what was proven is what the device gets, whatever
/// another thread writes to the caller's memory meanwhile.
Result<void> LoadedKernel::write(KernelArguments arguments) {
  TRY(kernel_.check_arguments(arguments));
  std::vector<std::vector<std::byte>> copies;
  std::vector<std::span<std::byte>> own(arguments.begin(), arguments.end());
  for (size_t i = 0; i < own.size(); ++i) {
    if (!may_hold_indices(kernel_.parameters()[i])) continue;
    copies.emplace_back(own[i].begin(), own[i].end());
    own[i] = copies.back();
  }
  TRY(choose(own));
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i].empty()) continue;
    TRY(write_buffer(device_, {&buffers_[i], 0, own[i].size()}, own[i]));
  }
  return {};
}

Result<double> LoadedKernel::launch(uint32_t times) {
  CHECK(current_ != nullptr);
  Queue& queue = device_.queue();
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  for (uint32_t i = 0; i < times; ++i) TRY(queue.launch(*current_->kernel, ranges_));
  TRY_ASSIGN(const uint64_t value, queue.submit());
  TRY_ASSIGN(const bool is_done, queue.fence().wait(value, hang_timeout_ns(device_)));
  if (!is_done) {
    return Error(ErrorKind::device_lost,
                 fmt::format("Kernel \"{}\" on Device \"{}\" passed its deadline.", kernel_.name(),
                             device_.info().name));
  }
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Result<void> LoadedKernel::read(KernelArguments arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!kernel_.parameters()[i].written || arguments[i].empty()) continue;
    TRY(read_buffer(device_, {&buffers_[i], 0, arguments[i].size()}, arguments[i]));
  }
  return {};
}

Result<void> LoadedKernel::run(KernelArguments arguments) {
  TRY(write(arguments));
  TRY_ASSIGN(const double seconds, launch(1));
  (void)seconds;
  return read(arguments);
}

}  // namespace leat
