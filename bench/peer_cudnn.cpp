// cuDNN as a peer, opened at run time. Its own search picks the fastest algorithm, once for data in
// NCHW and once in NHWC, and the faster of the two is the peer; f32 is computed without TF32
// (CUDNN_FMA_MATH). A sample is one CUDA graph of all repeats, or, where an algorithm cannot be
// captured, as many calls in one stream.
// Source: NVIDIA's "cuDNN API Reference" 9: the cudnn_ops and cudnn_cnn libraries, values of their
// enumerations, and the layout of cudnnConvolutionFwdAlgoPerf_t.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "bench/cuda_driver.h"
#include "bench/peers.h"

namespace leat::cli {

namespace {

constexpr int kFormats[] = {0, 1};  // CUDNN_TENSOR_NCHW, CUDNN_TENSOR_NHWC
constexpr int kNhwc = 1;
constexpr int kDataFloat = 0;         // CUDNN_DATA_FLOAT
constexpr int kDataHalf = 2;          // CUDNN_DATA_HALF
constexpr int kCrossCorrelation = 1;  // CUDNN_CROSS_CORRELATION
constexpr int kTensorOpMath = 1;      // CUDNN_TENSOR_OP_MATH
constexpr int kFmaMath = 3;           // CUDNN_FMA_MATH
constexpr int kAlgorithmsMax = 16;

struct AlgorithmPerformance {
  int algorithm;
  int status;
  float milliseconds;
  size_t workspace_bytes;
  int determinism;
  int math;
  int reserved[3];
};

struct Cudnn {
  size_t (*version)() = nullptr;
  int (*create)(void** handle) = nullptr;
  int (*set_stream)(void* handle, void* stream) = nullptr;
  int (*create_tensor)(void** descriptor) = nullptr;
  int (*set_tensor)(void* descriptor, int format, int type, int n, int c, int h, int w) = nullptr;
  int (*create_filter)(void** descriptor) = nullptr;
  int (*set_filter)(void* descriptor, int type, int format, int k, int c, int h, int w) = nullptr;
  int (*create_conv)(void** descriptor) = nullptr;
  int (*set_conv)(void* descriptor, int pad_h, int pad_w, int stride_h, int stride_w,
                  int dilation_h, int dilation_w, int mode, int type) = nullptr;
  int (*set_math)(void* descriptor, int math) = nullptr;
  int (*find)(void* handle, void* x, void* w, void* conv, void* y, int asked, int* given,
              AlgorithmPerformance* performances) = nullptr;
  int (*forward)(void* handle, const void* alpha, void* x, uint64_t x_data, void* w,
                 uint64_t w_data, void* conv, int algorithm, uint64_t workspace,
                 size_t workspace_bytes, const void* beta, void* y, uint64_t y_data) = nullptr;
  std::string missing;
};

Cudnn open_cudnn() {
  Cudnn cudnn;
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  void* library = dlopen("libcudnn.so.9", kFlags);
  for (const char* place :
       {"/usr/local/cuda/lib64/libcudnn.so.9", "/opt/cuda/lib64/libcudnn.so.9"}) {
    if (library == nullptr) library = dlopen(place, kFlags);
  }
  if (library == nullptr) {
    cudnn.missing = "The library (libcudnn.so.9) does not open.";
    return cudnn;
  }
  const auto look_up = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) cudnn.missing = fmt::format("cuDNN lacks the call ({}).", name);
  };
  look_up(cudnn.version, "cudnnGetVersion");
  look_up(cudnn.create, "cudnnCreate");
  look_up(cudnn.set_stream, "cudnnSetStream");
  look_up(cudnn.create_tensor, "cudnnCreateTensorDescriptor");
  look_up(cudnn.set_tensor, "cudnnSetTensor4dDescriptor");
  look_up(cudnn.create_filter, "cudnnCreateFilterDescriptor");
  look_up(cudnn.set_filter, "cudnnSetFilter4dDescriptor");
  look_up(cudnn.create_conv, "cudnnCreateConvolutionDescriptor");
  look_up(cudnn.set_conv, "cudnnSetConvolution2dDescriptor");
  look_up(cudnn.set_math, "cudnnSetConvolutionMathType");
  look_up(cudnn.find, "cudnnFindConvolutionForwardAlgorithm");
  look_up(cudnn.forward, "cudnnConvolutionForward");
  return cudnn;
}

