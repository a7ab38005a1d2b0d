// cuBLAS as a peer of products of matrices, opened at run time: cublasGemmEx with sums of f32,
// whose heuristics pick the kernel. A sample is one CUDA graph of all repeats. Source: NVIDIA's
// "cuBLAS" documentation 13, cublasGemmEx, and the values of cudaDataType_t and cublasComputeType_t
// there.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "bench/cuda_driver.h"
#include "bench/peers.h"

namespace leat::cli {

namespace {

constexpr int kPlain = 0, kTransposed = 1;                    // CUBLAS_OP_N, CUBLAS_OP_T
constexpr int kRealFloat = 0, kRealHalf = 2, kRealBf16 = 14;  // CUDA_R_32F, _16F, _16BF
constexpr int kComputeFloat = 68;                             // CUBLAS_COMPUTE_32F
constexpr int kDefaultAlgorithm = -1;                         // CUBLAS_GEMM_DEFAULT
constexpr size_t kWorkspaceBytes = size_t{64} << 20;

struct Cublas {
  int (*create)(void** handle) = nullptr;
  int (*version)(void* handle, int* version) = nullptr;
  int (*set_stream)(void* handle, void* stream) = nullptr;
  int (*set_workspace)(void* handle, uint64_t workspace, size_t size_bytes) = nullptr;
  int (*gemm)(void* handle, int a_op, int b_op, int m, int n, int k, const void* alpha, uint64_t a,
              int a_type, int a_stride, uint64_t b, int b_type, int b_stride, const void* beta,
              uint64_t c, int c_type, int c_stride, int compute, int algorithm) = nullptr;
  std::string missing;
};

Cublas open_cublas() {
  Cublas cublas;
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  void* library = nullptr;
  for (const char* place :
       {"libcublas.so.13", "libcublas.so.12", "/usr/local/cuda/lib64/libcublas.so.13",
        "/usr/local/cuda/lib64/libcublas.so.12"}) {
    if (library == nullptr) library = dlopen(place, kFlags);
  }
  if (library == nullptr) {
    cublas.missing = "The library (libcublas.so.13 or .12) does not open.";
    return cublas;
  }
  const auto look_up = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr) cublas.missing = fmt::format("cuBLAS lacks the call ({}).", name);
  };
  look_up(cublas.create, "cublasCreate_v2");
  look_up(cublas.version, "cublasGetVersion_v2");
  look_up(cublas.set_stream, "cublasSetStream_v2");
  look_up(cublas.set_workspace, "cublasSetWorkspace_v2");
  look_up(cublas.gemm, "cublasGemmEx");
  return cublas;
}

const Cublas& the_cublas() {
  static const Cublas cublas = open_cublas();
  return cublas;
}

Result<void> check(int code, std::string_view call) {
  if (code == 0) return {};
  return Error(ErrorKind::io, fmt::format("cuBLAS call {} returns ({}).", call, code));
}

int type_of(DType dtype) {
  return dtype == DType::f16 ? kRealHalf : dtype == DType::bf16 ? kRealBf16 : kRealFloat;
}

/// y (M, N) = x (M, K) * w (N, K) turned, all row after row; column after column that is
/// y' = w' turned * x'.
class CublasProduct {
 public:
  CublasProduct(CudaPeer peer, const ConvShape& shape, DType dtype)
      : peer_(std::move(peer)), shape_(shape), dtype_(dtype) {}
  CublasProduct(const CublasProduct&) = delete;
  ~CublasProduct() {
    for (const uint64_t address : {x_, w_, y_, workspace_}) {
      if (address != 0) peer_.driver().mem_free(address);
    }
  }

