// The cuda route on a table of calls that stand in for the driver's library: what it does when one
// of them fails, which no healthy machine shows.
#include "leat/backend/cuda/cuda_device.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <set>

#include "leat/backend/cuda/cuda_api.h"

namespace leat {
namespace {

constexpr int kIllegalAddress = 700, kUnknown = 999, kOutOfMemory = 2;

/// The library's state; calls have no context of their own.
struct FakeDriver {
  int devices = 1;
  int bad_device = -1;
  int stream_state = kCudaSuccess;
  bool writes_values = true;
  int device_pointer_code = kCudaSuccess;
  std::set<void*> registered;
};
FakeDriver fake;

/// An address that stands for an object of the library.
CudaHandle some_handle() {
  static int object = 0;
  return &object;
}

int attribute_of(int* value, int attribute, CudaDeviceId device) {
  if (device == fake.bad_device) return kUnknown;
  *value = attribute == kCudaCapabilityMajor ? 9 : attribute == kCudaCapabilityMinor ? 0 : 1;
  if (attribute == kCudaSharedBytesOptin) *value = 227 << 10;
  return kCudaSuccess;
}

int write_value(CudaHandle, uint64_t address, uint64_t value, unsigned) {
  if (fake.writes_values)
    __atomic_store_n(reinterpret_cast<uint64_t*>(address), value, __ATOMIC_RELEASE);
  return kCudaSuccess;
}

void fill_device_calls(CudaApi& api) {
  api.cuGetErrorName = [](int, const char** name) {
    *name = "FAKE";
    return kCudaSuccess;
  };
  api.cuDeviceGetCount = [](int* count) {
    *count = fake.devices;
    return kCudaSuccess;
  };
  api.cuDeviceGet = [](CudaDeviceId* device, int ordinal) {
    *device = ordinal;
    return kCudaSuccess;
  };
  api.cuDeviceGetName = [](char* name, int, CudaDeviceId device) {
    std::strcpy(name, device == 0 ? "Fake A" : "Fake B");
    return kCudaSuccess;
  };
  api.cuDeviceGetUuid = [](unsigned char* uuid, CudaDeviceId device) {
    std::memset(uuid, device, 16);
    return kCudaSuccess;
  };
  api.cuDeviceTotalMem = [](size_t* bytes, CudaDeviceId) {
    *bytes = size_t{1} << 30;
    return kCudaSuccess;
  };
  api.cuDeviceGetAttribute = attribute_of;
  api.cuDevicePrimaryCtxRetain = [](CudaHandle* context, CudaDeviceId) {
    *context = some_handle();
    return kCudaSuccess;
  };
  api.cuDevicePrimaryCtxRelease = [](CudaDeviceId) { return kCudaSuccess; };
  api.cuCtxSetCurrent = [](CudaHandle) { return kCudaSuccess; };
}

void fill_stream_calls(CudaApi& api) {
  api.cuStreamCreate = [](CudaHandle* stream, unsigned) {
    *stream = some_handle();
    return kCudaSuccess;
  };
  api.cuStreamDestroy = [](CudaHandle) { return kCudaSuccess; };
  api.cuStreamQuery = [](CudaHandle) { return fake.stream_state; };
  api.cuStreamWriteValue64 = write_value;
  api.cuEventCreate = [](CudaHandle* event, unsigned) {
    *event = some_handle();
    return kCudaSuccess;
  };
  api.cuEventDestroy = [](CudaHandle) { return kCudaSuccess; };
  api.cuMemcpyAsync = [](uint64_t target, uint64_t source, size_t bytes, CudaHandle) {
    std::memcpy(reinterpret_cast<void*>(target), reinterpret_cast<void*>(source), bytes);
    return kCudaSuccess;
  };
}

void fill_memory_calls(CudaApi& api) {
  api.cuMemHostAlloc = [](void** host, size_t bytes, unsigned) {
    *host = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    return kCudaSuccess;
  };
  api.cuMemFreeHost = [](void* host) {
    std::free(host);
    return kCudaSuccess;
  };
  api.cuMemHostRegister = [](void* host, size_t, unsigned flags) {
    return flags == 3 && fake.registered.insert(host).second ? kCudaSuccess : 1;
  };
  api.cuMemHostUnregister = [](void* host) { return fake.registered.erase(host) == 1 ? 0 : 1; };
  api.cuMemHostGetDevicePointer = [](uint64_t* address, void* host, unsigned) {
    *address = reinterpret_cast<uint64_t>(host);
    return fake.registered.contains(host) ? fake.device_pointer_code : kCudaSuccess;
  };
}

class CudaDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    fake = FakeDriver();
    fill_device_calls(api_);
    fill_stream_calls(api_);
    fill_memory_calls(api_);
  }
  std::unique_ptr<Device> open() {
    Result<std::unique_ptr<Device>> device = open_cuda_device_on(api_, 0, "gpu0:cuda");
    EXPECT_TRUE(device.has_value()) << device.error().message();
    return device ? std::move(*device) : nullptr;
  }

