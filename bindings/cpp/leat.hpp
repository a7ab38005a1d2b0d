// Leat in C++17: owners and views over leat.h, in this header alone, so that a program keeps
// working with a newer library and none of our own headers, macros or flags reach it. What fails
// throws leat::Error. Threads, lifetimes and units are those of leat.h.
//
//   leat::Model model("digits.onnx");
//   std::vector<float> picture(28 * 28);
//   std::vector<leat::Tensor> y = model.run({leat::view(picture, {1, 1, 28, 28})});
//   std::cout << y[0].as<float>()[0] << '\n';
#pragma once

#include <leat.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace leat {

/// What a call answered that failed; what() is the sentence.
class Error : public std::runtime_error {
 public:
  Error(leat_status status, const char* message) : std::runtime_error(message), status_(status) {}
  leat_status status() const { return status_; }

 private:
  leat_status status_;
};

/// Throws what the status says.
inline void check(leat_status status) {
  if (status != LEAT_OK) throw Error(status, leat_message());
}

template <typename T>
struct TypeOf;
template <>
struct TypeOf<float> {
  static constexpr leat_type value = LEAT_F32;
};
template <>
struct TypeOf<double> {
  static constexpr leat_type value = LEAT_F64;
};
template <>
struct TypeOf<bool> {
  static constexpr leat_type value = LEAT_BOOL;
};
template <>
struct TypeOf<int8_t> {
  static constexpr leat_type value = LEAT_I8;
};
template <>
struct TypeOf<uint8_t> {
  static constexpr leat_type value = LEAT_U8;
};
template <>
struct TypeOf<int16_t> {
  static constexpr leat_type value = LEAT_I16;
};
template <>
struct TypeOf<uint16_t> {
  static constexpr leat_type value = LEAT_U16;
};
template <>
struct TypeOf<int32_t> {
  static constexpr leat_type value = LEAT_I32;
};
template <>
struct TypeOf<uint32_t> {
  static constexpr leat_type value = LEAT_U32;
};
template <>
struct TypeOf<int64_t> {
  static constexpr leat_type value = LEAT_I64;
};
template <>
struct TypeOf<uint64_t> {
  static constexpr leat_type value = LEAT_U64;
};

/// Memory of the caller's as a tensor; it is not copied.
template <typename T>
leat_tensor view(const T* data, std::initializer_list<int64_t> shape) {
  if (shape.size() > LEAT_RANK_MAX) throw Error(LEAT_INVALID_ARGUMENT, "Rank is above 8.");
  leat_tensor tensor{};
  tensor.data = const_cast<T*>(data);
  tensor.type = TypeOf<T>::value;
  tensor.size_bytes = sizeof(T);
  for (int64_t extent : shape) {
    tensor.shape[tensor.rank++] = extent;
    tensor.size_bytes *= static_cast<size_t>(extent);
  }
  return tensor;
}
/// The same of a vector, which has exactly so many elements.
template <typename T>
leat_tensor view(const std::vector<T>& values, std::initializer_list<int64_t> shape) {
  const leat_tensor tensor = view(values.data(), shape);
  if (tensor.size_bytes == values.size() * sizeof(T)) return tensor;
  throw Error(LEAT_INVALID_ARGUMENT, "A vector has not as many elements as its shape says.");
}

/// A result, with memory of its own.
class Tensor {
 public:
  /// Memory for what a call has described.
  explicit Tensor(const leat_tensor& described)
      : memory_(described.size_bytes), tensor_(described) {
    tensor_.data = memory_.data();
  }

  leat_type type() const { return tensor_.type; }
  std::vector<int64_t> shape() const { return {tensor_.shape, tensor_.shape + tensor_.rank}; }
  template <typename T>
  const T* as() const {
    if (TypeOf<T>::value == tensor_.type) return static_cast<const T*>(tensor_.data);
    throw Error(LEAT_INVALID_ARGUMENT, "The tensor has elements of another type.");
  }
  template <typename T>
  size_t count() const {
    return tensor_.size_bytes / sizeof(T);
  }

 private:
  friend class Model;
  std::vector<std::byte> memory_;
  leat_tensor tensor_{};
};

/// A moment at which a run ends; not to be used after its model moved or ended.
class Fence {
 public:
  bool is_done() const {
    int32_t is_done = 0;
    check(leat_fence_look(&fence_, &is_done));
    return is_done != 0;
  }
  /// False at the deadline.
  bool wait(uint64_t timeout_ns) const {
    const leat_status status = leat_fence_wait(&fence_, timeout_ns);
    if (status != LEAT_TIMEOUT) check(status);
    return status == LEAT_OK;
  }

 private:
  friend class Model;
  leat_fence fence_{};
};

/// Devices that are open; models share it.
class Session {
 public:
  explicit Session(const std::string& device = "") {
    leat_session_options options{};
    options.struct_bytes = sizeof options;
    options.device = device.c_str();
    open(options);
  }
  explicit Session(const leat_session_options& options) { open(options); }
  leat_session* handle() const { return session_.get(); }

 private:
  struct Close {
    void operator()(leat_session* session) const { leat_session_close(session); }
  };
  void open(const leat_session_options& options) {
    leat_session* session = nullptr;
    check(leat_session_open(&options, &session));
    session_.reset(session);
  }
  std::unique_ptr<leat_session, Close> session_;
};