const Cudnn& the_cudnn() {
  static const Cudnn cudnn = open_cudnn();
  return cudnn;
}

Result<void> check(int code, std::string_view call) {
  if (code == 0) return {};
  return Error(ErrorKind::io, fmt::format("cuDNN call {} returns ({}).", call, code));
}

int to_int(int64_t value) { return static_cast<int>(value); }

/// The same elements, from (n, c, h, w) to (n, h, w, c) order, or back.
std::vector<std::byte> reordered(std::span<const std::byte> bytes, const Shape& shape,
                                 size_t element_bytes, bool to_nhwc) {
  std::vector<std::byte> result(bytes.size());
  const int64_t c_count = shape[1], plane = shape[2] * shape[3];
  for (int64_t n = 0; n < shape[0]; ++n) {
    for (int64_t c = 0; c < c_count; ++c) {
      for (int64_t i = 0; i < plane; ++i) {
        const int64_t nchw = (n * c_count + c) * plane + i;
        const int64_t nhwc = (n * plane + i) * c_count + c;
        const int64_t from = to_nhwc ? nchw : nhwc;
        const int64_t to = to_nhwc ? nhwc : nchw;
        std::memcpy(&result[static_cast<size_t>(to) * element_bytes],
                    &bytes[static_cast<size_t>(from) * element_bytes], element_bytes);
      }
    }
  }
  return result;
}

/// One layout made ready. Descriptors are left to the end of the process, memory is not.
class CudnnConv {
 public:
  CudnnConv(CudaPeer peer, const ConvShape& shape, DType dtype, int format)
      : peer_(std::move(peer)), shape_(shape), dtype_(dtype), format_(format) {}
  CudnnConv(const CudnnConv&) = delete;
  ~CudnnConv() {
    for (const uint64_t address : {x_, w_, y_, workspace_}) {
      if (address != 0) peer_.driver().mem_free(address);
    }
  }

  Result<void> prepare(const ConvData& data) {
    TRY(describe());
    TRY_ASSIGN(x_, upload(data.x));
    TRY_ASSIGN(w_, upload(data.w));
    TRY_ASSIGN(y_, peer_.allocate(output_bytes()));
    return choose_algorithm();
  }

  float found_milliseconds() const { return milliseconds_; }

  /// Seconds of `repeats` executions.
  Result<double> run(uint32_t repeats) { return repeats_.run(repeats); }

  Result<std::vector<float>> output() {
    HostTensor y = HostTensor::zeros(dtype_, shape_.y_shape());
    TRY(check_cuda(peer_.driver().copy_out(y.bytes.data(), y_, y.bytes.size()), "cuMemcpyDtoH"));
    if (format_ == kNhwc) y.bytes = reordered(y.bytes, y.shape, element_bytes(), false);
    return floats_of(y);
  }

 private:
  size_t element_bytes() const { return static_cast<size_t>(size_bytes_of(dtype_)); }
  size_t output_bytes() const {
    return static_cast<size_t>(element_count(shape_.y_shape())) * element_bytes();
  }

  Result<uint64_t> upload(const HostTensor& tensor) {
    if (format_ != kNhwc) return peer_.upload(tensor.bytes);
    return peer_.upload(reordered(tensor.bytes, tensor.shape, element_bytes(), true));
  }

  Result<void> describe() {
    const Cudnn& cudnn = the_cudnn();
    const int type = dtype_ == DType::f16 ? kDataHalf : kDataFloat;
    const auto tensor = [&](void** descriptor, const Shape& s) -> Result<void> {
      TRY(check(cudnn.create_tensor(descriptor), "cudnnCreateTensorDescriptor"));
      return check(cudnn.set_tensor(*descriptor, format_, type, to_int(s[0]), to_int(s[1]),
                                    to_int(s[2]), to_int(s[3])),
                   "cudnnSetTensor4dDescriptor");
    };
    TRY(check(cudnn.create(&handle_), "cudnnCreate"));
    TRY(check(cudnn.set_stream(handle_, peer_.stream()), "cudnnSetStream"));
    TRY(tensor(&x_descriptor_, shape_.x_shape()));
    TRY(tensor(&y_descriptor_, shape_.y_shape()));
    TRY(check(cudnn.create_filter(&w_descriptor_), "cudnnCreateFilterDescriptor"));
    TRY(check(cudnn.set_filter(w_descriptor_, type, format_, to_int(shape_.k), to_int(shape_.c),
                               to_int(shape_.r), to_int(shape_.r)),
              "cudnnSetFilter4dDescriptor"));
    TRY(check(cudnn.create_conv(&conv_descriptor_), "cudnnCreateConvolutionDescriptor"));
    const int pad = to_int(shape_.pad);
    const int stride = to_int(shape_.stride);
    TRY(check(cudnn.set_conv(conv_descriptor_, pad, pad, stride, stride, 1, 1, kCrossCorrelation,
                             kDataFloat),
              "cudnnSetConvolution2dDescriptor"));
    return check(cudnn.set_math(conv_descriptor_, math()), "cudnnSetConvolutionMathType");
  }

