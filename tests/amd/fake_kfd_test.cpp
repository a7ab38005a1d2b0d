// The fake kernel driver: the whole way from opening to a launch, then each rule of it broken once.
#include "tests/amd/fake_kfd.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <functional>

#include "tests/amd/amd_stream.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

struct Memory {
  uint64_t va = 0;
  uint64_t handle = 0;
  uint64_t size = 0;
  uint8_t* host = nullptr;
};

constexpr uint32_t kRingFlags = kMemGtt | kMemWritable | kMemExecutable | kMemCoherent;

/// A client as small as one can be.
struct Client {
  explicit Client(const FakeCardOptions& options = {})
      : kfd(options), sizes(save_area_of(options)) {
    kfd_fd = kfd.open("/dev/kfd");
    render_fd = kfd.open("/dev/dri/renderD128");
  }

  template <class T>
  int call(uint32_t request, T& argument) {
    return kfd.ioctl(kfd_fd, request, &argument) == 0 ? 0 : errno;
  }
  int acquire() {
    KfdAcquireVm in = {uint32_t(render_fd), FakeKfd::kGpuId};
    return call(kKfdAcquireVm, in);
  }
  int map(uint64_t handle, uint32_t request = kKfdMapMemory) {
    const uint32_t device = FakeKfd::kGpuId;
    KfdMapMemory in = {handle, reinterpret_cast<uint64_t>(&device), 1, 0};
    return call(request, in);
  }
  Memory allocate(uint64_t size, uint32_t flags) {
    Memory memory;
    memory.size = size;
    void* at = kfd.mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(at, MAP_FAILED);
    KfdAllocMemory in = {reinterpret_cast<uint64_t>(at), size, 0, 0, FakeKfd::kGpuId, flags};
    EXPECT_EQ(call(kKfdAllocMemory, in), 0);
    memory.va = in.va;
    memory.handle = in.handle;
    if ((flags & kMemVram) == 0 || (flags & kMemPublic) != 0) {
      memory.host = static_cast<uint8_t*>(kfd.mmap(
          at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, render_fd, in.mmap_offset));
      EXPECT_EQ(memory.host, at);
    }
    EXPECT_EQ(map(memory.handle), 0);
    return memory;
  }

  void open_all() {
    ASSERT_EQ(acquire(), 0);
    ring = allocate(65536, kRingFlags);
    pointers = allocate(4096, kRingFlags | kMemUncached);
    eop = allocate(4096, kMemVram | kMemWritable | kMemExecutable);
    save = allocate(sizes.total, kRingFlags);
    page = allocate(32768, kMemGtt | kMemWritable | kMemCoherent);
    code = allocate(4096, kRingFlags);
    data = allocate(4096, kRingFlags);
    KfdSaveHeader header = {};
    header.debug_offset = uint32_t(sizes.save);
    header.debug_size = uint32_t(sizes.debug);
    header.error_va = pointers.va + 128;
    std::memcpy(save.host, &header, sizeof(header));
  }
  KfdCreateQueue queue_request() const {
    KfdCreateQueue in = {};
    in.ring_va = ring.va, in.ring_size = 65536;
    in.write_pointer_va = pointers.va + 64, in.read_pointer_va = pointers.va;
    in.gpu_id = FakeKfd::kGpuId, in.percentage = 100, in.priority = 7;
    in.eop_va = eop.va, in.eop_size = 4096;
    in.save_va = save.va, in.save_size = uint32_t(sizes.save);
    in.control_stack_size = uint32_t(sizes.control_stack);
    return in;
  }
  int create_queue() {
    KfdCreateQueue in = queue_request();
    const int error = call(kKfdCreateQueue, in);
    if (error != 0) return error;
    queue_id = in.queue_id;
    doorbell = static_cast<uint64_t*>(kfd.mmap(nullptr, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED,
                                               kfd_fd, in.doorbell_offset & ~uint64_t{0x1fff}));
    if (doorbell == MAP_FAILED) return errno;
    doorbell += (in.doorbell_offset & 0x1fff) / 8;
    return 0;
  }
  void submit(const std::vector<uint32_t>& words) {
    for (const uint32_t word : words) {
      std::memcpy(ring.host + 4 * (written++ % 16384), &word, 4);
    }
    std::memcpy(pointers.host + 64, &written, 8);
    *doorbell = written;
  }

  FakeKfd kfd;
  SaveAreaSizes sizes;
  int kfd_fd, render_fd;
  Memory ring, pointers, eop, save, page, code, data;
  uint32_t queue_id = 0;
  uint64_t* doorbell = nullptr;
  uint64_t written = 0;
};