  CudaApi api_;
};

TEST_F(CudaDeviceTest, ABadDeviceHidesNoOther) {
  fake.devices = 3;
  fake.bad_device = 1;
  const std::vector<FoundRoute> found = find_cuda_devices_on(api_);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].refusal, "");
  EXPECT_EQ(found[2].refusal, "");
  EXPECT_EQ(found[1].info.chip, "Fake B");
  EXPECT_NE(found[1].refusal.find("CUDA device (1)"), std::string::npos) << found[1].refusal;
  EXPECT_NE(found[1].refusal.find("(999)"), std::string::npos) << found[1].refusal;
  EXPECT_TRUE(open_cuda_device_on(api_, 2, "gpu1:cuda").has_value());
  const Result<std::unique_ptr<Device>> bad = open_cuda_device_on(api_, 1, "gpu2:cuda");
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error().kind(), ErrorKind::unsupported);
}

TEST_F(CudaDeviceTest, NoWayOfLookingTakesLostForDone) {
  const std::unique_ptr<Device> device = open();
  ASSERT_NE(device, nullptr);
  Result<Buffer> x = device->allocate(4096, MemoryKind::shared);
  Result<Buffer> y = device->allocate(4096, MemoryKind::shared);
  ASSERT_TRUE(x.has_value() && y.has_value());
  fake.writes_values = false;  // the stream stops at the kernel that faults
  ASSERT_TRUE(device->queue().copy({&*x, 0, 4096}, {&*y, 0, 4096}).has_value());
  const Result<uint64_t> value = device->queue().submit();
  ASSERT_TRUE(value.has_value());
  const FencePoint point = {&device->queue().fence(), *value};
  fake.stream_state = kCudaNotReady;
  EXPECT_FALSE(*point.fence->wait(*value, 0));
  fake.stream_state = kIllegalAddress;
  EXPECT_FALSE(point.reached());
  for (const uint64_t timeout_ns : {uint64_t{0}, uint64_t{1'000'000}}) {
    const Result<bool> waited = point.fence->wait(*value, timeout_ns);
    ASSERT_FALSE(waited.has_value()) << timeout_ns;
    EXPECT_EQ(waited.error().kind(), ErrorKind::device_lost);
    EXPECT_FALSE(wait_any(std::span(&point, 1), timeout_ns).has_value());
    EXPECT_FALSE(wait_all(std::span(&point, 1), timeout_ns).has_value());
  }
}

TEST_F(CudaDeviceTest, HostMemoryIsImportedInPlaceAndGivenBack) {
  alignas(4096) static std::array<std::byte, 3 * 4096> memory;
  const std::unique_ptr<Device> device = open();
  ASSERT_NE(device, nullptr);
  EXPECT_TRUE(device->memory_facts().imports_host);
  {
    const Result<Buffer> buffer = device->import_host(std::span(memory).first(8192));
    ASSERT_TRUE(buffer.has_value()) << buffer.error().message();
    EXPECT_EQ(buffer->host_pointer(), memory.data());
    EXPECT_EQ(buffer->size_bytes(), 8192u);
    EXPECT_EQ(fake.registered.size(), 1u);
  }
  EXPECT_EQ(fake.registered.size(), 0u);
  for (const auto& [offset, size] : {std::pair<size_t, size_t>{1, 4096}, {0, 4095}, {0, 0}}) {
    const Result<Buffer> refused = device->import_host(std::span(memory).subspan(offset, size));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind(), ErrorKind::invalid_argument);
  }
  fake.device_pointer_code = kOutOfMemory;
  EXPECT_FALSE(device->import_host(memory).has_value());
  EXPECT_EQ(fake.registered.size(), 0u);
}

}  // namespace
}  // namespace leat