  int math() const { return dtype_ == DType::f16 ? kTensorOpMath : kFmaMath; }

  Result<void> choose_algorithm() {
    AlgorithmPerformance performances[kAlgorithmsMax] = {};
    int count = 0;
    TRY(check(the_cudnn().find(handle_, x_descriptor_, w_descriptor_, conv_descriptor_,
                               y_descriptor_, kAlgorithmsMax, &count, performances),
              "cudnnFindConvolutionForwardAlgorithm"));
    for (int i = 0; i < count; ++i) {  // fastest first
      const AlgorithmPerformance& found = performances[i];
      const bool wrong_math = dtype_ == DType::f32 && found.math != kFmaMath;
      if (found.status != 0 || wrong_math) continue;
      algorithm_ = found.algorithm;
      milliseconds_ = found.milliseconds;
      workspace_bytes_ = found.workspace_bytes;
      TRY(check(the_cudnn().set_math(conv_descriptor_, found.math), "cudnnSetConvolutionMathType"));
      if (workspace_bytes_ == 0) return {};
      TRY_ASSIGN(workspace_, peer_.allocate(workspace_bytes_));
      return {};
    }
    return Error(ErrorKind::unsupported, "cuDNN has no algorithm for this convolution.");
  }

  Result<void> execute(uint32_t repeats) {
    const float one = 1;
    const float zero = 0;
    for (uint32_t i = 0; i < repeats; ++i) {
      TRY(check(
          the_cudnn().forward(handle_, &one, x_descriptor_, x_, w_descriptor_, w_, conv_descriptor_,
                              algorithm_, workspace_, workspace_bytes_, &zero, y_descriptor_, y_),
          "cudnnConvolutionForward"));
    }
    return {};
  }

  CudaPeer peer_;
  ConvShape shape_;
  DType dtype_;
  int format_;
  void* handle_ = nullptr;
  void* x_descriptor_ = nullptr;
  void* w_descriptor_ = nullptr;
  void* y_descriptor_ = nullptr;
  void* conv_descriptor_ = nullptr;
  uint64_t x_ = 0, w_ = 0, y_ = 0, workspace_ = 0;
  size_t workspace_bytes_ = 0;
  int algorithm_ = 0;
  float milliseconds_ = 0;
  CudaRepeats repeats_{peer_, [this](uint32_t repeats) { return execute(repeats); }};
};

}  // namespace

Result<PeerConv> make_cudnn_conv(const ConvShape& shape, const ConvData& data,
                                 const std::string& chip) {
  if (!the_cudnn().missing.empty()) return Error(ErrorKind::unsupported, the_cudnn().missing);
  if (data.x.dtype != DType::f32 && data.x.dtype != DType::f16) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Peer \"cudnn\" is not asked for a convolution of ({}).",
                             name_of(data.x.dtype)));
  }
  std::shared_ptr<CudnnConv> best;
  for (const int format : kFormats) {
    TRY_ASSIGN(CudaPeer peer, CudaPeer::open(chip));
    auto conv = std::make_shared<CudnnConv>(std::move(peer), shape, data.x.dtype, format);
    const Result<void> prepared = conv->prepare(data);
    if (!prepared) {
      if (format == kNhwc && best == nullptr) return prepared.error();
      continue;
    }
    if (best == nullptr || conv->found_milliseconds() < best->found_milliseconds()) best = conv;
  }
  PeerConv peer;
  peer.run = [best](uint32_t repeats) { return best->run(repeats); };
  peer.output = [best] { return best->output(); };
  return peer;
}

std::string cudnn_version() {
  const Cudnn& cudnn = the_cudnn();
  if (!cudnn.missing.empty()) return fmt::format("cudnn ({})", cudnn.missing);
  const size_t version = cudnn.version();  // 91900 is 9.19.0
  return fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace leat::cli