/// A stream that runs one wave of `text`, PRIV set, and writes `fence` to the data page.
std::vector<uint32_t> stream_of(Client& client, const std::string& text, uint32_t fence) {
  const auto words = assemble("gfx1100", text + "\ns_endpgm\n");
  std::memcpy(client.code.host, words->data(), words->size() * 4);
  Launch launch;
  launch.entry = client.code.va;
  launch.rsrc1 = 0x40bf0001;
  launch.rsrc2 = 2 << 1;
  launch.threads = {32, 1, 1};
  launch.user_data[0] = uint32_t(client.data.va);
  launch.user_data[1] = uint32_t(client.data.va >> 32);
  Stream stream(false);
  stream.system_acquire();
  stream.launch(launch);
  stream.release(client.data.va + 2048, fence);
  return stream.words;
}
constexpr char kStore[] = "v_lshlrev_b32 v1, 2, v0\nglobal_store_b32 v1, v0, s[0:1]";

uint32_t word_at(const Memory& memory, size_t index) {
  uint32_t word;
  std::memcpy(&word, memory.host + 4 * index, 4);
  return word;
}

TEST(FakeKfd, SaveAreasAreThoseOfTheTable) {
  const SaveAreaSizes navi31 = save_area_of({});
  EXPECT_EQ(navi31.save, 0x266c000u);
  EXPECT_EQ(navi31.control_stack, 0x8000u);
  EXPECT_EQ(navi31.total, 40374272u);
  EXPECT_EQ(save_area_of({.compute_units = 96}).total, 46145536u);
  EXPECT_EQ(save_area_of({.compute_units = 64}).total, 30765056u);
  EXPECT_EQ(save_area_of({.compute_units = 32, .vgpr_bytes_per_cu = 0x40000}).total, 11190272u);
}

TEST(FakeKfd, RunsALaunchFromTheDoorbell) {
  Client client;
  client.open_all();
  ASSERT_EQ(client.create_queue(), 0);
  client.submit(stream_of(client, kStore, 9));
  EXPECT_TRUE(client.kfd.poll());
  EXPECT_TRUE(client.kfd.faults().empty()) << client.kfd.faults().front();
  for (uint32_t k = 0; k < 32; ++k) EXPECT_EQ(word_at(client.data, k), k);
  EXPECT_EQ(word_at(client.data, 512), 9u);
  EXPECT_EQ(word_at(client.pointers, 0), client.written);
  EXPECT_FALSE(client.kfd.poll());
}

TEST(FakeKfd, RunsOnAThread) {
  Client client;
  client.open_all();
  ASSERT_EQ(client.create_queue(), 0);
  client.kfd.start();
  client.submit(stream_of(client, kStore, 3));
  const auto* fence = reinterpret_cast<const volatile uint32_t*>(client.data.host + 2048);
  for (int k = 0; k < 100000 && *fence != 3; ++k) std::this_thread::yield();
  for (int k = 0; k < 2000 && *fence != 3; ++k) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(*fence, 3u);
  client.kfd.stop();
}

TEST(FakeKfd, CopiesByTheCopyEngine) {
  Client client;
  client.open_all();
  KfdCreateQueue in = client.queue_request();
  in.type = kQueueSdma;
  in.eop_va = in.eop_size = in.save_va = in.save_size = in.control_stack_size = 0;
  ASSERT_EQ(client.call(kKfdCreateQueue, in), 0);
  auto* bell = static_cast<uint64_t*>(client.kfd.mmap(nullptr, 0x2000, PROT_READ | PROT_WRITE,
                                                      MAP_SHARED, client.kfd_fd,
                                                      in.doorbell_offset & ~uint64_t{0x1fff}));
  ASSERT_NE(bell, MAP_FAILED);
  const uint64_t to = client.data.va + 64;
  const std::vector<uint32_t> words = {1,
                                       15,
                                       0,
                                       uint32_t(client.ring.va),
                                       uint32_t(client.ring.va >> 32),
                                       uint32_t(to),
                                       uint32_t(to >> 32)};
  std::memcpy(client.ring.host, words.data(), words.size() * 4);
  const uint64_t written = words.size() * 4;
  std::memcpy(client.pointers.host + 64, &written, 8);
  bell[(in.doorbell_offset & 0x1fff) / 8] = written;
  EXPECT_TRUE(client.kfd.poll());
  EXPECT_TRUE(client.kfd.faults().empty());
  EXPECT_EQ(word_at(client.data, 16), 1u);
  EXPECT_EQ(word_at(client.data, 17), 15u);
  EXPECT_EQ(word_at(client.pointers, 0), written);
}

