// Tensors as files hold them: every dtype in both places for data, and sizes that lie.
#include "leat/model/onnx_file.h"

#include <gtest/gtest.h>

#include "leat/base/half.h"
#include "leat/model/onnx.pb.h"

namespace leat {
namespace {

using onnx::TensorProto;

TensorProto proto_of(int type, const Shape& shape) {
  TensorProto proto;
  proto.set_name("t");
  proto.set_data_type(type);
  for (int64_t extent : shape) proto.add_dims(extent);
  return proto;
}

TEST(OnnxFile, RawDataRoundTripsForEveryType) {
  for (DType dtype :
       {DType::f32,    DType::f16,        DType::bf16,    DType::f64,      DType::i8,
        DType::u8,     DType::i16,        DType::u16,     DType::i32,      DType::u32,
        DType::i64,    DType::u64,        DType::boolean, DType::f8e4m3fn, DType::f8e4m3fnuz,
        DType::f8e5m2, DType::f8e5m2fnuz, DType::f8e8m0,  DType::f4e2m1,   DType::i4,
        DType::u4,     DType::i2,         DType::u2}) {
    HostTensor tensor = HostTensor::zeros(dtype, {3, 3});
    for (int64_t i = 0; i < 9; ++i) tensor.set_integer(i, i % 2);
    TensorProto proto;
    ASSERT_TRUE(proto.ParseFromString(tensor_file_bytes(tensor, "t")));
    const Result<HostTensor> read = host_tensor_of(proto);
    ASSERT_TRUE(read.has_value()) << read.error().message();
    EXPECT_EQ(read->dtype, dtype);
    EXPECT_EQ(read->shape, tensor.shape);
    EXPECT_EQ(read->bytes, tensor.bytes) << name_of(dtype);
  }
}

TEST(OnnxFile, TypedDataLiesInTheFieldOfItsType) {
  TensorProto half = proto_of(TensorProto::FLOAT16, {2});
  half.add_int32_data(half_from_float(1.5f));
  half.add_int32_data(half_from_float(-2.0f));
  EXPECT_EQ(host_tensor_of(half)->number(0), 1.5);
  EXPECT_EQ(host_tensor_of(half)->number(1), -2.0);

  TensorProto truth = proto_of(TensorProto::BOOL, {2});
  truth.add_int32_data(0);
  truth.add_int32_data(5);
  EXPECT_EQ(host_tensor_of(truth)->integer(1), 1);

  TensorProto whole = proto_of(TensorProto::UINT32, {1});
  whole.add_uint64_data(4000000000u);
  EXPECT_EQ(host_tensor_of(whole)->integer(0), 4000000000);

  TensorProto tiny = proto_of(TensorProto::INT8, {1});
  tiny.add_int32_data(-7);
  EXPECT_EQ(host_tensor_of(tiny)->integer(0), -7);
}

TEST(OnnxFile, ElementsOfFewBitsLiePackedTheFirstInTheLowestBits) {
  TensorProto nibbles = proto_of(TensorProto::INT4, {3});
  nibbles.set_raw_data(std::string("\xf1\x08"));  // 1, -1, -8
  const Result<HostTensor> whole = host_tensor_of(nibbles);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->integer(0), 1);
  EXPECT_EQ(whole->integer(1), -1);
  EXPECT_EQ(whole->integer(2), -8);

  TensorProto pairs = proto_of(TensorProto::UINT2, {4});
  pairs.add_int32_data(0xe4);  // 0, 1, 2, 3
  const Result<HostTensor> counted = host_tensor_of(pairs);
  ASSERT_TRUE(counted);
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(counted->integer(i), i);

  nibbles.set_raw_data("\x01");
  EXPECT_FALSE(host_tensor_of(nibbles));
}

TEST(OnnxFile, RefusesDataOfAnotherSize) {
  TensorProto proto = proto_of(TensorProto::FLOAT, {1 << 20, 1 << 10});
  proto.add_float_data(1);
  EXPECT_EQ(host_tensor_of(proto).error().kind(), ErrorKind::invalid_argument);
  EXPECT_NE(host_tensor_of(proto).error().message().find("1 elements"), std::string::npos);
  proto.set_raw_data("abc");
  EXPECT_NE(host_tensor_of(proto).error().message().find("3 bytes"), std::string::npos);
  TensorProto overflow = proto_of(TensorProto::FLOAT, {int64_t{1} << 62, int64_t{1} << 62, 16});
  EXPECT_EQ(host_tensor_of(overflow).error().kind(), ErrorKind::invalid_argument);
}

TEST(OnnxFile, RefusesWhatItDoesNotRead) {
  for (int type : {TensorProto::STRING, TensorProto::COMPLEX64, TensorProto::UNDEFINED}) {
    EXPECT_EQ(host_tensor_of(proto_of(type, {0})).error().kind(), ErrorKind::unsupported) << type;
  }
  TensorProto external = proto_of(TensorProto::FLOAT, {1});
  external.set_data_location(TensorProto::EXTERNAL);
  EXPECT_NE(host_tensor_of(external).error().message().find("another file"), std::string::npos);
  TensorProto segment = proto_of(TensorProto::FLOAT, {1});
  segment.mutable_segment()->set_begin(0);
  EXPECT_EQ(host_tensor_of(segment).error().kind(), ErrorKind::unsupported);
}

TEST(OnnxFile, MissingTensorFile) {
  const Result<HostTensor> tensor = read_tensor_file("/no/such/tensor.pb");
  ASSERT_FALSE(tensor.has_value());
  EXPECT_EQ(tensor.error().kind(), ErrorKind::io);
}

}  // namespace
}  // namespace leat
