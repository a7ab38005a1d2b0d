// .npy files: what NumPy writes is read, what we write is NumPy's format, and hostile files give
// one sentence.
#include "leat/media/npy.h"

#include <gtest/gtest.h>

#include <cstring>

namespace leat {
namespace {

std::string npy(const std::string& header, const std::string& data, char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += {version, '\0'};
  bytes += {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  if (version > 1) bytes += std::string(2, '\0');
  return bytes + header + data;
}

std::string error_of(const std::string& bytes) {
  const Result<HostTensor> tensor = parse_npy(bytes, "a.npy");
  return tensor ? "" : tensor.error().message();
}

TEST(Npy, RoundTripsEveryDType) {
  for (const DType dtype :
       {DType::f32, DType::f16, DType::f64, DType::i8, DType::u8, DType::i16, DType::u16,
        DType::i32, DType::u32, DType::i64, DType::u64, DType::boolean}) {
    HostTensor tensor = HostTensor::zeros(dtype, {2, 3});
    for (int64_t i = 0; i < 6; ++i) tensor.set_number(i, static_cast<double>(i % 2));
    const std::string bytes = npy_bytes(tensor);
    const Result<HostTensor> again = parse_npy(bytes, "a.npy");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->dtype, dtype);
    EXPECT_EQ(again->shape, tensor.shape);
    EXPECT_EQ(again->bytes, tensor.bytes);
    EXPECT_EQ((bytes.size() - tensor.bytes.size()) % 64, 0u) << "NumPy aligns the data to 64 bytes";
  }
}

TEST(Npy, WidensWhatNumPyHasNot) {
  HostTensor codes = HostTensor::zeros(DType::f8e4m3fn, {1});
  codes.set_number(0, -0.4375);
  EXPECT_EQ(parse_npy(npy_bytes(codes), "a.npy")->number(0), -0.4375);
  HostTensor nibbles = HostTensor::zeros(DType::i4, {1});
  nibbles.set_integer(0, -8);
  const Result<HostTensor> whole = parse_npy(npy_bytes(nibbles), "a.npy");
  EXPECT_EQ(whole->dtype, DType::i8);
  EXPECT_EQ(whole->integer(0), -8);
}

TEST(Npy, WidensBfloat16) {
  HostTensor tensor = HostTensor::zeros(DType::bf16, {1});
  tensor.set_number(0, 1.5);
  const Result<HostTensor> again = parse_npy(npy_bytes(tensor), "a.npy");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->dtype, DType::f32);
  EXPECT_EQ(again->number(0), 1.5);
}

TEST(Npy, ReadsScalarsVectorsAndLaterVersions) {
  const std::string four(4, '\0');
  const auto scalar =
      parse_npy(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }\n", four), "a.npy");
  ASSERT_TRUE(scalar);
  EXPECT_EQ(scalar->shape, Shape{});
  const auto vector = parse_npy(
      npy("{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n", four, 2), "a.npy");
  ASSERT_TRUE(vector);
  EXPECT_EQ(vector->shape, Shape{2});
}

TEST(Npy, ReadsFortransOrder) {
  const std::string elements("\0\1\2\3\4\5", 6);  // of shape (2, 3), columns first
  const auto columns =
      parse_npy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", elements), "a");
  ASSERT_TRUE(columns);
  EXPECT_EQ(columns->shape, (Shape{2, 3}));
  const int64_t wanted[] = {0, 2, 4, 1, 3, 5};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(columns->integer(i), wanted[i]) << i;
  const auto none =
      parse_npy(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 0), }\n", ""), "a");
  ASSERT_TRUE(none);
  EXPECT_EQ(none->shape, (Shape{2, 0}));
}

TEST(Npy, ReadsBigEndianNumbers) {
  const auto words = parse_npy(npy("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }\n",
                                   std::string("\1\2\xff\xfe", 4)),
                               "a");
  ASSERT_TRUE(words);
  EXPECT_EQ(words->integer(0), 0x102);
  EXPECT_EQ(words->integer(1), -2);
}

TEST(Npy, RefusesHostileFilesInOneSentence) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  EXPECT_NE(error_of("").find("no NumPy array"), std::string::npos);
  EXPECT_NE(error_of(npy(good, "", 9)).find("version (9)"), std::string::npos);
  EXPECT_NE(error_of(npy(good, "abc")).find("(3) bytes"), std::string::npos);
  EXPECT_NE(error_of(npy(good, "abcde")).find("(5) bytes"), std::string::npos);
  const std::string lying = npy(good, "").replace(8, 2, "\xff\xff");
  EXPECT_NE(error_of(lying).find("(65535) bytes"), std::string::npos);
  const auto header_error = [](const std::string& header) { return error_of(npy(header, "")); };
  EXPECT_NE(header_error("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }").find("(|O)"),
            std::string::npos);
  EXPECT_NE(header_error("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"), "");
  EXPECT_NE(header_error("{'descr': '<f4', 'fortran_order': False, "
                         "'shape': (9999999999999, 9999999999999), }"),
            "");
  EXPECT_NE(header_error("{'descr': '<f4'"), "");
  EXPECT_NE(header_error("{}"), "");
  EXPECT_NE(header_error("{'descr': '<f4', 'fortran_order': False, 'shape': (1x), }"), "");
}

TEST(Npy, RefusesHeadersThatNumpyWouldNotWrite) {
  const std::string order = "'fortran_order': False";
  const auto error = [](const std::string& header) { return error_of(npy(header, "abcd")); };
  EXPECT_EQ(error("{'descr': '<f4', " + order + ", 'shape': (1,)}   \n"), "");
  const std::pair<std::string, std::string> rows[] = {
      {"{'descr': 'xf4', " + order + ", 'shape': (1,), }", "(xf4)"},
      {"{'descr': '|f4', " + order + ", 'shape': (1,), }", "(|f4)"},
      {"{'descr': '=f4', " + order + ", 'shape': (1,), }", "(=f4)"},
      {"{'descr': '<f4', " + order + ", 'shape': (1,), } x", "(1) bytes behind"},
      {"{'descr': '<f4', 'descr': '<f4', " + order + ", 'shape': (1,), }", "twice"},
      {"{'descr': '<f4', " + order + ", 'shape': (2,), 'shape': (1,), }", "twice"},
      {"{'descr': '<f4', " + order + ", " + order + ", 'shape': (1,), }", "twice"},
      {"{'descr': '<f4' " + order + " 'shape': (1,) }", "comma"},
      {"{'descr': '<f4', " + order + ", 'shape': (1 1), }", "comma"},
      {"{'descr': '<f4', 'fortran_order': Falsehood, 'shape': (1,), }", "comma"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", "fortran_order"},
      {"{'descr': '<f4', " + order + ", 'shape': (0, 2000000000, 2000000000, 2000000000), }",
       "limit"},
  };
  for (const auto& [header, part] : rows) {
    EXPECT_NE(error(header).find(part), std::string::npos) << header << ": " << error(header);
  }
}

}  // namespace
}  // namespace leat