TEST(FakeKfd, OrderOfOpening) {
  Client client;
  KfdAllocMemory memory = {0x200000000000, 4096, 0, 0, FakeKfd::kGpuId, kMemGtt};
  EXPECT_EQ(client.call(kKfdAllocMemory, memory), EINVAL) << "before the VM";
  ASSERT_EQ(client.acquire(), 0);
  EXPECT_EQ(client.acquire(), 0);
  const int other = client.kfd.open("/dev/dri/renderD128");
  KfdAcquireVm in = {uint32_t(other), FakeKfd::kGpuId};
  EXPECT_EQ(client.call(kKfdAcquireVm, in), EBUSY);
  EXPECT_EQ(client.kfd.open("/dev/dri/renderD129"), -1);
  EXPECT_EQ(Client({.has_kfd = false}).kfd_fd, -1);
  EXPECT_EQ(Client({.may_open = false}).render_fd, -1);
}

TEST(FakeKfd, MemoryRules) {
  Client client({.has_large_bar = false});
  ASSERT_EQ(client.acquire(), 0);
  const KfdAllocMemory good = {0x200000000000, 8192, 0, 0, FakeKfd::kGpuId, kMemGtt};
  const auto error_of = [&](const std::function<void(KfdAllocMemory&)>& change) {
    KfdAllocMemory in = good;
    change(in);
    return client.call(kKfdAllocMemory, in);
  };
  EXPECT_EQ(error_of([](auto& in) { in.size = 0; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.size = 100; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.va += 8; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.flags = 0; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.flags |= kMemVram; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.flags |= 1 << 20; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.gpu_id = 1; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.flags = kMemVram | kMemPublic; }), EINVAL) << "small BAR";
  EXPECT_EQ(error_of([](auto& in) { in.flags = kMemVram, in.size = uint64_t{5} << 30; }), ENOMEM);
  EXPECT_EQ(error_of([](auto&) {}), 0);
  EXPECT_EQ(error_of([](auto& in) { in.va += 4096; }), EADDRINUSE);
}

TEST(FakeKfd, QueueRules) {
  Client client;
  client.open_all();
  const auto error_of = [&](const std::function<void(KfdCreateQueue&)>& change) {
    KfdCreateQueue in = client.queue_request();
    change(in);
    return client.call(kKfdCreateQueue, in);
  };
  EXPECT_EQ(error_of([](auto& in) { in.ring_size = 32768; }), EINVAL) << "not the whole mapping";
  EXPECT_EQ(error_of([](auto& in) { in.ring_size = 65535; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.ring_va += 4; }), EINVAL);
  EXPECT_EQ(error_of([&](auto& in) { in.write_pointer_va = client.ring.va; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.eop_size = 8192; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.eop_va = 0; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.control_stack_size += 4096; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.save_size -= 4096; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.save_size += 4096; }), EINVAL) << "mapping too small";
  EXPECT_EQ(error_of([](auto& in) { in.percentage = 101; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.priority = 16; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.type = 9; }), EINVAL);
  EXPECT_EQ(error_of([](auto& in) { in.pad = 1; }), EINVAL);
  std::memset(client.save.host, 0, 64);
  EXPECT_EQ(error_of([](auto&) {}), EINVAL) << "no header in the save area";
}

TEST(FakeKfd, DoorbellAndTeardown) {
  Client client;
  client.open_all();
  EXPECT_EQ(client.kfd.mmap(nullptr, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, client.kfd_fd,
                            uint64_t{3} << 62 | uint64_t{FakeKfd::kGpuId} << 46),
            MAP_FAILED)
      << "no queue yet";
  ASSERT_EQ(client.create_queue(), 0);
  EXPECT_EQ(client.kfd.mmap(nullptr, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, client.kfd_fd,
                            uint64_t{3} << 62 | uint64_t{FakeKfd::kGpuId} << 46),
            MAP_FAILED);
  KfdRuntimeEnable runtime = {0, 1, 0};
  EXPECT_EQ(client.call(kKfdRuntimeEnable, runtime), EEXIST);
  EXPECT_EQ(client.map(client.ring.handle, kKfdUnmapMemory), EBUSY);
  EXPECT_EQ(client.call(kKfdFreeMemory, client.ring.handle), EBUSY);
  EXPECT_EQ(client.kfd.faults().size(), 1u) << "freed under a live queue";
  KfdQueueId id = {client.queue_id, 0};
  EXPECT_EQ(client.call(kKfdDestroyQueue, id), 0);
  EXPECT_EQ(client.call(kKfdDestroyQueue, id), EINVAL);
  EXPECT_EQ(client.map(client.ring.handle, kKfdUnmapMemory), 0);
  EXPECT_EQ(client.call(kKfdFreeMemory, client.ring.handle), 0);
}

