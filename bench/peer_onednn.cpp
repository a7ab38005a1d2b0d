// oneDNN as a peer. Layouts are left to it (format_tag::any gives its blocked ones); reorders and
// the making of the primitive are not timed. Debian's oneDNN runs on OpenMP, whose threads spin for
// some milliseconds after a parallel region: callers wait a little before they measure anything
// else.
#include <fmt/format.h>
#include <omp.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "bench/peers.h"
#include "leat/base/check.h"

namespace leat::cli {

namespace {

using Tag = dnnl::memory::format_tag;
using DataType = dnnl::memory::data_type;

/// What oneDNN stores x, w and y as.
struct DataTypes {
  DataType x, w, y;
};

/// By the type of w. Sums are f32, of bytes i32. Of f16 it has none on CPUs.
std::optional<DataTypes> data_types_of(DType dtype) {
  using enum DataType;
  if (dtype == DType::f32) return DataTypes{f32, f32, f32};
  if (dtype == DType::bf16) return DataTypes{bf16, bf16, bf16};
  if (dtype == DType::i8) return DataTypes{u8, s8, s32};
  return std::nullopt;
}

/// The primitive and its memory; lives as long as the PeerConv.
struct OnednnConv {
  dnnl::engine engine;
  dnnl::stream stream;
  dnnl::convolution_forward primitive;
  dnnl::memory x, w, y;
  dnnl::memory::dims y_dims;
  int threads = 1;
};

dnnl::memory reordered(OnednnConv& conv, const HostTensor& value, const dnnl::memory::desc& to) {
  dnnl::memory plain({to.dims(), to.data_type(), Tag::abcd}, conv.engine);
  CHECK(plain.get_desc().get_size() == value.bytes.size());
  std::memcpy(plain.get_data_handle(), value.bytes.data(), value.bytes.size());
  dnnl::memory target(to, conv.engine);
  dnnl::reorder(plain, target).execute(conv.stream, plain, target);
  conv.stream.wait();
  return target;
}

std::shared_ptr<OnednnConv> make_conv(const ConvShape& shape, const ConvData& data,
                                      const DataTypes& types, uint32_t threads) {
  auto conv = std::make_shared<OnednnConv>();
  conv->threads = static_cast<int>(threads);
  omp_set_num_threads(conv->threads);
  conv->engine = dnnl::engine(dnnl::engine::kind::cpu, 0);
  conv->stream = dnnl::stream(conv->engine);
  conv->y_dims = shape.y_shape();
  const auto any = [](const Shape& dims, DataType type) {
    return dnnl::memory::desc(dims, type, Tag::any);
  };
  const dnnl::convolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_auto,
      any(shape.x_shape(), types.x), any(shape.w_shape(), types.w), any(shape.y_shape(), types.y),
      {shape.stride, shape.stride}, {shape.pad, shape.pad}, {shape.pad, shape.pad});
  const dnnl::convolution_forward::primitive_desc primitive(desc, conv->engine);
  conv->x = reordered(*conv, data.x, primitive.src_desc());
  conv->w = reordered(*conv, data.w, primitive.weights_desc());
  conv->y = dnnl::memory(primitive.dst_desc(), conv->engine);
  conv->primitive = dnnl::convolution_forward(primitive);
  return conv;
}

double run_repeats(OnednnConv& conv, uint32_t repeats) {
  omp_set_num_threads(conv.threads);
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < repeats; ++i) {
    conv.primitive.execute(
        conv.stream, {{DNNL_ARG_SRC, conv.x}, {DNNL_ARG_WEIGHTS, conv.w}, {DNNL_ARG_DST, conv.y}});
  }
  conv.stream.wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<float> row_major_output(OnednnConv& conv) {
  dnnl::memory plain({conv.y_dims, DataType::f32, Tag::abcd}, conv.engine);
  dnnl::reorder(conv.y, plain).execute(conv.stream, conv.y, plain);
  conv.stream.wait();
  const float* values = static_cast<const float*>(plain.get_data_handle());
  return {values, values + plain.get_desc().get_size() / sizeof(float)};
}

Error failed(const dnnl::error& error) {
  return Error(ErrorKind::internal, fmt::format("oneDNN fails: {}.", error.what()));
}

}  // namespace

Result<PeerConv> make_onednn_conv(const ConvShape& shape, const ConvData& data, uint32_t threads) {
  const std::optional<DataTypes> types = data_types_of(data.w.dtype);
  if (!types) {
    return Error(
        ErrorKind::unsupported,
        fmt::format("Peer \"onednn\" has no convolution of ({}) on CPUs.", name_of(data.x.dtype)));
  }
  std::shared_ptr<OnednnConv> conv;
  try {
    conv = make_conv(shape, data, *types, threads);
  } catch (const dnnl::error& error) {
    return failed(error);
  }
  PeerConv peer;
  peer.run = [conv](uint32_t repeats) -> Result<double> {
    try {
      return run_repeats(*conv, repeats);
    } catch (const dnnl::error& error) {
      return failed(error);
    }
  };
  peer.output = [conv]() -> Result<std::vector<float>> {
    try {
      return row_major_output(*conv);
    } catch (const dnnl::error& error) {
      return failed(error);
    }
  };
  return peer;
}

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("oneDNN {}.{}.{}", version->major, version->minor, version->patch);
}

}  // namespace leat::cli