/// An ONNX file ready to run.
class Model {
 public:
  /// On the device, or the best that takes it.
  explicit Model(const std::string& path, const std::string& device = "") {
    leat_load_options options{};
    options.struct_bytes = sizeof options;
    if (!device.empty()) options.device = device.c_str();
    load(nullptr, path, &options);
  }
  Model(const Session& session, const std::string& path,
        const leat_load_options* options = nullptr) {
    load(session.handle(), path, options);
  }
  leat_model* handle() const { return model_.get(); }

  size_t input_count() const { return leat_model_input_count(handle()); }
  size_t output_count() const { return leat_model_output_count(handle()); }
  leat_value_info input(size_t index) const {
    leat_value_info info = {sizeof info, nullptr, 0, 0, {}, 0};
    check(leat_model_input(handle(), index, &info));
    return info;
  }
  leat_value_info output(size_t index) const {
    leat_value_info info = {sizeof info, nullptr, 0, 0, {}, 0};
    check(leat_model_output(handle(), index, &info));
    return info;
  }

  /// Runs once and waits; shapes of inputs may change from run to run.
  std::vector<Tensor> run(const std::vector<leat_tensor>& inputs) {
    std::vector<leat_tensor> outputs(output_count());
    check(leat_run(handle(), inputs.data(), inputs.size(), outputs.data(), outputs.size()));
    std::vector<Tensor> results;
    bool has_run = true;  // where nothing needs memory
    for (leat_tensor& output : outputs) {
      has_run = has_run && output.size_bytes == 0;
      output = results.emplace_back(output).tensor_;
    }
    if (has_run) return results;
    check(leat_run(handle(), inputs.data(), inputs.size(), outputs.data(), outputs.size()));
    return results;
  }

  /// In place, to be written and read while no run of the slot is in flight.
  template <typename T>
  T* input_memory(size_t index = 0, size_t slot = 0) const {
    leat_tensor memory{};
    check(leat_model_input_memory(handle(), slot, index, &memory));
    return typed<T>(memory);
  }
  template <typename T>
  const T* output_memory(size_t index = 0, size_t slot = 0) const {
    leat_tensor memory{};
    check(leat_model_output_memory(handle(), slot, index, &memory));
    return typed<T>(memory);
  }
  void run_in_place(size_t slot = 0) { check(leat_model_run_in_place(handle(), slot)); }
  /// Measures ways to compute each kernel and keeps the fastest.
  leat_tune_result tune(double kernel_seconds = 0, bool is_again = false) {
    const leat_tune_options options = {sizeof options, kernel_seconds, is_again ? 1 : 0};
    leat_tune_result result{};
    result.struct_bytes = sizeof result;
    check(leat_model_tune(handle(), &options, &result));
    return result;
  }
  Fence start(size_t slot = 0) {
    Fence fence;
    check(leat_model_start(handle(), slot, &fence.fence_));
    return fence;
  }

 private:
  struct Close {
    void operator()(leat_model* model) const { leat_model_close(model); }
  };
  template <typename T>
  static T* typed(const leat_tensor& memory) {
    if (memory.type == TypeOf<T>::value) return static_cast<T*>(memory.data);
    throw Error(LEAT_INVALID_ARGUMENT, "The tensor has elements of another type.");
  }
  void load(leat_session* session, const std::string& path, const leat_load_options* options) {
    leat_model* model = nullptr;
    check(leat_model_load(session, path.c_str(), options, &model));
    model_.reset(model);
  }
  std::unique_ptr<leat_model, Close> model_;
};

/// A kernel in text form, ready on a device.
class Kernel {
 public:
  /// `name` is for messages.
  Kernel(const Session& session, const std::string& text, const std::string& name = "kernel",
         const leat_kernel_options* options = nullptr) {
    leat_kernel* kernel = nullptr;
    check(leat_kernel_load(session.handle(), text.data(), text.size(), name.c_str(), options,
                           &kernel));
    kernel_.reset(kernel);
  }
  leat_kernel* handle() const { return kernel_.get(); }

  /// One tensor for each parameter; what the kernel writes is written there.
  void run(const std::vector<leat_tensor>& arguments) {
    check(leat_kernel_run(handle(), arguments.data(), arguments.size()));
  }
  /// In the interpreter, on copies.
  void check_launch(const std::vector<leat_tensor>& arguments) {
    check(leat_kernel_check(handle(), arguments.data(), arguments.size()));
  }
  leat_kernel_rate measure(double seconds) {
    leat_kernel_rate rate{};
    rate.struct_bytes = sizeof rate;
    check(leat_kernel_measure(handle(), seconds, &rate));
    return rate;
  }

 private:
  struct Close {
    void operator()(leat_kernel* kernel) const { leat_kernel_close(kernel); }
  };
  std::unique_ptr<leat_kernel, Close> kernel_;
};

/// A route to a device.
struct Device {
  std::string name, chip, vendor, driver, route, refusal;
  bool is_software = false;
  uint64_t memory_bytes = 0;
};

/// All that are found, best first.
inline std::vector<Device> devices() {
  leat_devices* found = nullptr;
  check(leat_devices_find(&found));
  const std::unique_ptr<leat_devices, void (*)(leat_devices*)> owner(found, leat_devices_free);
  std::vector<Device> devices;
  for (size_t i = 0; i < leat_devices_count(found); ++i) {
    leat_device_info info{};
    info.struct_bytes = sizeof info;
    check(leat_devices_get(found, i, &info));
    devices.push_back({info.name, info.chip, info.vendor, info.driver, info.route, info.refusal,
                       info.is_software != 0, info.memory_bytes});
  }
  return devices;
}

}  // namespace leat