TEST(FakeKfd, EventsAndInterrupts) {
  Client client;
  client.open_all();
  KfdCreateEvent event = {0, 0, kEventSignal, 1, 0, 0, 0};
  EXPECT_EQ(client.call(kKfdCreateEvent, event), EINVAL) << "the first needs the page";
  event.page_handle = client.page.handle;
  ASSERT_EQ(client.call(kKfdCreateEvent, event), 0);
  EXPECT_EQ(event.event_id, 1u);
  ASSERT_EQ(client.create_queue(), 0);
  auto words = stream_of(client, kStore, 4);
  Stream bell(false);
  const uint64_t slot = client.page.va + 8;
  bell.packet(0x49, {0x30e528, 0x42010000, uint32_t(slot), uint32_t(slot >> 32), 1, 0, 1});
  words.insert(words.end(), bell.words.begin(), bell.words.end());
  client.submit(words);
  KfdEventData data = {};
  data.event_id = 1;
  KfdWaitEvents wait = {reinterpret_cast<uint64_t>(&data), 1, 1, 1000, 9};
  EXPECT_EQ(client.call(kKfdWaitEvents, wait), 0);
  EXPECT_EQ(wait.result, kWaitDone);
  wait.timeout_ms = 0;
  EXPECT_EQ(client.call(kKfdWaitEvents, wait), 0);
  EXPECT_EQ(wait.result, kWaitTimeout) << "the event resets itself";
}

TEST(FakeKfd, FaultsAreTold) {
  Client client;
  client.open_all();
  KfdCreateEvent event = {client.page.handle, 0, kEventMemory, 0, 0, 0, 0};
  ASSERT_EQ(client.call(kKfdCreateEvent, event), 0);
  ASSERT_EQ(client.create_queue(), 0);
  client.submit(stream_of(client, "v_mov_b32 v1, 0\nglobal_store_b32 v1, v0, s[0:1] offset:-4", 1));
  EXPECT_TRUE(client.kfd.poll());
  ASSERT_EQ(client.kfd.faults().size(), 1u);
  EXPECT_NE(client.kfd.faults()[0].find("unmapped"), std::string::npos);
  EXPECT_EQ(word_at(client.data, 512), 0u) << "no fence";
  EXPECT_EQ(word_at(client.pointers, 32), 16u) << "exception 5 in the error word";
  KfdEventData data = {};
  data.event_id = 1;
  KfdWaitEvents wait = {reinterpret_cast<uint64_t>(&data), 1, 1, 0, 9};
  ASSERT_EQ(client.call(kKfdWaitEvents, wait), 0);
  EXPECT_EQ(wait.result, kWaitDone);
}

TEST(FakeKfd, FaultsByRequest) {
  Client client;
  client.open_all();
  KfdCreateEvent event = {client.page.handle, 0, kEventHwException, 0, 0, 0, 0};
  ASSERT_EQ(client.call(kKfdCreateEvent, event), 0);
  ASSERT_EQ(client.create_queue(), 0);
  const auto words = stream_of(client, kStore, 1);
  client.kfd.lose_doorbells(1);
  client.submit(words);
  EXPECT_FALSE(client.kfd.poll()) << "the doorbell was lost";
  client.submit({0xffff1000});
  EXPECT_TRUE(client.kfd.poll());
  EXPECT_EQ(word_at(client.data, 512), 1u);
  client.kfd.interrupt_next(1);
  EXPECT_EQ(client.map(client.data.handle), EINTR);
  EXPECT_EQ(client.map(client.data.handle), 0);
  client.kfd.hang(true);
  client.submit(words);
  EXPECT_FALSE(client.kfd.poll());
  client.kfd.reset();
  KfdEventData data = {};
  data.event_id = 1;
  KfdWaitEvents wait = {reinterpret_cast<uint64_t>(&data), 1, 1, 0, 9};
  ASSERT_EQ(client.call(kKfdWaitEvents, wait), 0);
  EXPECT_EQ(wait.result, kWaitDone);
  EXPECT_EQ(data.reset.memory_lost, 1u);
  KfdQueueId id = {client.queue_id, 0};
  EXPECT_EQ(client.call(kKfdDestroyQueue, id), ETIME);
  EXPECT_EQ(client.call(kKfdFreeMemory, client.ring.handle), EBUSY) << "not known to be at rest";
}

