// A kernel that somebody wrote in text form (docs/kernel-format.md): what it asks for, whether a
// launch of it is right, and the kernel on a device.
//
// A text is a whole launch: a grid, and a count of elements for each parameter. Another launch has
// another grid and other counts. Two things stand between a text and a device. The interpreter runs
// the launch on its arguments and looks for races, bounds, unwritten local memory: check(). And,
// whatever was checked, no launch touches memory outside of its arguments: each access is proven to
// stay inside for the launch's grid, counts and whole numbers, or masked.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/device/device.h"
#include "leat/ir/access_ranges.h"
#include "leat/ir/ir.h"
#include "leat/ir/source_notes.h"
#include "leat/run/kernel_cache.h"
#include "leat/tensor/graph.h"

namespace leat {

/// A longer text is refused.
inline constexpr size_t kKernelBytesMax = size_t{16} << 20;

/// The bytes of each parameter, in the kernel's order: element_count elements in storage type.
using KernelArguments = std::span<const std::span<std::byte>>;

/// What the interpreter saw of a launch that is right.
struct KernelCheck {
  std::vector<int64_t> written;  // elements of each parameter
  uint64_t steps = 0;            // instructions of all waves
};

/// What a parameter is checked with where nobody gives it: numbers that floats of any width have
/// and of which few are equal, and zeros as whole numbers, which may be places.
HostTensor invented_value(const ir::Parameter& parameter, Shape shape);

class UserKernel {
 public:
  /// `file` is only named in errors. Errors: invalid_argument: the text does not parse (file, line
  /// and column), or breaks a rule.
  static Result<UserKernel> parse(std::string_view text, std::string_view file);

  const std::string& name() const { return program_.name; }
  std::span<const ir::Parameter> parameters() const { return program_.parameters; }
  size_t size_bytes_of_parameter(size_t index) const;
  Grid grid() const { return program_.grid; }
  const ir::Program& program() const { return program_; }

  /// Another launch; `counts` has one for each parameter. Errors: invalid_argument.
  Result<void> set_launch(const Grid& grid, std::span<const int64_t> counts);

  /// Runs the launch in the interpreter, which changes the arguments that the kernel writes: their
  /// values are the right ones afterwards. Errors: invalid_argument, naming the instruction, the
  /// lane and the element; unsupported: more instructions than `steps_max`.
  Result<KernelCheck> check(KernelArguments arguments, uint64_t steps_max = UINT64_MAX) const;

  /// That there is one for each parameter, of its size. Errors: invalid_argument.
  Result<void> check_arguments(KernelArguments arguments) const;

  /// What the launch may touch, for any arguments with the same whole numbers in what is only read.
  /// What an argument holds is not known where its span is empty.
  ir::LaunchRanges ranges(KernelArguments arguments) const;
  /// The program with masks where the launch may leave its memory, given `ranges`.
  /// Errors: unsupported (an access can be neither proven nor masked).
  Result<ir::Program> bounded(std::span<const ir::OpenAccess> open) const;
  Result<std::string> bounded_text(std::span<const ir::OpenAccess> open) const;
  /// Whether a launch writes the same elements of the parameter whatever it is given, save for
  /// parameters that `is_constant` says, and reads none of them.
  bool fixes_places(size_t parameter, const std::vector<bool>& is_constant) const;
  /// What stands open, as a sentence without its stop.
  std::string text_of(const ir::OpenAccess& access) const;
  /// The text as the printer writes it, with its names and comments, for the launch that is set.
  std::string text() const;

 private:
  UserKernel(ir::Program program, ir::SourceNotes notes)
      : program_(std::move(program)), notes_(std::move(notes)) {}
  Error as_users(const Error& error) const;

  ir::Program program_;
  ir::SourceNotes notes_;
};

struct KernelLoadOptions {
  std::string cache_folder;  // of compiled kernels; empty: none is read or written
};

/// A UserKernel on a device, with memory for its arguments there. It dies before the device.
class LoadedKernel {
 public:
  /// Errors: unsupported (the device lacks what the kernel uses), out_of_memory, those of drivers.
  static Result<std::unique_ptr<LoadedKernel>> load(Device& device, UserKernel kernel,
                                                    KernelLoadOptions options);

  /// Writes the arguments, launches, waits, and reads what the kernel writes.
  /// Errors: unsupported (an access can be neither proven nor masked), device_lost.
  Result<void> run(KernelArguments arguments);

  /// The parts of run(). launch() runs the kernel `times` times in a row on what lies there, and
  /// returns the seconds from submit to fence; write() came before.
  Result<void> write(KernelArguments arguments);
  Result<double> launch(uint32_t times);
  Result<void> read(KernelArguments arguments);

  const UserKernel& kernel() const { return kernel_; }
  Device& device() { return device_; }
  /// Of the last arguments that were written: accesses that are masked, since they are not proven.
  size_t masked_count() const { return current_ == nullptr ? 0 : current_->open.size(); }
  uint32_t compiled_count() const { return compiled_; }

 private:
  /// The kernel with masks at these accesses.
  struct Variant {
    std::vector<ir::InstructionId> open;
    std::unique_ptr<Kernel> kernel;
  };

  LoadedKernel(Device& device, UserKernel kernel, KernelLoadOptions options);
  Result<void> allocate();
  Result<void> choose(KernelArguments arguments);
  Result<std::unique_ptr<Kernel>> compile(std::span<const ir::OpenAccess> open);

  Device& device_;
  UserKernel kernel_;
  KernelLoadOptions options_;
  KernelCache cache_;
  std::vector<Buffer> buffers_;
  std::vector<BufferRange> ranges_;
  std::vector<std::unique_ptr<Variant>> variants_;
  Variant* current_ = nullptr;
  uint32_t compiled_ = 0;
};

}  // namespace leat