  Result<void> prepare(const ConvData& data) {
    const Cublas& cublas = the_cublas();
    TRY(check(cublas.create(&handle_), "cublasCreate"));
    TRY(check(cublas.set_stream(handle_, peer_.stream()), "cublasSetStream"));
    TRY_ASSIGN(workspace_, peer_.allocate(kWorkspaceBytes));
    TRY(check(cublas.set_workspace(handle_, workspace_, kWorkspaceBytes), "cublasSetWorkspace"));
    TRY_ASSIGN(x_, peer_.upload(turned(data.x, shape_.c, shape_.h)));
    TRY_ASSIGN(w_, peer_.upload(data.w.bytes));
    TRY_ASSIGN(y_, peer_.allocate(static_cast<size_t>(shape_.h * shape_.k) * element_bytes()));
    return execute(1);
  }

  /// Seconds of `repeats` executions.
  Result<double> run(uint32_t repeats) { return repeats_.run(repeats); }

  Result<std::vector<float>> output() {
    HostTensor y = HostTensor::zeros(dtype_, {shape_.h, shape_.k});
    TRY(check_cuda(peer_.driver().copy_out(y.bytes.data(), y_, y.bytes.size()), "cuMemcpyDtoH"));
    y.bytes = turned(y, shape_.h, shape_.k);
    return floats_of(y);
  }

 private:
  size_t element_bytes() const { return static_cast<size_t>(size_bytes_of(dtype_)); }

  /// (rows, columns) to (columns, rows).
  std::vector<std::byte> turned(const HostTensor& tensor, int64_t rows, int64_t columns) const {
    std::vector<std::byte> result(tensor.bytes.size());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        std::memcpy(&result[static_cast<size_t>(c * rows + r) * element_bytes()],
                    &tensor.bytes[static_cast<size_t>(r * columns + c) * element_bytes()],
                    element_bytes());
      }
    }
    return result;
  }

  Result<void> execute(uint32_t repeats) {
    const float one = 1, zero = 0;
    const int m = static_cast<int>(shape_.h), n = static_cast<int>(shape_.k),
              k = static_cast<int>(shape_.c), type = type_of(dtype_);
    for (uint32_t i = 0; i < repeats; ++i) {
      TRY(check(the_cublas().gemm(handle_, kTransposed, kPlain, n, m, k, &one, w_, type, k, x_,
                                  type, k, &zero, y_, type, n, kComputeFloat, kDefaultAlgorithm),
                "cublasGemmEx"));
    }
    return {};
  }

  CudaPeer peer_;
  ConvShape shape_;
  DType dtype_;
  void* handle_ = nullptr;
  uint64_t x_ = 0, w_ = 0, y_ = 0, workspace_ = 0;
  CudaRepeats repeats_{peer_, [this](uint32_t repeats) { return execute(repeats); }};
};

}  // namespace

Result<PeerConv> make_cublas_product(const ConvShape& shape, const ConvData& data,
                                     const std::string& chip) {
  if (!the_cublas().missing.empty()) return Error(ErrorKind::unsupported, the_cublas().missing);
  if (!shape.is_product) {
    return Error(ErrorKind::unsupported, "Peer \"cublas\" computes products of matrices only.");
  }
  if (!is_float(data.x.dtype)) {
    return Error(ErrorKind::unsupported,
                 fmt::format("Peer \"cublas\" is not asked for ({}).", name_of(data.x.dtype)));
  }
  TRY_ASSIGN(CudaPeer cuda, CudaPeer::open(chip));
  auto product = std::make_shared<CublasProduct>(std::move(cuda), shape, data.x.dtype);
  TRY(product->prepare(data));
  PeerConv peer;
  peer.run = [product](uint32_t repeats) { return product->run(repeats); };
  peer.output = [product] { return product->output(); };
  return peer;
}

std::string cublas_version() {
  const Cublas& cublas = the_cublas();
  if (!cublas.missing.empty()) return fmt::format("cublas ({})", cublas.missing);
  void* handle = nullptr;
  int version = 0;  // 130001 is 13.0.1
  const bool known = cublas.create(&handle) == 0 && cublas.version(handle, &version) == 0;
  if (!known) return "cuBLAS";
  return fmt::format("cuBLAS {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace leat::cli