TEST(FakeKfd, EachCallCanBeRefused) {
  for (uint64_t n = 1;; ++n) {
    FakeKfd kfd;
    kfd.refuse_nth(n);
    const int fd = kfd.open("/dev/kfd"), render = kfd.open("/dev/dri/renderD128");
    KfdVersion version = {};
    KfdAcquireVm in = {uint32_t(render), FakeKfd::kGpuId};
    const int first = kfd.ioctl(fd, kKfdGetVersion, &version);
    const int second = kfd.ioctl(fd, kKfdAcquireVm, &in);
    EXPECT_EQ(first == 0, n != 1);
    EXPECT_EQ(second == 0, n != 2);
    if (n > 2) break;
  }
}

TEST(FakeKfd, DrmSubmitsIndirectBuffers) {
  FakeKfd kfd;
  const int fd = kfd.open("/dev/dri/renderD128");
  const auto buffer = [&](uint64_t va, uint32_t access, uint64_t flags, uint8_t*& host) {
    DrmGemCreate create = {};
    create.in = {4096, 4096, 2, flags};
    EXPECT_EQ(kfd.ioctl(fd, kDrmGemCreate, &create), 0);
    const uint32_t handle = create.handle;
    DrmGemMmap where = {};
    where.handle = handle;
    EXPECT_EQ(kfd.ioctl(fd, kDrmGemMmap, &where), 0);
    host = static_cast<uint8_t*>(
        kfd.mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, where.offset));
    DrmGemVa map = {handle, 0, 1, access, va, 0, 4096};
    EXPECT_EQ(kfd.ioctl(fd, kDrmGemVa, &map), 0);
  };
  uint8_t *ib, *signal;
  buffer(0x300000, 2 | 8, 1 << 6, ib);
  buffer(0x400000, 2 | 4, 1 << 6, signal);
  DrmContext context = {};
  context.in.operation = 1;
  ASSERT_EQ(kfd.ioctl(fd, kDrmContext, &context), 0);
  Stream stream(false);
  stream.write_data(0x400000, 42);
  while (stream.words.size() % 8 != 0) stream.words.push_back(0xffff1000);
  std::memcpy(ib, stream.words.data(), stream.words.size() * 4);
  DrmIb chunk_data = {0, 0, 0x300000, uint32_t(stream.words.size() * 4), 1, 0, 0};
  const auto submit = [&] {
    const DrmChunk chunk = {1, 8, reinterpret_cast<uint64_t>(&chunk_data)};
    const uint64_t chunks[] = {reinterpret_cast<uint64_t>(&chunk)};
    DrmSubmit in = {};
    in.in = {context.context, 0, 1, 0, reinterpret_cast<uint64_t>(chunks)};
    return kfd.ioctl(fd, kDrmSubmit, &in) == 0 ? 0 : errno;
  };
  EXPECT_EQ(submit(), 0);
  EXPECT_EQ(*reinterpret_cast<uint32_t*>(signal), 42u);
  chunk_data.bytes -= 4;
  EXPECT_EQ(submit(), EINVAL) << "size is not a multiple of 32";
  uint8_t* unnamed;
  buffer(0x500000, 2, 0, unnamed);
  chunk_data.bytes += 4;
  EXPECT_EQ(submit(), 0);
  EXPECT_EQ(kfd.faults().size(), 1u) << "memory that is not always valid, and not named";
  EXPECT_EQ(submit(), ECANCELED) << "the context is guilty";
  chunk_data.bytes -= 4;
  kfd.reset();
  chunk_data.bytes += 4;
  EXPECT_EQ(submit(), ECANCELED);
  ::munmap(ib, 4096);
  ::munmap(signal, 4096);
  ::munmap(unnamed, 4096);
}

TEST(FakeKfd, Topology) {
  FakeKfd kfd({.exports_save_size = true});
  std::string text;
  ASSERT_TRUE(kfd.read_file("/sys/devices/virtual/kfd/kfd/topology/nodes/1/properties", text));
  EXPECT_NE(text.find("gfx_target_version 110000\n"), std::string::npos);
  EXPECT_NE(text.find("cwsr_size 40288256\n"), std::string::npos) << text;
  EXPECT_FALSE(kfd.read_file("/sys/devices/virtual/kfd/kfd/topology/nodes/2/gpu_id", text));
}

}  // namespace
}  // namespace leat::amd_card
